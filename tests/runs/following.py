"""Follow runs by the API, as a program does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from tests.fixtures import Program

DEADLINE_S: Final = 20.0
API: Final = "/api/v1"


def pausing() -> Iterator[bool]:
    """Sleep longer and longer between looks, which take time from what they wait for; False is
    the end of patience.
    """
    end, pause_s = time.monotonic() + DEADLINE_S, 0.01
    while time.monotonic() < end:
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, 0.2)
        yield True
    yield False


def until(holds: Callable[[], object], what: str, instead: Callable[[], object] = str) -> None:
    """Wait until it holds; `instead` says what is the case when it never does."""
    pauses = pausing()
    while not holds():
        assert next(pauses), f"never: {what}; {instead()}"


class Follow:
    """A program that looks at runs and acts on them."""

    def __init__(self, program: Program) -> None:
        self._program = program

    def get(self, run: str) -> dict[str, Any]:
        found: dict[str, Any] = self._program.get(f"{API}/runs/{run}").get_json()
        return found

    def until(self, run: str, *states: str) -> dict[str, Any]:
        found = partial(self.get, run)
        until(lambda: found()["state"] in states, f"{run} is {states}", found)
        return self.get(run)

    def do(self, address: str) -> Any:
        return self._program.post(f"{API}/{address}")

"""Follow runs by the API, as a program does."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from tests.fixtures import Program

DEADLINE_S: Final = 20.0
API: Final = "/api/v1"


def until(holds: Callable[[], object], what: str, instead: Callable[[], object] = str) -> None:
    """Wait until it holds; `instead` says what is the case when it never does."""
    end = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < end, f"never: {what}; {instead()}"
        time.sleep(0.02)


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

"""The one job on the queue: somebody started a run, so look."""

from __future__ import annotations

from collections.abc import Callable

_wakers: list[Callable[[], None]] = []


def poke() -> None:
    """Wake this process's runner. RQ calls it by name; it returns at once."""
    for wake in _wakers:
        wake()


def on_poke(wake: Callable[[], None]) -> None:
    """Let `wake` be called for every ring that this process hears."""
    _wakers.append(wake)

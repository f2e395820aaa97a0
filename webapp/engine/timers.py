"""What a run waits for that is a time."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from datetime import datetime

from webapp.engine.journal import Park, Reason, Record
from webapp.engine.mailbox import awaited
from webapp.engine.ports import Clock
from webapp.engine.recovery import held_s

OUTSIDE: dict[str, Reason] = {"approval": "person", "signal": "signal", "child": "child"}
"""Why a run waits that waits for something from outside, by its kind; people come first."""


class Timers:
    """Times by path, and the run's own limit.

    Args:
        loop: whose clock counts.
        clock: for waits until a wall time.
        wake: called when something may be due.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Clock, wake: Callable[[], None]
    ) -> None:
        self.run_is_over = False
        self._loop = loop
        self._clock = clock
        self._wake = wake
        self._at: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []
        self._pauses: set[str] = set()
        self._waits: dict[str, Record] = {}
        self._awaited: dict[str, tuple[str, str]] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._limit: asyncio.TimerHandle | None = None

    def limit_run(self, seconds: float) -> None:
        """Say so when the run has been at work for so long."""
        if seconds < 0.01:  # a journal keeps milliseconds
            self.run_is_over = True
        else:
            self._limit = self._loop.call_later(seconds, self._over)

    def set(self, path: str, after_s: float, *, pause: bool = False) -> None:
        """Be due at `path` in a while."""
        if pause:
            self._pauses.add(path)
        at = self._loop.time() + max(after_s, 0.0)
        self._at[path] = at
        heapq.heappush(self._heap, (at, path))

    def wait(self, path: str, record: Record) -> None:
        """Be due at `path` when the waiting row says."""
        self._waits[path] = record
        if held_s(record) is None and (what := awaited(record)) is not None:
            self._awaited[path] = what
        times = []
        if record.due_s is not None:
            times.append(record.due_s)
        if record.due_at is not None:
            times.append((record.due_at - self._clock.now()).total_seconds())
        if times:
            self.set(path, min(times))

    def drop(self, path: str) -> Record | None:
        """Forget `path`; return its waiting row, if it has one."""
        self._at.pop(path, None)
        self._pauses.discard(path)
        self._awaited.pop(path, None)
        return self._waits.pop(path, None)

    def awaited(self) -> list[tuple[str, tuple[str, str]]]:
        """Return path, and kind and key of what is waited for there from outside."""
        return list(self._awaited.items())

    def due(self) -> list[str]:
        """Take off what is due now."""
        now, found = self._loop.time(), []
        while self._heap and self._heap[0][0] <= now:
            at, path = heapq.heappop(self._heap)
            if self._at.get(path) == at:
                del self._at[path]
                self._pauses.discard(path)
                found.append(path)
        return found

    def take_wait(self, path: str) -> Record | None:
        """Return the waiting row at `path`; None: what was due is a retry."""
        self._at.pop(path, None)
        self._awaited.pop(path, None)
        return self._waits.pop(path, None)

    @property
    def ready(self) -> bool:
        return self.run_is_over or ((left := self.next_s()) is not None and left <= 0)

    def next_s(self) -> float | None:
        """Return the seconds until the next is due; None: nothing has a time."""
        while self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] - self._loop.time() if self._heap else None

    def arm(self) -> None:
        """Wake the run when the next is due."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        left = self.next_s()
        if left is not None:
            self._alarm = self._loop.call_later(max(left, 0.0), self._wake)

    def park(self) -> Park | None:
        """Return how to wait without a worker; None: nothing waits."""
        if not self._at:
            return Park(self._outside()) if self._waits else None
        spans = [at for path, at in self._at.items() if not self._until(path)]
        times = [until for path in self._at if (until := self._until(path)) is not None]
        due_in_s = max(min(spans) - self._loop.time(), 0.0) if spans else None
        return Park(self._reason(), due_in_s, min(times) if times else None)

    def _reason(self) -> Reason:
        if self._awaited:
            return self._outside()
        if any(held_s(record) is not None for record in self._waits.values()):
            return "breaker"
        return "time" if self._waits or self._pauses else "retry"

    def _outside(self) -> Reason:
        kinds = {kind for kind, _ in self._awaited.values()}
        return next((reason for kind, reason in OUTSIDE.items() if kind in kinds), "signal")

    def _until(self, path: str) -> datetime | None:
        """The wall time for which `path` waits; a span is counted by a clock that can't jump."""
        record = self._waits.get(path)
        return None if record is None else record.due_at

    def close(self) -> None:
        for handle in (self._alarm, self._limit):
            if handle is not None:
                handle.cancel()

    def _over(self) -> None:
        self.run_is_over = True
        self._wake()

"""What has come from outside for the steps of a run that wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from webapp.engine.canonical import from_bytes
from webapp.engine.journal import Record


@dataclass(frozen=True, slots=True)
class Arrival:
    """One signal, the answer to an approval, or the end of a run that a step started.

    Attributes: kind: signal, approval or child; key: the signal's name, else the step's path.
    """

    id: str
    kind: str
    key: str
    data: Any


class Mailbox:
    """Arrivals that no step has taken yet. What is put in twice counts once."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], deque[Arrival]] = {}
        self._known: set[str] = set()
        self._wake: Callable[[], None] = lambda: None
        self.fresh = False
        """Something has come since the last look."""
        self.wanted = False
        """A step waits for something: look for it from time to time."""

    @property
    def heard(self) -> int:
        return len(self._known)

    def knows(self, arrival: str) -> bool:
        """Whether it has come already; may be asked from any thread."""
        return arrival in self._known

    def on_arrival(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def put(self, arrivals: Iterable[Arrival]) -> None:
        for one in arrivals:
            if one.id not in self._known:
                self._known.add(one.id)
                self._waiting.setdefault((one.kind, one.key), deque()).append(one)
                self.fresh = True
        if self.fresh:
            self._wake()

    def forget_taken(self, records: Iterable[Record]) -> None:
        """Leave out the signals that steps of an earlier execution took."""
        taken = {
            str(signal.get("id"))
            for record in records
            if record.kind == "wait" and isinstance(record.result, dict)
            if isinstance(signal := record.result.get("signal"), dict)
        }
        if taken:
            for line in self._waiting.values():
                kept = [one for one in line if one.id not in taken]
                line.clear()
                line.extend(kept)

    def take(self, kind: str, key: str) -> Arrival | None:
        """Take off the first that came."""
        line = self._waiting.get((kind, key))
        return line.popleft() if line else None


def awaited(record: Record) -> tuple[str, str] | None:
    """Return kind and key of what the waiting row waits for; None: only for a time."""
    found = frozen_of(record)
    if found.get("signal") is not None:
        return "signal", str(found["signal"])
    for kind in ("approval", "child"):
        if kind in found:
            return kind, record.path
    return None


def frozen_of(record: Record) -> dict[str, Any]:
    found = from_bytes(record.request) if record.request else {}
    return found if isinstance(found, dict) else {}

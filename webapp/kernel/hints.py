"""What may be told to others once a transaction is committed, and may be lost.

A hint repeats what a row already says: the lease row says that a run is ready, the event row
that a step is done. So the owner of the transaction sends hints after the commit, and when
sending fails the sweep and the page's own polling find the rows (RULINGS.md 1.1 row 9).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Ring:
    """Wake the workers of a queue."""

    queue: str


@dataclass(frozen=True, slots=True)
class Tell:
    """Say in a room that something changed (UX.md 8.4); `data` never holds values or secrets."""

    room: str
    type: str
    seq: int
    data: dict[str, Any]


class Bell(Protocol):
    """Sends hints; must not raise, whatever happens to Redis."""

    def send(self, hints: list[Ring | Tell]) -> None: ...


@dataclass(slots=True)
class Hints:
    """The hints of one transaction, in order."""

    waiting: list[Ring | Tell] = field(default_factory=list)
    points: list[str] = field(default_factory=list)
    """Crash points that lie behind the commit; its owner passes them."""

    def ring(self, queue: str = "runs") -> None:
        hint = Ring(queue)
        if hint not in self.waiting:
            self.waiting.append(hint)

    def tell(self, room: str, type: str, seq: int = 0, **data: Any) -> None:
        self.waiting.append(Tell(room, type, seq, data))

    def flush(self, bell: Bell) -> None:
        """Send everything; called by the owner of the transaction after its commit."""
        waiting, self.waiting = self.waiting, []
        if waiting:
            bell.send(waiting)

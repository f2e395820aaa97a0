"""Which rooms there are, who may join them, and what a room's history is.

A feature's `topics.py` says `room("run", Permission.VIEW_RUNS, seq=…, replay=…)`; the socket
server asks nothing else. A room is named "run:run_01…": its kind and what it is about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from webapp.access.context import Context
from webapp.access.permissions import Permission


@dataclass(frozen=True, slots=True)
class Told:
    """One event of a room's history."""

    seq: int
    at: datetime
    type: str
    data: dict[str, Any]


Seq = Callable[[Context, str], int]
Replay = Callable[[Context, str, int, int], Iterable[Told]]


@dataclass(frozen=True, slots=True)
class Room:
    """A kind of room.

    Attributes:
        seq: number of the newest event of the thing; raises `NotFound` when the organization
            has no such thing. 0 where events are not numbered.
        replay: up to so many events behind a number; None where nothing is kept.
    """

    kind: str
    permission: Permission
    seq: Seq
    replay: Replay | None = None


ROOMS: Final[dict[str, Room]] = {}


def room(kind: str, permission: Permission, seq: Seq, replay: Replay | None = None) -> None:
    """Make a kind of room known."""
    ROOMS[kind] = Room(kind, permission, seq, replay)


def find_room(name: object) -> tuple[Room, str] | None:
    """Return the kind of room and what it is about, or None for a name that means nothing."""
    if not isinstance(name, str) or len(name) > 500:
        return None
    kind, _, about = name.partition(":")
    found = ROOMS.get(kind)
    return (found, about) if found is not None and about else None

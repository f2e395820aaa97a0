"""What one run wants durable in one commit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from webapp.engine.journal import End, Event, HandBack, Park


@dataclass(frozen=True, slots=True)
class Totals:
    """What a run has come to: steps, own cost, working time, and cost of the runs below it."""

    done: int
    cost_nano: int
    ran_ms: int
    below_nano: int


@dataclass(slots=True, eq=False)
class Write:
    """What one run wants durable, and the future that hears of it.

    Attributes:
        rows: parameters of `WRITE_STEP` but for `seq`.
        after: number of the last event that this journal knows to be committed.
        seq: number of its last event, known after the commit.
    """

    run: UUID
    public: str
    organization: UUID
    fence: int
    lease_ms: int
    rows: list[dict[str, Any]]
    events: list[Event]
    done: int
    cost: int
    ran_ms: int
    begins: bool
    ending: End | Park | HandBack | None
    after: int
    started_at: datetime
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[int]
    result_file: str | None = None
    parent: tuple[UUID, str] | None = None
    """The run and the step that hear of its end."""
    may_have_children: bool = False
    ended: Sequence[str] = ()
    """Paths of steps that end before what they started: it ends with them."""
    part: dict[str, Any] | None = None
    """Which items of a list of its parent the run does."""
    wakes: bool = False
    """The commit made a run ready that nobody works on."""
    beside: Sequence[tuple[str, dict[str, Any]]] = ()
    """Statements of the same commit about other tables."""
    ledger: Sequence[dict[str, Any]] = ()
    """Parameters of `entries.ENTER`."""
    seq: int = 0
    refused: BaseException | None = None
    renewed_ms: int = 0
    """When the lease was renewed with it, by this machine's boot clock, at the earliest."""
    doubtful: bool = field(default=False)
    """An earlier try may have been committed before the connection broke."""

    @property
    def is_plain(self) -> bool:
        """Nothing in it depends on what the database says of the run, but for its fence."""
        return self.ending is None and not (self.ended or self.doubtful)

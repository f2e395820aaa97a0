"""What the engine writes down: one row per path and attempt, and the events people follow.

A Batch is one durable commit. Whoever keeps the journal (a database behind a fence, or a list
in a test) implements `ports.Journal`.
"""

from __future__ import annotations

from base64 import b32encode
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal

from webapp.engine.ledger import Entry, spent_nano

State = Literal[
    "intent", "succeeded", "failed", "unknown", "waiting", "skipped", "cancelled", "reused"
]
HOLDERS = frozenset({"if", "parallel", "each", "repeat"})
"""Kinds of steps that hold others: what their rows intend is what they have decided so far."""
FINAL = frozenset({"succeeded", "skipped", "cancelled", "reused"})
"""States that end a path. "failed" does too, unless its error says `again`."""


@dataclass(slots=True)
class Record:
    """A row of the journal, told by (path, attempt).

    When read back for a replay, `request` may be left out (None) of rows that are final, and
    `due_s` is what remains, by the lease's clock, at the moment of reading.
    """

    path: str
    attempt: int
    step_id: str
    kind: str
    state: State
    effect: str = "none"
    idem_key: str = ""
    request: bytes | None = None
    """The frozen bytes of an intent; of a step that holds steps, what it has decided so far."""
    result: Any = None
    error: dict[str, Any] | None = None
    """`code`, `text`, `attempts`; `again: true` on a failed attempt that another one follows."""
    due_s: float | None = None
    """Wait this long, whatever the wall clock does: next attempt, "wait for"."""
    due_at: datetime | None = None
    """Wait until this time: "wait until"."""
    cost_nano: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    new: bool = True
    """No earlier batch of this drive wrote this row, and it wasn't among the records: insert."""
    notes: list[str] = field(default_factory=list)
    """Sentences for the details pane; told with the event, no column of the row."""
    reason: str = ""
    """Why skipped: off, branch, not_needed, failed_before, sent_before."""
    entries: list[Entry] = field(default_factory=list)
    """What the ledger had of it when it was read back; written by `Batch.entries` only."""

    @property
    def ends_path(self) -> bool:
        if self.state == "failed":
            return not (self.error or {}).get("again")
        return self.state in FINAL


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, in the words of PLAN.md section 2; `data` stays under 2 KiB."""

    type: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class End:
    """The run is settled. `error` is a step's error with `step` and `path`."""

    state: Literal["done", "failed", "cancelled", "needs_review"]
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    problems: bool = False


Reason = Literal["time", "retry", "signal", "person", "child", "breaker"]
"""Why a run waits."""


@dataclass(frozen=True, slots=True)
class Park:
    """Nothing can go on now: give the lease back as waiting, until the sooner of the two.

    Both None: until a signal comes. `heard` is how many have come so far: with more of them
    in the database, the run goes on at once.
    """

    reason: Reason
    due_in_s: float | None = None
    due_at: datetime | None = None
    heard: int = 0


@dataclass(frozen=True, slots=True)
class HandBack:
    """The worker was asked to go, or the run to pause: give the lease back. Nothing is lost."""

    cause: Literal["stopping", "needs_newer_worker", "paused"] = "stopping"


@dataclass(slots=True)
class Batch:
    """One durable commit of one run."""

    records: list[Record] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    done_delta: int = 0
    """Steps that became final in this commit."""
    entries: list[Entry] = field(default_factory=list)
    """What goes into the ledger."""
    ran_s: float = 0.0
    """Running time since the commit before; counts against the run's `limits.seconds`."""
    end: End | None = None
    park: Park | None = None

    @property
    def has_intents(self) -> bool:
        """Whether the commit must be refused once the run is to be cancelled: it begins something,
        or parks the run for a time in which nobody would hear of the cancel.
        """
        return (
            self.park is not None
            or any(row.state == "intent" and row.kind not in HOLDERS for row in self.records)
            or any(entry.kind == "reserve" for entry in self.entries)
        )

    @property
    def cost_nano(self) -> int:
        """Spent by what this commit records."""
        return spent_nano(self.entries)


class LostLease(BaseException):
    """Another worker owns the run now: stop, write nothing, send nothing. Not an Exception: no
    step, and no library of a provider, may take it for a fault of the service.
    """


class CancelRequested(Exception):
    """Nothing was committed: the run is to be cancelled and the batch held an intent."""


class PauseRequested(Exception):
    """Nothing was committed: the run is to pause and the batch held an intent."""


def idem_key(run_id: str, path: str) -> str:
    """Return the key that outside services see; the same in every attempt and replay."""
    digest = sha256(f"{run_id}|{path}".encode()).digest()
    return "dh-" + b32encode(digest[:20]).decode().lower()

"""Runs and what happens to them; the shapes of the hot path were measured (TABLES.md).

`run` is written three times: start, first claim, end. What changes with every step lives in
`lease`, a small row that is deleted at the end, so that lists stay stable and heartbeats are
cheap. Times of the lease are milliseconds of the database's lease clock (`statements.now_ms`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from webapp.access.tenancy import OrganizationOwned, own, owned
from webapp.kernel.clock import now
from webapp.kernel.db import Base, Id, Json, UtcDateTime
from webapp.kernel.ids import new_id

PART: Final = "part"
"""Kind of a run that does some items of a list for its parent; it stands in no list."""
_WHOLE: Final = "kind <> 'part'"
_LISTED: Final[dict[str, Any]] = {"postgresql_where": text(_WHOLE), "sqlite_where": text(_WHOLE)}


class Run(OrganizationOwned, Base):
    """One execution. States and who may change them: PLAN.md section 2."""

    __tablename__ = "run"

    id: Mapped[UUID] = mapped_column(Id, primary_key=True, default=new_id)
    workflow_id: Mapped[UUID] = mapped_column(Id)
    version_id: Mapped[UUID] = mapped_column(Id)
    state: Mapped[str] = mapped_column(String(16), default="queued")
    reason: Mapped[str | None] = mapped_column(String(40))
    """Why it waits, pauses or failed: person, time, retry … or a catalogue code."""
    problems: Mapped[bool] = mapped_column(default=False)
    kind: Mapped[str] = mapped_column(String(12), default="normal")
    started_by_kind: Mapped[str] = mapped_column(String(10))
    started_by: Mapped[UUID | None] = mapped_column(Id)
    started_by_name: Mapped[str] = mapped_column(String(120))
    idem_key: Mapped[str | None] = mapped_column(String(300))
    """Where it came from, once: the Idempotency-Key, "form:…", "example:…"."""
    inputs: Mapped[dict[str, Any]] = mapped_column(Json)
    result: Mapped[dict[str, Any] | None] = mapped_column(Json)
    result_file: Mapped[str | None] = mapped_column(String(64))
    error: Mapped[dict[str, Any] | None] = mapped_column(Json)
    queued_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    took_ms: Mapped[int | None] = mapped_column(BigInteger)
    cost_nano: Mapped[int] = mapped_column(BigInteger, default=0)
    below_nano: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """What the runs have cost that its steps started, as far as they have ended."""
    limit_nano: Mapped[int | None] = mapped_column(BigInteger)
    """What it may cost by the limits around the step that started it; None: as its plan says."""
    steps_done: Mapped[int] = mapped_column(Integer, default=0)
    seq: Mapped[int] = mapped_column(Integer, default=1)
    """The number of its last event, once it is over; before that the lease counts."""
    parent_run: Mapped[UUID | None] = mapped_column(Id)
    parent_path: Mapped[str | None] = mapped_column(String(400))
    depth: Mapped[int] = mapped_column(SmallInteger, default=0, server_default="0")
    """How many runs stand above it, each of which was started by a step of the next."""
    part: Mapped[dict[str, Any] | None] = mapped_column(Json)
    """Of a run that does some items of a list of its parent: which, and where they lie."""
    again_of: Mapped[UUID | None] = mapped_column(Id)
    """The run that this one repeats, in whole or from a step on."""
    again_from: Mapped[str | None] = mapped_column(String(400))

    __table_args__ = (
        *own(),
        *owned("workflow", "version"),
        Index("run_org", "organization_id", "id", **_LISTED),
        Index("run_org_state", "organization_id", "state", "id", **_LISTED),
        Index("run_org_workflow", "organization_id", "workflow_id", "id", **_LISTED),
        Index("run_org_by", "organization_id", "started_by", "id", **_LISTED),
        Index(
            "run_org_idem",
            "organization_id",
            "idem_key",
            unique=True,
            postgresql_where=text("idem_key IS NOT NULL"),
            sqlite_where=text("idem_key IS NOT NULL"),
        ),
        Index(
            "run_parent",
            "parent_run",
            postgresql_where=text("parent_run IS NOT NULL"),
            sqlite_where=text("parent_run IS NOT NULL"),
        ),
        Index(
            "run_again",
            "again_of",
            postgresql_where=text("again_of IS NOT NULL"),
            sqlite_where=text("again_of IS NOT NULL"),
        ),
        {"sqlite_with_rowid": False},
    )

    @property
    def is_over(self) -> bool:
        return self.state in {"done", "failed", "cancelled"}


class Lease(OrganizationOwned, Base):
    """The live part of a run: who works on it, until when, and how far it is.

    `lease_until` and `seq` are in no index: heartbeats and steps stay HOT updates.
    """

    __tablename__ = "lease"

    run_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    workflow_id: Mapped[UUID | None] = mapped_column(Id)
    """Of the run, so that a workflow's runs under way are counted by an index; None: a part of
    another run, which counts for it.
    """
    queue: Mapped[str] = mapped_column(String(40), default="runs")
    state: Mapped[str] = mapped_column(String(8))
    vtime: Mapped[int] = mapped_column(BigInteger)
    due_at: Mapped[int | None] = mapped_column(BigInteger)
    wait_reason: Mapped[str | None] = mapped_column(String(12))
    """Why it waits; of a paused run what holds it: run, workflow, organization or queue."""
    worker: Mapped[str | None] = mapped_column(String(60))
    boot: Mapped[str | None] = mapped_column(String(40))
    lease_until: Mapped[int | None] = mapped_column(BigInteger)
    fence: Mapped[int] = mapped_column(Integer, default=0)
    seq: Mapped[int] = mapped_column(Integer, default=1)
    done: Mapped[int] = mapped_column(Integer, default=0)
    total: Mapped[int] = mapped_column(Integer, default=0)
    cost_nano: Mapped[int] = mapped_column(BigInteger, default=0)
    ran_ms: Mapped[int] = mapped_column(BigInteger, default=0)
    """Working time so far, waiting not counted; against the plan's `limits.seconds`."""
    cancel_at: Mapped[int | None] = mapped_column(BigInteger)
    pause_at: Mapped[int | None] = mapped_column(BigInteger)
    """When a run at work was told to pause: it begins nothing more, and then its lease pauses."""
    paused_by: Mapped[str | None] = mapped_column(String(120))
    """Who paused this one run; what holds more than one run says it itself."""
    below_nano: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """See `Run`."""
    limit_id: Mapped[UUID | None] = mapped_column(Id)
    """The gate whose limit it waits for, while `wait_reason` is "limit"."""
    wrote_at: Mapped[int | None] = mapped_column(BigInteger)
    """When it last got on: a journal write or a piece of streaming text."""

    __table_args__ = (
        Index("lease_place", "organization_id", "state", "workflow_id"),
        Index(
            "lease_begun",
            "workflow_id",
            postgresql_where=text("fence > 0"),
            sqlite_where=text("fence > 0"),
        ),
        Index(
            "lease_limited",
            "limit_id",
            "vtime",
            postgresql_where=text("wait_reason = 'limit'"),
            sqlite_where=text("wait_reason = 'limit'"),
        ),
        Index(
            "lease_ready",
            "queue",
            "vtime",
            postgresql_where=text("state = 'ready'"),
            sqlite_where=text("state = 'ready'"),
        ),
        Index(
            "lease_due",
            "due_at",
            postgresql_where=text("state = 'waiting'"),
            sqlite_where=text("state = 'waiting'"),
        ),
        Index(
            "lease_worker",
            "worker",
            postgresql_where=text("state = 'running'"),
            sqlite_where=text("state = 'running'"),
        ),
        {
            "sqlite_with_rowid": False,
            "postgresql_with": {"fillfactor": 50, "autovacuum_vacuum_scale_factor": 0.01},
        },
    )


class Step(OrganizationOwned, Base):
    """One attempt at one step of a run; "task" in the API."""

    __tablename__ = "step"

    run_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    path: Mapped[str] = mapped_column(String(400), primary_key=True)
    attempt: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    step_id: Mapped[str] = mapped_column(String(40))
    kind: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(10))
    effect: Mapped[str] = mapped_column(String(14))
    idem_key: Mapped[str] = mapped_column(String(40))
    request: Mapped[bytes | None] = mapped_column(LargeBinary)
    result: Mapped[Any | None] = mapped_column(Json)
    result_file: Mapped[str | None] = mapped_column(String(64))
    error: Mapped[dict[str, Any] | None] = mapped_column(Json)
    fence: Mapped[int] = mapped_column(Integer)
    seq: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When a waiting step or the next attempt is due, by the wall clock."""
    due_ms: Mapped[int | None] = mapped_column(BigInteger)
    """The same by the lease clock, of waits for a span: no change of the wall clock moves them."""
    due_boot: Mapped[str | None] = mapped_column(String(40))
    """On SQLite the lease clock counts within this boot only."""
    cost_nano: Mapped[int] = mapped_column(BigInteger, default=0)
    tokens_in: Mapped[int] = mapped_column(Integer, default=0)
    tokens_out: Mapped[int] = mapped_column(Integer, default=0)
    worker: Mapped[str | None] = mapped_column(String(60))

    __table_args__ = ({"sqlite_with_rowid": False},)


class Event(OrganizationOwned, Base):
    """What happened to a run, in order; never updated."""

    __tablename__ = "event"

    run_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    type: Mapped[str] = mapped_column(String(24))
    data: Mapped[dict[str, Any]] = mapped_column(Json)

    __table_args__ = ({"sqlite_with_rowid": False},)


class Signal(OrganizationOwned, Base):
    """What came from outside for a run that waits, or will: kept until the run is deleted.

    Which step took it stands in that step's row, so that a replay takes the same one again.
    """

    __tablename__ = "signal"

    run_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    id: Mapped[UUID] = mapped_column(Id, primary_key=True, default=new_id)
    kind: Mapped[str] = mapped_column(String(10))
    """signal, approval, or child: who may take it."""
    key: Mapped[str] = mapped_column(String(400))
    """A signal's name; for the others the path of the step that waits."""
    data: Mapped[Any | None] = mapped_column(Json)
    by: Mapped[str] = mapped_column(String(120))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)

    __table_args__ = ({"sqlite_with_rowid": False},)


class Approval(OrganizationOwned, Base):
    """What a step asks people, and what they said. What is shown is in the step's frozen row.

    One UPDATE of an open row decides who is heard, whoever answers at the same time; silence
    until `due_at` is an answer too.
    """

    __tablename__ = "approval"

    id: Mapped[UUID] = mapped_column(Id, primary_key=True, default=new_id)
    run_id: Mapped[UUID] = mapped_column(Id)
    path: Mapped[str] = mapped_column(String(400))
    round: Mapped[int] = mapped_column(SmallInteger)
    """The attempt of the step that asks."""
    state: Mapped[str] = mapped_column(String(10))
    """open, decided, expired, cancelled."""
    request_sha: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the step's frozen bytes."""
    nonce: Mapped[bytes] = mapped_column(LargeBinary(32))
    """Links in mails are made of it and of the machine's own key."""
    who: Mapped[list[dict[str, Any]]] = mapped_column(Json)
    need: Mapped[int] = mapped_column(SmallInteger)
    """How many must agree; 0 is all of them."""
    not_starter: Mapped[bool] = mapped_column()
    deputy: Mapped[dict[str, Any] | None] = mapped_column(Json)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    due_s: Mapped[int | None] = mapped_column(Integer)
    """The span of it, for those whom it is passed to."""
    pass_to: Mapped[list[dict[str, Any]] | None] = mapped_column(Json)
    remind_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    look_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the machine has something to do about it; None: never again."""
    told_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    passed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decision: Mapped[str | None] = mapped_column(String(10))
    decided_by: Mapped[UUID | None] = mapped_column(Id)
    decided_by_name: Mapped[str | None] = mapped_column(String(120))
    via: Mapped[str | None] = mapped_column(String(6))
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    effective_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Until then it can be taken back, and the run is not told."""
    note: Mapped[str | None] = mapped_column(String(2000))
    values: Mapped[dict[str, Any] | None] = mapped_column(Json)
    """What was edited, by name."""
    answers: Mapped[dict[str, Any] | None] = mapped_column(Json)

    __table_args__ = (
        *owned("run"),
        Index("approval_run", "run_id", "path", "round", unique=True),
        Index(
            "approval_open",
            "organization_id",
            "id",
            postgresql_where=text("state = 'open'"),
            sqlite_where=text("state = 'open'"),
        ),
        Index(
            "approval_look",
            "look_at",
            postgresql_where=text("look_at IS NOT NULL"),
            sqlite_where=text("look_at IS NOT NULL"),
        ),
        {"sqlite_with_rowid": False},
    )


class ApprovalPerson(OrganizationOwned, Base):
    """A person whom an approval was sent to, or who has agreed to it."""

    __tablename__ = "approval_person"

    approval_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    person_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    token_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    """Of the link in the mails; the link itself is kept nowhere."""
    agreed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    via: Mapped[str | None] = mapped_column(String(6))

    __table_args__ = (
        ForeignKeyConstraint(["approval_id"], ["approval.id"], ondelete="CASCADE"),
        {"sqlite_with_rowid": False},
    )


class Fair(Base):
    """One organization's place in a queue: a virtual time that advances with each start.

    Source: start-time fair queueing, Goyal, Vin and Cheng (1996), SIGCOMM.
    """

    __tablename__ = "fair"

    queue: Mapped[str] = mapped_column(String(40), primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    last_vtime: Mapped[int] = mapped_column(BigInteger, default=0)
    high_vtime: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """Runs of high and of low priority advance times of their own, or they would queue up
    behind the organization's other runs.
    """
    low_vtime: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    claimed_vtime: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """The latest virtual time that was claimed; the largest of a queue is where its head is."""
    waiting: Mapped[int] = mapped_column(Integer, default=0)
    minute: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    """The minute (since 1970) that `begun` counts; `begun_before` counts the one before."""
    begun: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    begun_before: Mapped[int] = mapped_column(Integer, default=0, server_default="0")


class QueueSetting(Base):
    """How a queue is kept; without a row: in order of arrival, 10,000 runs an organization."""

    __tablename__ = "queue_setting"

    queue: Mapped[str] = mapped_column(String(40), primary_key=True)
    mode: Mapped[str] = mapped_column(String(8), default="fifo")
    """fifo, lifo or priority."""
    max_waiting: Mapped[int | None] = mapped_column(Integer)
    """How many runs of one organization may wait in it."""
    paused_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    paused_by: Mapped[str | None] = mapped_column(String(120))
    opening: Mapped[bool] = mapped_column(default=False)
    """It goes on again, and runs it held are still to be put back in line."""


class WorkerSeen(Base):
    """A worker as the staff pages and /status show it; nothing depends on it."""

    __tablename__ = "worker"

    id: Mapped[str] = mapped_column(String(60), primary_key=True)
    host: Mapped[str] = mapped_column(String(120))
    pid: Mapped[int] = mapped_column(Integer)
    boot: Mapped[str] = mapped_column(String(40))
    version: Mapped[str] = mapped_column(String(20))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    running: Mapped[int] = mapped_column(Integer, default=0)

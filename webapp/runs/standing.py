"""Where a run stands that does not run: its place in line, about how long, and what holds it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, func, select

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.access.tenancy import across_organizations
from webapp.kernel.clock import now
from webapp.kernel.ids import public_id, short
from webapp.runs.models import Fair, Lease, QueueSetting, Run
from webapp.runs.queries import RunRow, lease_now
from webapp.workflows.models import Gate, Workflow

MOST_COUNTED: Final = 1_000
PACE: Final = "pace"
"""Why a run waits that was started together with many."""
IN_BIN: Final = "It is in the bin."
_ONE_AFTER_ANOTHER: Final = frozenset({"queued", "single", "restart"})


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands that does not run.

    Attributes:
        ahead: how many runs are before it in line, or wait before it for the same room, counted up
            to `MOST_COUNTED`; None: it is not in line.
        wait_s: about how long these take to begin, by how many began in the last two minutes, or
            how long until its moment comes; None: nobody knows.
        held: what holds it, as a sentence; "" when nothing but the line does.
    """

    ahead: int | None = None
    wait_s: int | None = None
    held: str = ""


@requires(Permission.VIEW_RUNS)
def standing_of(ctx: Context, row: RunRow) -> Standing | None:
    """Return where a run stands; None while it works, waits for something of its own, or is over.

    The count looks at the other organizations' places too: it says how many, not whose.
    """
    run, lease = row.run, row.lease
    if lease is None or row.cancelling:
        return None
    if run.state == "paused":
        return Standing(held=_paused_by(ctx, run, lease))
    if run.state == "waiting" and lease.wait_reason == "limit":
        return Standing(_before(ctx, _behind_limit(lease)), held=_limited_by(ctx, lease))
    is_paced = run.state == "waiting" and lease.wait_reason == PACE
    if not is_paced and (run.state != "queued" or lease.state != "ready"):
        return None
    held = next((text for reason in _SCOPES if (text := _said(ctx, run, lease, reason))), "")
    if held:
        return Standing(held=held)
    if is_paced:
        left_ms = (lease.due_at or 0) - lease_now(ctx)
        return Standing(wait_s=max(1, math.ceil(left_ms / 1000)), held=_PACED)
    with across_organizations(ctx.session, "a place in line"):
        ahead = _before(ctx, (Lease.queue == lease.queue, Lease.state == "ready", _earlier(lease)))
    return Standing(ahead, _estimate(ctx, lease.queue, ahead))


def _before(ctx: Context, which: Sequence[ColumnElement[bool]]) -> int:
    before = select(Lease.run_id).where(*which).limit(MOST_COUNTED)
    return ctx.session.scalar(select(func.count()).select_from(before.subquery())) or 0


def _behind_limit(lease: Lease) -> Sequence[ColumnElement[bool]]:
    """Return which runs wait for the same room and get it first, by the index of who is freed."""
    same = (Lease.limit_id == lease.limit_id, Lease.wait_reason == "limit")
    return (*same, _earlier(lease))


def _earlier(lease: Lease) -> ColumnElement[bool]:
    return Lease.vtime < lease.vtime


_SCOPES: Final = ("queue", "organization", "workflow")
_PACED: Final = "Waiting for its moment: it was run again with others, at a pace."


def _paused_by(ctx: Context, run: Any, lease: Lease) -> str:
    if lease.wait_reason == "run":
        return f"Paused by {lease.paused_by}."
    if lease.wait_reason == "parent":
        return "Paused with the run that started it."
    said = _said(ctx, run, lease, lease.wait_reason or "")
    return said or "It was paused, and is about to go back in line."


def _said(ctx: Context, run: Any, lease: Lease, reason: str) -> str:
    """Return what is said of a pause of this kind; "" while there is none."""
    if reason == "queue":
        return queue_held(ctx, lease.queue)
    if reason == "workflow":
        said = _paused_gate(ctx, run.workflow_id, "this workflow is")
        workflow = ctx.session.get(Workflow, run.workflow_id) if said else None
        return f"{said} {IN_BIN}" if workflow is not None and workflow.deleted_at else said
    return all_held(ctx)


@requires(Permission.VIEW_RUNS)
def queue_held(ctx: Context, queue: str) -> str:
    """Return who has paused a queue of the machine, as a sentence; "" while nobody has."""
    by = queue_paused_by(ctx, queue)
    return f"Paused: the queue is paused by {by}." if by else ""


@requires(Permission.VIEW_RUNS)
def queue_paused_by(ctx: Context, queue: str) -> str:
    """Return who has paused a queue of the machine; "" while nobody has."""
    setting = ctx.session.get(QueueSetting, queue)
    return str(setting.paused_by) if setting is not None and setting.paused_at is not None else ""


@requires(Permission.VIEW_RUNS)
def all_held(ctx: Context) -> str:
    """Return who has paused all runs of the organization, as a sentence; "" while nobody has."""
    return _paused_gate(ctx, ctx.organization_id, "all runs of the organization are")


def _paused_gate(ctx: Context, scope_id: UUID, what: str) -> str:
    gate = _gate(ctx, scope_id)
    if gate is None or gate.paused_at is None:
        return ""
    return f"Paused: {what} paused by {gate.paused_by}."


def _limited_by(ctx: Context, lease: Lease) -> str:
    gate = _gate(ctx, lease.limit_id)
    if gate is None:
        return ""
    if gate.scope_id == gate.organization_id:
        return f"Waiting for room: the organization runs {gate.most_running:,} at the same time."
    if gate.run_mode in _ONE_AFTER_ANOTHER:
        said = "Waiting for its turn: runs of this workflow go one after the other."
        return f"{said} {_standstill(ctx, gate.scope_id)}".rstrip()
    if gate.most_running is None:
        return "Waiting for its turn."
    return f"Waiting for room: this workflow runs {gate.most_running:,} at the same time."


def _standstill(ctx: Context, workflow_id: UUID) -> str:
    """Return for whom the run at the head of its workflow waits, if for somebody outside."""
    begun = ctx.session.execute(
        select(Run.id, Run.state, Lease.wait_reason)
        .join(Run, Run.id == Lease.run_id)
        .where(
            Lease.organization_id == ctx.organization_id,
            Run.organization_id == ctx.organization_id,
            Lease.workflow_id == workflow_id,
            Lease.fence > 0,
        )
        .order_by(Run.id)
        .limit(1)
    ).first()
    if begun is None:
        return ""
    what = _STANDS.get(begun.state) or _STANDS.get(begun.wait_reason or "", "")
    return what and f"Run {short(public_id('run', begun.id))} is before it, and {what}."


_STANDS: Final = {
    "needs_review": "needs a decision",
    "paused": "is paused",
    "person": "waits for somebody's answer",
    "signal": "waits for a signal",
}


def _gate(ctx: Context, scope_id: UUID | None) -> Gate | None:
    return None if scope_id is None else ctx.session.get(Gate, (ctx.organization_id, scope_id))


def _estimate(ctx: Context, queue: str, ahead: int) -> int | None:
    """Return about how long it takes until `ahead` runs and one more have begun."""
    # How many began tells what the workers can do only while runs wait for them.
    if not 0 < ahead < MOST_COUNTED:
        return None
    rows = ctx.session.execute(
        select(Fair.minute, Fair.begun, Fair.begun_before).where(
            Fair.queue == queue, Fair.minute >= this_minute() - 1
        )
    ).all()
    a_minute = sum(begun_a_minute(row) for row in rows)
    return max(1, round((ahead + 1) * 60 / a_minute)) if a_minute else None


def this_minute() -> int:
    return int(now().timestamp() // 60)


def begun_a_minute(row: Any) -> float:
    """Return how many runs of an organization began in the last sixty seconds, about."""
    seconds = now().timestamp()
    gone = (seconds % 60) / 60
    match int(seconds // 60) - row.minute:
        case 0:
            return float(row.begun + row.begun_before * (1 - gone))
        case 1:
            return float(row.begun * (1 - gone))
        case _:
            return 0.0

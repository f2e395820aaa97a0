"""Pause and resume many runs as one: a workflow's, the organization's, or a queue's.

What is paused is said in one row, and new starts wait. A run in line is set aside when a worker
comes to it (`execution/gates.py`); a run at work is told, and rests when its steps are finished.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, exists, func, or_, select, update

from webapp.access.context import SYSTEM, Context, requires, system_only
from webapp.access.permissions import Permission
from webapp.access.tenancy import across_organizations
from webapp.audit.service import record
from webapp.kernel.clock import now
from webapp.kernel.ids import public_id
from webapp.runs.models import PART, Fair, Lease, QueueSetting, Run
from webapp.runs.pausing import back_in_line, rest
from webapp.runs.queries import lease_now
from webapp.runs.schemas import QueueDraft
from webapp.runs.service import add_event
from webapp.runs.standing import PACE
from webapp.runs.starting import QUEUE, TURNS
from webapp.workflows.models import Gate, Workflow
from webapp.workflows.pace import gate_to_change

_AT_ONCE: Final = 500
"""Runs that are put back in line in one transaction."""
_SCOPES_A_TURN: Final = 100


@dataclass(frozen=True, slots=True)
class Scope:
    """What is paused as one.

    Attributes:
        reason: workflow, organization or queue; what a run it holds says in `wait_reason`.
        row: where it says so; runs: which runs are meant.
    """

    reason: str
    row: Any
    runs: tuple[ColumnElement[bool], ...]


@requires(Permission.CONTROL_RUNS)
def pause_workflow(ctx: Context, workflow_id: UUID) -> Gate:
    """Let no run of a workflow begin anything more; new starts are accepted and wait.

    One in the bin starts nothing, but has runs that go on.
    """
    ctx.get(Workflow, workflow_id)
    scope = _of_gate(gate_to_change(ctx, workflow_id))
    return _changed(ctx, scope, public_id("wf", workflow_id), _pause)


@requires(Permission.CONTROL_RUNS)
def resume_workflow(ctx: Context, workflow_id: UUID) -> Gate:
    ctx.get(Workflow, workflow_id)
    scope = _of_gate(gate_to_change(ctx, workflow_id))
    return _changed(ctx, scope, public_id("wf", workflow_id), _resume)


@requires(Permission.PACE_RUNS)
def pause_organization(ctx: Context) -> Gate:
    """Let no run of the organization begin anything more; new starts are accepted and wait."""
    scope = _of_gate(gate_to_change(ctx, ctx.organization_id))
    return _changed(ctx, scope, public_id("org", ctx.organization_id), _pause)


@requires(Permission.PACE_RUNS)
def resume_organization(ctx: Context) -> Gate:
    scope = _of_gate(gate_to_change(ctx, ctx.organization_id))
    return _changed(ctx, scope, public_id("org", ctx.organization_id), _resume)


@requires(Permission.USE_STAFF_PAGES)
def pause_queue(ctx: Context, queue: str = QUEUE) -> None:
    """Let no run of a queue begin anything more, whosever it is."""
    _change_queue(ctx, queue, _pause)


@requires(Permission.USE_STAFF_PAGES)
def resume_queue(ctx: Context, queue: str = QUEUE) -> None:
    _change_queue(ctx, queue, _resume)


def _change_queue(ctx: Context, queue: str, change: Callable[[Context, Scope], bool]) -> None:
    setting = _queue_to_change(ctx, queue)
    with across_organizations(ctx.session, "pause or resume a queue"):
        is_news = change(ctx, _of_queue(setting))
    if is_news:
        record(ctx, "queue.paused" if setting.paused_at else "queue.resumed", queue)


@requires(Permission.USE_STAFF_PAGES)
def change_queue(ctx: Context, draft: QueueDraft, queue: str = QUEUE) -> QueueSetting:
    """Say in which order a queue is worked off, and how much may wait in it.

    Runs that are in line already keep their places.
    """
    setting = _queue_to_change(ctx, queue)
    before = {"mode": setting.mode, "max_waiting": setting.max_waiting}
    setting.mode, setting.max_waiting = draft.mode, draft.max_waiting
    if before != draft.model_dump():
        record(ctx, "queue.changed", queue, before=before, after=draft.model_dump())
    ctx.session.flush()
    return setting


def _queue_to_change(ctx: Context, queue: str) -> QueueSetting:
    """Return how a queue is kept, as a row that can be changed."""
    found = ctx.session.get(QueueSetting, queue, with_for_update=True, populate_existing=True)
    if found is None:
        found = QueueSetting(queue=queue, mode="fifo", opening=False)
        ctx.session.add(found)
        ctx.session.flush()
    return found


def _of_gate(gate: Gate) -> Scope:
    here = Lease.organization_id == gate.organization_id
    if gate.scope_id == gate.organization_id:
        return Scope("organization", gate, (here,))
    own = Lease.workflow_id == gate.scope_id
    part = (Run.parent_run.is_not(None), Run.kind == PART, Run.workflow_id == gate.scope_id)
    parts = Lease.workflow_id.is_(None) & Lease.run_id.in_(select(Run.id).where(*part))
    return Scope("workflow", gate, (here, own | parts))


def _of_queue(setting: QueueSetting) -> Scope:
    return Scope("queue", setting, (Lease.queue == setting.queue,))


def _changed(
    ctx: Context, scope: Scope, public: str, change: Callable[[Context, Scope], bool]
) -> Gate:
    if change(ctx, scope):
        verb = "paused" if scope.row.paused_at else "resumed"
        record(ctx, f"{scope.reason}.{verb}", public)
    gate: Gate = scope.row
    return gate


def _pause(ctx: Context, scope: Scope) -> bool:
    """Say that it is paused, and tell its runs at work; returns whether that is news."""
    row = scope.row
    if row.paused_at is not None:
        return False
    row.paused_at, row.paused_by, row.opening = now(), ctx.actor.name[:120], False
    ctx.session.flush()
    _hold_runs_at_work(ctx, scope)
    return True


def _hold_runs_at_work(ctx: Context, scope: Scope) -> int:
    """Tell the runs that workers hold to pause; returns how many were told."""
    at_work = (
        select(Lease)
        .where(*scope.runs, Lease.state == "running")
        .where(Lease.pause_at.is_(None), Lease.cancel_at.is_(None))
        .order_by(Lease.run_id)  # as everybody locks them
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if scope.reason == "workflow":
        parts = Lease.workflow_id.is_(None) & _comes_back()
        both = select(Lease.run_id).where(*scope.runs, or_(Lease.state == "running", parts))
        ctx.session.execute(both.order_by(Lease.run_id).with_for_update())
        _hold_parts_in_line(ctx, scope)
    leases = ctx.session.scalars(at_work).all()
    for lease in leases:
        lease.pause_at, lease.wait_reason = lease_now(ctx), scope.reason
        add_event(ctx, lease, "run.pausing", {"why": scope.reason})
    ctx.session.flush()
    return len(leases)


def _hold_parts_in_line(ctx: Context, scope: Scope) -> None:
    """Set parts of runs aside that would come back in line, or are: a claim asks for the workflow
    of whole runs only.
    """
    in_line = (
        select(Lease, Run)
        .join(Run, (Run.id == Lease.run_id) & (Run.organization_id == Lease.organization_id))
        .where(*scope.runs, _comes_back(), Lease.cancel_at.is_(None), Run.kind == PART)
        .order_by(Lease.run_id)
        .with_for_update(of=Lease)
        .execution_options(populate_existing=True)
    )
    for lease, run in ctx.session.execute(in_line).all():
        lease.wait_reason = scope.reason
        rest(run, lease)
        add_event(ctx, lease, "run.paused", {"why": scope.reason})


def _comes_back() -> ColumnElement[bool]:
    """Whether a run is in line, or will be without anybody's decision."""
    waits = (Lease.state == "waiting") & (func.coalesce(Lease.wait_reason, "") != "review")
    return (Lease.state == "ready") | waits


def _resume(ctx: Context, scope: Scope) -> bool:
    row = scope.row
    if row.paused_at is None:
        return False
    _keep_pace(ctx, scope, now() - row.paused_at)
    row.paused_at, row.paused_by, row.opening = None, None, True
    ctx.session.flush()
    _put_back(ctx, scope)
    return True


def _keep_pace(ctx: Context, scope: Scope, paused_for: timedelta) -> None:
    """Let runs that wait for their moment wait as much longer as the pause has taken."""
    waits = (Lease.due_at.is_not(None), or_(Lease.wait_reason == PACE, Lease.state == "paused"))
    later = Lease.due_at + max(0, paused_for // timedelta(milliseconds=1))
    ctx.session.execute(
        update(Lease)
        .where(*scope.runs, *waits)
        .values(due_at=later)
        .execution_options(synchronize_session=False)
    )


def _put_back(ctx: Context, scope: Scope) -> int:
    """Put some of the runs that a scope held back in line, the first ones first; the sweep goes on.

    They come behind what their organization has in line, or a long pause would be made up for at
    everybody's cost.
    """
    _forget_pauses(ctx, scope)
    held = (*scope.runs, Lease.state == "paused", Lease.wait_reason == scope.reason)
    some = (
        select(Lease, Run)
        .join(Run, (Run.id == Lease.run_id) & (Run.organization_id == Lease.organization_id))
        .where(*held)
        .order_by(Lease.vtime)
        .limit(_AT_ONCE)
        .with_for_update(skip_locked=True, of=Lease)
        .execution_options(populate_existing=True)
    )
    found = ctx.session.execute(some).all()
    turns = _Turns(ctx, {(lease.queue, lease.organization_id) for lease, _ in found})
    for lease, run in found:
        back_in_line(ctx, run, lease, turns.next(lease))
    ctx.session.flush()
    scope.row.opening = bool(ctx.session.scalar(select(exists().where(*held))))
    ctx.session.flush()
    if found:
        ctx.hints.ring(QUEUE)
    return len(found)


def _forget_pauses(ctx: Context, scope: Scope) -> None:
    """Let runs go on that have not come to rest since they were told to."""
    told = (
        select(Lease)
        .where(*scope.runs, Lease.state == "running", Lease.wait_reason == scope.reason)
        .order_by(Lease.run_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    for lease in ctx.session.scalars(told):
        lease.pause_at = lease.wait_reason = None
        add_event(ctx, lease, "run.resumed", {"why": scope.reason})


class _Turns:
    """Places at the end of each organization's own line, where lines are kept by turns at all."""

    def __init__(self, ctx: Context, lines: set[tuple[str, UUID]]) -> None:
        self._fair: dict[tuple[str, UUID], Fair | None] = {}
        self._heads: dict[str, int] = {}
        for queue, organization_id in sorted(lines):  # as claims lock them
            setting = ctx.session.get(QueueSetting, queue)
            key = (queue, organization_id)
            if setting is None or setting.mode == "fifo":
                self._fair[key] = ctx.session.get(
                    Fair, key, with_for_update=True, populate_existing=True
                )
            head = select(func.max(Fair.claimed_vtime)).where(Fair.queue == queue)
            self._heads[queue] = ctx.session.scalar(head) or 0

    def next(self, lease: Lease) -> int:
        fair = self._fair.get((lease.queue, lease.organization_id))
        if fair is None:
            return lease.vtime
        fair.last_vtime = max(fair.last_vtime, self._heads[lease.queue]) + TURNS["normal"]
        return fair.last_vtime


@system_only
def keep_pauses(ctx: Context) -> int:
    """Put back what is left of what was resumed, and tell runs that slipped past a pause.

    A run that was claimed while a pause was being made may have passed it. Returns how many runs
    were moved.
    """
    moved = 0
    with across_organizations(ctx.session, "paused and resumed runs"):
        gates = [gate for query in _gates_to_keep() for gate in ctx.session.execute(query)]
        moving = or_(QueueSetting.opening.is_(True), QueueSetting.paused_at.is_not(None))
        for queue in ctx.session.scalars(select(QueueSetting.queue).where(moving)).all():
            # Locked before anything is made of it: it may have been resumed since.
            moved += _keep(ctx, _of_queue(_queue_to_change(ctx, queue)))
    for organization_id, scope_id in gates:
        own = Context(ctx.session, organization_id, SYSTEM, ctx.settings, hints=ctx.hints)
        moved += _keep(own, _of_gate(gate_to_change(own, scope_id)))
    return moved


def _gates_to_keep() -> list[Select[UUID, UUID]]:
    """Return what asks for gates with something to do, so that those at rest hide no others."""
    here = (Lease.organization_id == Gate.organization_id, Lease.cancel_at.is_(None))
    at_work = (Lease.state == "running") & Lease.pause_at.is_(None)
    own = or_(Gate.scope_id == Gate.organization_id, Lease.workflow_id == Gate.scope_id)
    of_workflow = (Run.id == Lease.run_id, Run.workflow_id == Gate.scope_id, Run.kind == PART)
    slipped = exists().where(*here, own, at_work)
    parts = exists().where(
        *here, Lease.workflow_id.is_(None), or_(at_work, _comes_back()), *of_workflow
    )
    some = select(Gate.organization_id, Gate.scope_id).limit(_SCOPES_A_TURN)
    return [
        some.where(Gate.opening.is_(True)),
        some.where(Gate.paused_at.is_not(None), or_(slipped, parts)),
    ]


def _keep(ctx: Context, scope: Scope) -> int:
    if scope.row.paused_at is not None:
        return _hold_runs_at_work(ctx, scope)
    return _put_back(ctx, scope) if scope.row.opening else 0

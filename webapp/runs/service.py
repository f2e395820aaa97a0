"""Follow and stop runs. Starting them is `starting.py`, working on them `execution/`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Text, cast, delete, exists, select, update
from sqlalchemy.orm import aliased

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.audit.service import record
from webapp.kernel.clock import now
from webapp.kernel.errors import Conflict
from webapp.kernel.ids import new_id, public_id
from webapp.runs import queries, transitions
from webapp.runs.locking import lock_families
from webapp.runs.models import Approval, Event, Fair, Lease, Run, Signal, Step
from webapp.runs.plans import learn_plan
from webapp.runs.presenting import title_of
from webapp.runs.queries import lease_now
from webapp.runs.words import run_word
from webapp.spending.service import interrupt_calls
from webapp.workflows.models import Workflow
from webapp.workflows.publishing import version_by_id


@dataclass(frozen=True, slots=True)
class StepLine:
    """One top-level step of a run as a terminal shows it."""

    path: str
    name: str
    state: str
    took_ms: int | None

    @property
    def is_over(self) -> bool:
        return self.state not in {"intent", "waiting"}

    @property
    def is_well(self) -> bool:
        return self.state in {"succeeded", "reused", "skipped"}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is, and its result once it is over."""

    word: str
    is_over: bool
    took_ms: int | None
    steps: list[StepLine]
    result: dict[str, Any] | None


@requires(Permission.VIEW_RUNS)
def find_run(ctx: Context, run_id: UUID) -> queries.RunRow:
    """Return a run with its live part."""
    return queries.find(ctx, run_id)


@requires(Permission.VIEW_RUNS)
def find_run_by_key(ctx: Context, key: str) -> Run | None:
    """Return the run that was started under `key`, if there is one."""
    return ctx.session.scalars(select(Run).where(Run.idem_key == key)).one_or_none()


@requires(Permission.VIEW_RUNS)
def progress_of(ctx: Context, run_id: UUID) -> Progress:
    """Return how far a run is, by its top-level steps in the order of the plan."""
    row = queries.find(ctx, run_id)
    version = version_by_id(ctx, row.run.version_id)
    known = learn_plan(version.id, version.workflow_id, version.number, version.plan)
    newest = {step.path: step for step in queries.steps(ctx, run_id) if "/" not in step.path}
    lines = [
        StepLine(step.id, title_of(step), newest[step.id].state, _step_ms(newest[step.id]))
        for step in known.plan.steps
        if step.id in newest
    ]
    result = queries.result_of(ctx, row.run) if row.run.is_over else None
    word = run_word(row.run.state, row.run.reason, problems=row.run.problems)
    return Progress(word.text, row.run.is_over, row.run.took_ms, lines, result)


def _step_ms(step: Any) -> int | None:
    if step.started_at is None or step.done_at is None:
        return None
    return max(0, round((step.done_at - step.started_at).total_seconds() * 1000))


@requires(Permission.VIEW_RUNS)
def run_events(ctx: Context, run_id: UUID, after: int = 0, most: int = 500) -> list[Event]:
    """Return what happened to a run behind event `after`, in order."""
    queries.find(ctx, run_id)
    return list(queries.events(ctx, run_id, after, min(most, 500)))


@requires(Permission.VIEW_RUNS)
def run_seq(ctx: Context, run_id: UUID) -> int:
    """Return the number of the run's newest event; a room of the live socket starts there."""
    return queries.find(ctx, run_id).seq


@requires(Permission.CONTROL_RUNS)
def cancel_run(ctx: Context, run_id: UUID) -> queries.RunRow:
    """Stop a run: from the commit on it begins nothing new. Finished steps stay finished.

    A run that nobody works on is cancelled at once; a worker has 10 s to stop in order, then the
    sweep does it for it.

    Raises:
        Conflict: the run is already over.
    """
    lock_families(ctx, [run_id])
    lease = lock_lease(ctx, run_id)  # first: what is read before may be over by then
    run = queries.find(ctx, run_id).run
    if lease is None:
        word = run_word(run.state, run.reason, problems=run.problems)
        raise Conflict("E-RUN-OVER", word=word.text)
    _stop(ctx, run, lease, {"by": ctx.actor.name})
    return queries.find(ctx, run_id)


def _stop(ctx: Context, run: Run, lease: Lease, why: dict[str, Any]) -> None:
    record(ctx, "run.cancelled", public_id("run", run.id), before={"state": run.state})
    if lease.state == "running":
        if lease.cancel_at is None:
            _tell_to_end(ctx, lease)
            add_event(ctx, lease, "run.cancelling", why)
    else:
        close_cancelled(ctx, run, lease)
    ctx.session.flush()


def _tell_to_end(ctx: Context, lease: Lease) -> None:
    """Let a run's worker end it. A pause that it has not come to yet would hold it instead."""
    lease.cancel_at = lease.cancel_at or lease_now(ctx)
    lease.pause_at = lease.wait_reason = lease.paused_by = None


@requires(Permission.START_RUNS)
def lock_starts(ctx: Context, workflow_id: UUID) -> None:
    """Let no other start of this workflow go on before this transaction ends."""
    row = select(Workflow.id).where(Workflow.id == workflow_id).with_for_update(key_share=True)
    ctx.session.execute(row)


@requires(Permission.START_RUNS)
def runs_under_way(ctx: Context, workflow_id: UUID, most: int = 1000) -> list[UUID]:
    """Return runs of this workflow that have not ended, in the order in which leases are locked;
    those that another run started are its own affair.
    """
    own = (Run.id == Lease.run_id) & Run.parent_run.is_(None)
    query = select(Lease.run_id).join(Run, own).where(Lease.workflow_id == workflow_id)
    states = Lease.state.in_(("ready", "running", "waiting", "paused"))  # for the index
    here = Lease.organization_id == ctx.organization_id
    return list(ctx.session.scalars(query.where(here, states).order_by(Lease.run_id).limit(most)))


@requires(Permission.START_RUNS)
def make_way(ctx: Context, run_id: UUID) -> None:
    """Cancel a run whose workflow is started anew and runs only once at a time."""
    lease = lock_lease(ctx, run_id)
    if lease is not None:
        run = queries.find(ctx, run_id).run
        _stop(ctx, run, lease, {"by": ctx.actor.name, "why": "restart"})


def close_cancelled(ctx: Context, run: Run, lease: Lease) -> None:
    """End a run that no worker holds any more as cancelled.

    When a step that must happen at most once was in flight, nobody can know whether it did: the
    run then needs a decision instead.
    """
    open_steps = ctx.session.scalars(
        select(Step).where(Step.run_id == run.id, Step.state.in_(["intent", "waiting", "unknown"]))
    ).all()
    # What nobody has decided stays in doubt; what was to be done again is not done any more.
    undecided = [s for s in open_steps if s.state == "unknown" and "decided" not in (s.error or {})]
    open_steps = [s for s in open_steps if s not in undecided]
    doubtful = [s for s in open_steps if s.state == "intent" and s.effect == "at_most_once"]
    seq = lease.seq + 1
    for step in open_steps:
        step.state = "unknown" if step in doubtful else "cancelled"
        step.done_at, step.seq = now(), seq
    if run.state != "needs_review":  # or somebody has seen the question, and cancels instead
        doubtful += [step for step in undecided if step.effect == "at_most_once"]
    if doubtful:
        _ask_nobody(ctx, run.id)
        transitions.check(run.state, "needs_review")
        run.state, run.reason = "needs_review", "review"
        lease.state, lease.wait_reason, lease.worker = "waiting", "review", None
        lease.lease_until = lease.due_at = None
        lease.cancel_at = lease.cancel_at or lease_now(ctx)  # it ends once that is decided
        lease.fence += 1
        add_event(ctx, lease, "run.needs_review", {"steps": len(doubtful)})
        _cancel_children(ctx, run)
        return
    close_run(ctx, run, lease, "cancelled", {"by": ctx.actor.name})


def close_run(ctx: Context, run: Run, lease: Lease, state: str, data: dict[str, Any]) -> None:
    """End a run that no worker holds any more: who waits for it hears, what it began is ended."""
    transitions.check(run.state, state)
    _ask_nobody(ctx, run.id)
    run.state, run.reason, run.finished_at = state, None, now()
    run.took_ms = _took_ms(run)
    _end_calls(ctx, run, lease)
    _end_retries(ctx, run, lease)
    run.cost_nano, run.steps_done = lease.cost_nano, lease.done
    run.below_nano = lease.below_nano
    add_event(ctx, lease, f"run.{state}", data)
    run.seq = lease.seq
    worked_ms = lease.ran_ms
    if lease.fence == 0 and lease.workflow_id is not None:
        _leave_line(ctx, lease.queue)
    ctx.session.execute(delete(Lease).where(Lease.run_id == run.id))
    ctx.session.expunge(lease)
    _cancel_children(ctx, run)
    _tell_parent(ctx, run, worked_ms)


def _end_calls(ctx: Context, run: Run, lease: Lease) -> None:
    """Count calls of models as spent that a lost worker had reserved and nobody will settle."""
    for call in interrupt_calls(ctx, run.id):
        lease.cost_nano += call.amount_nano or 0
        step = ctx.session.get(Step, (run.id, call.path, call.attempt))
        if step is not None:
            step.cost_nano += call.amount_nano or 0
            step.tokens_in, step.tokens_out = (
                step.tokens_in + call.tokens_in,
                step.tokens_out + call.tokens_out,
            )


def _end_retries(ctx: Context, run: Run, lease: Lease) -> None:
    """Close the attempts that were to follow failed ones, as the engine does."""
    later = aliased(Step)
    same = (later.run_id == Step.run_id, later.path == Step.path)
    newest = ~exists().where(*same, later.attempt > Step.attempt)
    again = cast(Step.error, Text).contains('"again"')
    failed = select(Step).where(Step.run_id == run.id, Step.state == "failed", newest, again)
    for step in ctx.session.scalars(failed).all():
        following = Step(
            organization_id=step.organization_id, run_id=run.id, path=step.path,
            attempt=step.attempt + 1, step_id=step.step_id, kind=step.kind, state="cancelled",
            effect=step.effect, idem_key=step.idem_key, fence=lease.fence, seq=lease.seq + 1,
            started_at=now(), done_at=now(),
        )  # fmt: skip
        ctx.session.add(following)


def _cancel_children(ctx: Context, run: Run) -> None:
    """End what the steps of a run have started."""
    for child_id in children_of(ctx, run.id):
        lease = lock_lease(ctx, child_id)
        if lease is None:
            continue
        if lease.state == "running":
            _tell_to_end(ctx, lease)
        elif lease.wait_reason == "review":
            lease.cancel_at = lease.cancel_at or lease_now(ctx)
        else:
            close_cancelled(ctx, ctx.session.get_one(Run, child_id), lease)


def children_of(ctx: Context, run_id: UUID) -> Sequence[UUID]:
    """Return the runs under way that steps of a run wait for, in the order of their locks.

    What a step only set going stands on its own.
    """
    left = exists().where(
        Step.run_id == Run.parent_run, Step.path == Run.parent_path, Step.state == "succeeded"
    )
    query = select(Run.id).where(Run.parent_run == run_id, Run.state.not_in(transitions.OVER))
    return ctx.session.scalars(query.where(~left).order_by(Run.id)).all()


def _tell_parent(ctx: Context, run: Run, worked_ms: int) -> None:
    """Tell the run whose step started this one that it is over, and what it came to."""
    lease = None if run.parent_run is None else lock_lease(ctx, run.parent_run)
    cost = run.cost_nano + run.below_nano
    if lease is None or run.parent_path is None:
        _cost_above(ctx, run, cost)
        return
    lease.below_nano += cost
    if run.part is not None:
        lease.done += run.steps_done
        lease.ran_ms += worked_ms // max(1, run.part["beside"])
    end = {"state": run.state, "result": run.result, "error": run.error}
    told = {"cost": cost, "steps": run.steps_done, "problems": run.problems}
    deliver(ctx, lease, "child", run.parent_path, end | told)


def _cost_above(ctx: Context, run: Run, cost: int) -> None:
    """Count what a run has cost for those above it that are over already."""
    while cost and run.parent_run is not None:
        above = ctx.session.get(Run, run.parent_run, with_for_update=True, populate_existing=True)
        if above is None:
            return
        lease = lock_lease(ctx, above.id)
        if lease is not None:
            lease.below_nano += cost
            return
        above.below_nano += cost
        run = above


def _ask_nobody(ctx: Context, run_id: UUID) -> None:
    """Close what the run asks people."""
    asks = update(Approval).where(Approval.run_id == run_id, Approval.state == "open")
    ctx.session.execute(asks.values(state="cancelled", look_at=None))


def deliver(ctx: Context, lease: Lease, kind: str, key: str, data: Any) -> Signal:
    """Write down what has come for a run whose lease is locked, and let it go on.

    Args:
        kind: signal, approval or child.
        key: the signal's name, else the path of the step that waits.
    """
    signal = Signal(
        run_id=lease.run_id,
        id=new_id(),
        organization_id=ctx.organization_id,
        kind=kind,
        key=key,
        data=data,
        by=ctx.actor.name,
    )
    ctx.session.add(signal)
    add_event(ctx, lease, "signal.received", {"kind": kind, "key": key[:200]})
    if lease.state == "waiting" and lease.wait_reason != "review":
        wake(ctx, lease)
    ctx.session.flush()
    return signal


def wake(ctx: Context, lease: Lease) -> None:
    """Put a waiting run back in line, at the head."""
    run = ctx.session.get_one(Run, lease.run_id)
    transitions.check(run.state, "queued")
    lease.state, lease.vtime, lease.due_at, lease.wait_reason = "ready", 0, None, None
    run.state, run.reason = "queued", "signal"
    ctx.hints.ring(lease.queue)


def lock_lease(ctx: Context, run_id: UUID) -> Lease | None:
    """Return the lease so that no worker moves it meanwhile; SQLite writers are alone anyway."""
    query = select(Lease).where(Lease.run_id == run_id).with_for_update()
    return ctx.session.scalars(query, execution_options={"populate_existing": True}).one_or_none()


def add_event(ctx: Context, lease: Lease, type: str, data: dict[str, Any]) -> None:
    """Write what happened to a run whose lease is locked, and tell its pages."""
    lease.seq += 1
    ctx.session.add(
        Event(
            run_id=lease.run_id,
            organization_id=lease.organization_id,
            seq=lease.seq,
            at=now(),
            type=type,
            data=data,
        )
    )
    ctx.session.flush()  # the lease may be deleted next
    public = public_id("run", lease.run_id)
    ctx.hints.tell(f"run:{public}", type, lease.seq, **data)
    ctx.hints.tell(f"runs:{public_id('org', lease.organization_id)}", type, run=public)


def _leave_line(ctx: Context, queue: str) -> None:
    ctx.session.execute(
        update(Fair)
        .where(Fair.queue == queue, Fair.organization_id == ctx.organization_id)
        .values(waiting=Fair.waiting - 1)
    )


def _took_ms(run: Run) -> int | None:
    if run.started_at is None or run.finished_at is None:
        return None
    return max(0, round((run.finished_at - run.started_at).total_seconds() * 1000))


def runs_room(ctx: Context) -> str:
    return f"runs:{public_id('org', ctx.organization_id)}"

"""Find runs that hang, and end them: their worker lives, and nothing gets on.

A worker that dies loses its leases; one whose step never comes back keeps renewing them. What
tells the two apart from a step that takes long is the step's own time limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import func, select

from webapp.access.context import SYSTEM, Context, system_only
from webapp.access.tenancy import across_organizations
from webapp.engine.errors import span
from webapp.engine.recovery import CALL
from webapp.engine.steps import KINDS
from webapp.kernel.clock import now
from webapp.runs import transitions
from webapp.runs.locking import lock_families
from webapp.runs.models import Lease, Run, Step
from webapp.runs.paths import Places
from webapp.runs.plans import learn_plan
from webapp.runs.queries import lease_now
from webapp.runs.service import add_event, close_run
from webapp.workflows.models import Version

HUNG_S: Final = 600
"""A run is left alone for so long, or for the time limit of a step that it is at, if longer."""
_AT_ONCE: Final = 50


@system_only
def end_hung_runs(ctx: Context, hung_s: int = HUNG_S) -> int:
    """End runs at work that wrote nothing and streamed no text for too long; returns how many.

    The fence moves first, so that what comes back later can write nothing. A step that must
    happen at most once is asked about; otherwise the run fails.
    """
    ended = 0
    with across_organizations(ctx.session, "runs that hang"):
        silent = select(Lease.run_id, Lease.organization_id).where(
            Lease.state == "running",
            Lease.cancel_at.is_(None),  # that has a limit of its own
            Lease.wrote_at < lease_now(ctx) - hung_s * 1000,
        )
        # In any order: those whose steps may take that long hide no others.
        found = ctx.session.execute(silent.order_by(func.random()).limit(_AT_ONCE)).all()
        lock_families(ctx, [run_id for run_id, _ in found])
    for run_id, organization_id in found:
        own = Context(ctx.session, organization_id, SYSTEM, ctx.settings, hints=ctx.hints)
        ended += _end_if_hung(own, run_id, hung_s)
    return ended


def _end_if_hung(ctx: Context, run_id: UUID, hung_s: int) -> bool:
    lease = ctx.session.get(Lease, run_id, with_for_update=True, populate_existing=True)
    run = ctx.session.get(Run, run_id)
    if lease is None or run is None or lease.state != "running" or lease.wrote_at is None:
        return False
    begun = select(Step).where(Step.run_id == run_id, Step.state.in_(["intent", "waiting"]))
    steps = ctx.session.scalars(begun.order_by(Step.path)).all()
    most_s = max([hung_s, *_limits_s(ctx, run, steps)])
    if lease.wrote_at >= lease_now(ctx) - most_s * 1000:
        return False
    lease.fence += 1
    doubtful = [s for s in steps if s.state == "intent" and s.effect == "at_most_once"]
    if doubtful:
        _ask(ctx, run, lease, doubtful)
    else:
        _fail(ctx, run, lease, steps, most_s)
    ctx.session.flush()
    return True


def _limits_s(ctx: Context, run: Run, steps: Sequence[Step]) -> list[float]:
    """Return the time limits of one attempt at what is at work; a call has its agent's."""
    version = ctx.get(Version, run.version_id)
    made_of = learn_plan(version.id, version.workflow_id, version.number, version.plan)
    places = Places(made_of.plan)
    found = []
    for row in steps:
        step = places.step_at(row.path.partition(CALL)[0])
        if row.state == "intent" and step is not None:
            limit = step.timeout_s or KINDS[step.kind].timeout_s
            found.append(float(limit or 0))
    return found


def _ask(ctx: Context, run: Run, lease: Lease, doubtful: list[Step]) -> None:
    """Let a person say what became of steps that must happen at most once."""
    transitions.check(run.state, "needs_review")
    run.state, run.reason = "needs_review", "review"
    lease.state, lease.wait_reason, lease.worker = "waiting", "review", None
    lease.lease_until = lease.due_at = None
    add_event(ctx, lease, "run.needs_review", {"steps": len(doubtful), "why": "hung"})
    for step in doubtful:
        text = "This step did not come back. It may have had its effect."
        step.state, step.error = "unknown", {"code": "E-DOUBT", "text": text}
        step.done_at, step.seq = now(), lease.seq


def _fail(ctx: Context, run: Run, lease: Lease, steps: Sequence[Step], most_s: float) -> None:
    limit = span(round(most_s))
    text = f"Nothing happened in this run for {limit}, so we stopped it."
    error = {"code": "E-RUN-HUNG", "text": text, "facts": {"limit": limit}}
    at_work = [step for step in steps if step.state == "intent"]
    for step in steps:
        step.state = "failed" if step in at_work else "cancelled"
        step.error = error if step in at_work else step.error
        step.done_at, step.seq = now(), lease.seq + 1
    where = {"step": at_work[0].step_id, "path": at_work[0].path} if at_work else {}
    run.error = error | where
    close_run(ctx, run, lease, "failed", {"code": "E-RUN-HUNG", "step": where.get("step")})
    run.reason = "E-RUN-HUNG"

"""Settle what no machine can know: a person says whether an effect in doubt happened.

A run asks once everything else in it has come to rest. It goes on when the last question is
answered; what was said is in the journal by then, so no worker has to hear of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, String, and_, func, literal_column, or_, select

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.audit.service import record
from webapp.engine.recovery import CALL
from webapp.kernel.clock import now
from webapp.kernel.errors import Conflict
from webapp.kernel.ids import public_id
from webapp.runs import queries, transitions
from webapp.runs.models import Lease, Run, Step
from webapp.runs.pausing import rest
from webapp.runs.queries import lease_now
from webapp.runs.service import add_event, lock_lease

Decision = Literal["happened", "again"]

ASKED_AT_ONCE: Final = 20
_SAID: Final = {"happened": "that it happened", "again": "to do it again"}


@requires(Permission.VIEW_RUNS)
def open_questions(
    ctx: Context, run_id: UUID, most: int = ASKED_AT_ONCE
) -> tuple[Sequence[Step], int]:
    """Return the first steps of a run that a person has to decide, and how many there are."""
    asked = select(Step).where(_asks(ctx, run_id)).order_by(Step.path).limit(most)
    found = ctx.session.scalars(asked).all()
    return found, len(found) if len(found) < most else _count(ctx, run_id)


@requires(Permission.CONTROL_RUNS)
def decide_step(ctx: Context, run_id: UUID, path: str, decision: Decision, note: str = "") -> int:
    """Say of a step whose effect is in doubt that it happened, or that it shall be done again.

    Returns:
        How many steps are left to decide; the run goes on when there is none.

    Raises:
        NotFound: no such run here, or it has not reached such a step.
        Conflict: nobody is asked about this step, or somebody has answered.
    """
    lease = lock_lease(ctx, run_id)  # first: of two people who decide, one is told of the other
    run = queries.find(ctx, run_id).run
    step = ctx.session.scalars(
        select(Step).where(_asks(ctx, run_id), Step.path == path)
    ).one_or_none()
    if lease is None or run.state != "needs_review" or step is None:
        newest = queries.attempts(ctx, run_id, path)[-1]
        raise Conflict("E-DECIDED", why=_why_not(newest, is_over=lease is None))
    _settle(ctx, lease, step, decision, note)
    left = _count(ctx, run_id)
    if not left:
        _go_on(ctx, run, lease)
    ctx.session.flush()
    ctx.hints.points.append("web.after_approve_commit")
    return left


def _asks(ctx: Context, run_id: UUID) -> ColumnElement[bool]:
    """Whether a row waits for a person; while a run asks, an intent is no longer at work.

    An agent's own row is no question: it goes on when its tool call is decided.
    """
    on_sqlite = ctx.session.get_bind().dialect.name == "sqlite"
    said = "json_extract(step.error, '$.decided')" if on_sqlite else "step.error ->> 'decided'"
    return and_(
        Step.run_id == run_id,
        Step.organization_id == ctx.organization_id,
        Step.effect == "at_most_once",
        or_(
            Step.state == "intent",
            and_(Step.state == "unknown", literal_column(said, String).is_(None)),
        ),
    )


def _count(ctx: Context, run_id: UUID) -> int:
    return ctx.session.scalar(select(func.count()).where(_asks(ctx, run_id))) or 0


def _why_not(step: Step, *, is_over: bool) -> str:
    error = step.error or {}
    if "decided" in error:
        return f"{error.get('by')} has said {_SAID[error['decided']]}."
    if is_over:
        return "The run is over."
    if step.state == "unknown":
        return "Decide about the tool call of this agent instead."
    return "Nobody is asked about this step."


def _settle(ctx: Context, lease: Lease, step: Step, decision: Decision, note: str) -> None:
    said = {"decided": decision, "by": ctx.actor.name} | ({"note": note} if note else {})
    facts = {"state": step.state}
    step.error = (step.error or {}) | said
    if decision == "happened":
        step.state, step.error = "succeeded", said
        lease.done += CALL not in step.path
    elif lease.cancel_at is not None or CALL in step.path:
        # A run that is to be cancelled does nothing again, and an agent's call is made anew when
        # the agent asks for it.
        step.state = "cancelled"
    else:
        step.state = "unknown"
    event = {"path": step.path, "step": step.step_id, "attempt": step.attempt}
    add_event(ctx, lease, "step.decided", event | {"decision": decision, "by": ctx.actor.name})
    step.done_at, step.seq = now(), lease.seq
    after = said | {"path": step.path}
    record(ctx, "step.decided", public_id("run", lease.run_id), before=facts, after=after)
    ctx.session.flush()


def _go_on(ctx: Context, run: Run, lease: Lease) -> None:
    """Put the run back in line. Its fence moves when it is claimed, as always."""
    lease.wait_reason, lease.pause_at = _told_to_pause(ctx, run, lease), None
    if lease.wait_reason is not None:
        rest(run, lease)
        add_event(ctx, lease, "run.paused", {"by": lease.paused_by})
        return
    transitions.check(run.state, "queued")
    run.state, run.reason = "queued", None
    lease.state, lease.vtime, lease.due_at = "ready", 0, None
    if lease.cancel_at is not None:
        lease.cancel_at = lease_now(ctx)  # whoever ends it has 10 s again
    add_event(ctx, lease, "run.queued", {"resumed": True})
    ctx.hints.ring(lease.queue)


def _told_to_pause(ctx: Context, run: Run, lease: Lease) -> str | None:
    """Return which pause still holds that its worker had not heard of; None: none does.

    What pauses a workflow, the organization or the queue holds the run in line as well.
    """
    if lease.pause_at is None or lease.cancel_at is not None:
        return None
    if lease.paused_by is not None:
        return "run"
    above = None if run.parent_run is None else ctx.session.get(Lease, run.parent_run)
    held = above is not None and (above.state == "paused" or above.pause_at is not None)
    return "parent" if held else None

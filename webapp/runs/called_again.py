"""What the run of a step goes on with, when the run around it is run again."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.engine.plan import Plan
from webapp.engine.recovery import CALL
from webapp.engine.reuse import is_untouched
from webapp.runs.families import families, whole_of
from webapp.runs.later import repetitions_of, with_later
from webapp.runs.models import PART, Run, Step
from webapp.runs.taking_over import END, Taken, journal_of, rows_in, taken_from
from webapp.workflows.comparing import changed_steps
from webapp.workflows.publishing import version_by_id

_OVER: Final = frozenset({"done", "failed", "cancelled", "needs_review"})
_MOST_REPEATED: Final = 50


@dataclass(frozen=True, slots=True)
class Called:
    """A run that a step had started. `is_settled`: the step ended well, there or in a repetition,
    and a person wants it once more.
    """

    run: Run
    is_settled: bool


@requires(Permission.START_RUNS)
def called_before(ctx: Context, parent_run: UUID, path: str) -> Called | None:
    """Return the run that the step at a path had started in the run that this one repeats.

    Of several repetitions the last counts that came so far; one beside it, which repeats the same
    run, only if no other did.
    """
    asks = whole_of(ctx, ctx.get(Run, parent_run))
    above: Run | None = asks
    for _ in range(_MOST_REPEATED):
        if above is None or above.again_of is None:
            break  # the first one, or what it repeats is forgotten
        beside = [one for one in repetitions_of(ctx, above.again_of) if one != asks.id]
        for repeated in ([above.again_of], beside):
            if (found := _called_in(ctx, families(ctx, repeated), path)) is not None:
                others = families(ctx, [above.again_of, *beside])
                return Called(found, _ended_well(ctx, others, path, asks.queued_at))
        above = ctx.session.get(Run, above.again_of)
    return None


def _called_in(ctx: Context, members: Iterable[UUID], path: str) -> Run | None:
    called = (Run.parent_run.in_(members), Run.parent_path == path, Run.kind != PART)
    return ctx.session.scalars(select(Run).where(*called).order_by(Run.id.desc()).limit(1)).first()


def _ended_well(ctx: Context, members: Iterable[UUID], path: str, until: datetime) -> bool:
    """Whether the step did before a time at which a person could have been asked about it."""
    steps = rows_in(ctx, dict.fromkeys(members, ""), Step.path == path, Step.done_at < until)
    return any(step.state == "succeeded" for step in steps)


@requires(Permission.START_RUNS)
def go_on_from(
    ctx: Context, called: Called, run: Run, given: Collection[str], plan: Plan
) -> Taken | None:
    """Let a run that a step of a repetition starts go on where the one before it failed, so that
    nothing that it sent, or that repetitions of it have sent since, is sent twice; None: it begins
    anew, being about something else.

    Nobody is asked about what was on its way and may be repeated: it goes on as after a loss.

    Args:
        run: not written yet; given: names of the inputs that the step hands over.
    """
    old = called.run
    same = all(run.inputs.get(name) == old.inputs.get(name) for name in given)
    is_over = old.state in _OVER and not called.is_settled
    if not is_over or old.workflow_id != run.workflow_id or not same:
        return None
    changed: Collection[str] = ()
    if old.version_id == run.version_id:
        run.inputs = old.inputs
    else:
        ran, now = (version_by_id(ctx, one).plan for one in (old.version_id, run.version_id))
        changed = changed_steps(ran, now)
        if run.inputs != old.inputs:
            changed = [step.id for step in plan.walk()]
    failed_at = END if old.state == "done" else str((old.error or {}).get("path") or "")
    rows = journal_of(ctx, old.id)
    known = with_later(ctx, old.id, rows)
    taken = taken_from(old, rows, plan, failed_at, (), changed, known=known)
    run.again_of, run.again_from = old.id, None if failed_at == END else failed_at or None
    _resume(taken, plan, changed)
    return taken


def _resume(taken: Taken, plan: Plan, changed: Collection[str]) -> None:
    """Let what was on its way go on instead of being skipped: nobody could say "send again".

    What was cut off since another lane was first loses once more.
    """
    calls = {row.path.rpartition(CALL)[0] for row in taken.rows if row.is_call}
    cut_off = {row.path for row in taken.rows if row.was_cut_off and row.why_skipped != "lost"}
    goes_on = [
        path
        for path in taken.skipped
        if path in cut_off and path not in calls and is_untouched(plan, changed, path)
    ]
    taken.resumed.extend(goes_on)
    taken.skipped[:] = [path for path in taken.skipped if path not in set(goes_on)]

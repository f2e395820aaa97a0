"""How much a run has sent outside, and whether the other side may have seen more."""

from __future__ import annotations

from typing import Any, Final

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.engine.plan import Plan, Step
from webapp.engine.steps import KINDS
from webapp.runs import journal_queries
from webapp.runs.lines import Journal
from webapp.runs.models import Run

_HOLD_MORE: Final = frozenset({"each", "repeat", "agent", "workflow"})
"""Kinds with steps, calls or runs inside of which the page shows only some."""

_LOOKED_AT: Final = 500
"""Of more attempts nobody says that none of them has arrived."""
_DOUBTFUL: Final = frozenset({"E-TIME", "E-OURS", "E-HTTP-5XX", "E-HTTP-LARGE", "E-HTTP-REACH"})
"""How a step fails whose request has left: none of these proves that nothing happened."""


@requires(Permission.VIEW_RUNS)
def count_outside(ctx: Context, run: Run, plan: Plan, journal: Journal) -> tuple[int, bool]:
    """Return how many effects were done, and whether it is certain that there were no others."""
    steps = list(plan.walk())
    if not any(_may_send(step) for step in steps):
        return 0, True
    states = [row.state for row in journal.rows.values() if row.effect != "none"]
    shows_all = not any(step.kind in _HOLD_MORE for step in steps)
    sent = states.count("succeeded") if shows_all else journal_queries.count_sent(ctx, run.id)
    if shows_all and len(states) == sent:
        return sent, True
    if not (run.is_over or run.state == "needs_review"):
        return sent, True  # what is on its way is not done yet
    perhaps = journal_queries.arrived_perhaps(ctx, run.id, _LOOKED_AT)
    return sent, len(perhaps) < _LOOKED_AT and not any(map(_may_have_arrived, perhaps))


def _may_send(step: Step) -> bool:
    if step.kind in {"agent", "workflow"} or step.config is None:
        return True
    return KINDS[step.kind].effect(step.config).value != "none"


def _may_have_arrived(row: Any) -> bool:
    """Whether an effect that came to no good end may have been there."""
    error = row.error or {}
    if row.state == "failed":
        return error.get("code") in _DOUBTFUL and "Nothing was sent." not in str(error.get("text"))
    if "held_s" in error:
        return False  # it waited for its service
    return row.state != "skipped" or error.get("reason") in journal_queries.CUT_OFF_REASONS

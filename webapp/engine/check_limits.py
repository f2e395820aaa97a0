"""Whether the limits of a plan's steps and of its runs fit together."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from webapp.engine.journal import HOLDERS
from webapp.engine.plan import Limits, Plan, Step
from webapp.engine.steps import KINDS


def beyond_run(step: Step, run: Limits) -> Iterator[tuple[str, str]]:
    """Yield each limit of a step that limits nothing, or allows more than the whole run may take,
    and what to say.
    """
    if step.timeout_s is not None and step.kind in HOLDERS:
        yield "timeout_s", "its time limit does nothing: give one to the steps in it"
    elif step.timeout_s and step.timeout_s > run.seconds and not _waits(step):
        yield "timeout_s", "one try of it may take longer than the whole run may work"
    if step.cost_usd and run.cost_usd and Decimal(step.cost_usd) > Decimal(run.cost_usd):
        yield "cost_usd", "it may cost more than the whole run may"
    if step.kind == "each" and step.config is not None:
        inside = sum(not one.off for one in step.blocks.get("", []))
        if step.config.most * inside > run.steps:
            yield (
                "with.most",
                (
                    f"{step.config.most:,} items with {inside} steps each are more than "
                    f"the {run.steps:,} steps a run may do"
                ),
            )


def _waits(step: Step) -> bool:
    """Whether the step's time is no working time of the run."""
    kind = KINDS.get(step.kind)
    return kind is not None and (kind.waits is not None or kind.heard is not None)


def never_ends(plan: Plan) -> str:
    """Return what to say when every run has to reach its limit of steps, else ""."""
    always = sum(not step.off for step in plan.steps)
    if always <= plan.limits.steps:
        return ""
    return f"a run may do {plan.limits.steps:,} steps, and {always:,} are always done"

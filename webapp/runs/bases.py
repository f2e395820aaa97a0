"""By which version a run is run again: as it ran, or by what is live now."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.engine.plan import Plan
from webapp.engine.reuse import stands_in
from webapp.kernel.errors import Conflict, Invalid
from webapp.runs.looking import plan_of_version
from webapp.runs.models import Run
from webapp.runs.plans import KnownPlan
from webapp.runs.starting import inputs_for
from webapp.workflows.comparing import changed_steps
from webapp.workflows.publishing import live_of, version_by_id
from webapp.workflows.service import get_workflow

VersionChoice = Literal["same", "live"]


@dataclass(frozen=True, slots=True)
class Basis:
    """What a repetition goes by.

    Attributes:
        number: of the version; None is a copy of a draft.
        steps: how many the plan has, blocks included.
        live: number of the version that is live, if it is another one than the old run's.
        changed: ids of its steps that the old run had not, or that it had otherwise.
    """

    version_id: UUID
    number: int | None
    plan: Plan
    steps: int
    inputs: dict[str, Any]
    live: int | None
    changed: Collection[str] = ()


@requires(Permission.VIEW_RUNS)
def basis_of(ctx: Context, run: Run, start: str, version: VersionChoice = "same") -> Basis:
    """Return what a repetition of `run` from the step at `start` goes by.

    Raises:
        Gone: the workflow is in the bin, and starts nothing more.
        Conflict: nothing is live.
        Invalid: the live version has no such step, or asks for what the run was not given.
    """
    found = live_of(ctx, run.workflow_id)
    if found is None:
        get_workflow(ctx, run.workflow_id)  # or it is in the bin
    other = None if found is None or found[0] == run.version_id else found[1]
    if version == "same":
        known = plan_of_version(ctx, run.version_id)
        return Basis(known.version_id, known.number, known.plan, known.steps, run.inputs, other)
    if found is None:
        raise Conflict("E-NO-LIVE")
    known = plan_of_version(ctx, found[0])
    if start and not stands_in(known.plan, start):
        text = (
            f"Version {known.number} has no such step at this place. Begin from an earlier one, "
            "or by the version as it ran."
        )
        raise Invalid.at("/from", "E-FIELD", what="The step", text=text)
    inputs = _inputs(ctx, run, known)
    ran, live = (version_by_id(ctx, one).plan for one in (run.version_id, known.version_id))
    changed: Collection[str] = changed_steps(ran, live)
    if any(inputs[name] != value for name, value in run.inputs.items() if name in inputs):
        changed = [step.id for step in known.plan.walk()]  # what it was given reads otherwise now
    return Basis(known.version_id, known.number, known.plan, known.steps, inputs, other, changed)


def _inputs(ctx: Context, run: Run, known: KnownPlan) -> dict[str, Any]:
    """Return what the run was given, as another version asks for it."""
    asked = {field.name for field in known.plan.inputs}
    given = {name: value for name, value in run.inputs.items() if name in asked}
    try:
        return inputs_for(ctx, known.plan, given)
    except Invalid as error:
        first = error.errors[0].detail
        text = f"Version {known.number} asks for other values than this run was given. {first}"
        raise Invalid.at("/version", "E-FIELD", what="The version", text=text) from None

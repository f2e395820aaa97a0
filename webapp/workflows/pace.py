"""How many runs of a workflow or an organization may work, and what a start does beside them."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.audit.service import record
from webapp.kernel.ids import public_id
from webapp.workflows import queries
from webapp.workflows.models import Gate
from webapp.workflows.schemas import OrganizationPace, Pace

QUEUE: Final = "runs"


@requires(Permission.VIEW_WORKFLOWS)
def gate_of(ctx: Context, scope_id: UUID) -> Gate:
    """Return what holds back the runs of a workflow, or of the organization by its own id."""
    found = ctx.session.get(Gate, (ctx.organization_id, scope_id))
    return found or _open_gate(scope_id)


def _open_gate(scope_id: UUID) -> Gate:
    return Gate(scope_id=scope_id, run_mode="parallel", opening=False)


@requires(Permission.EDIT_WORKFLOWS)
def change_pace(ctx: Context, workflow_id: UUID, pace: Pace) -> Gate:
    """Say how runs of this workflow go beside each other; runs in line hear of it at once."""
    queries.overview(ctx, workflow_id)
    gate = gate_to_change(ctx, workflow_id)
    before = {"run_mode": gate.run_mode, "most_running": gate.most_running}
    gate.run_mode, gate.most_running = pace.run_mode, pace.most_running
    _record(ctx, "workflow.paced", public_id("wf", workflow_id), before, pace.model_dump())
    return gate


@requires(Permission.PACE_RUNS)
def change_organization_pace(ctx: Context, pace: OrganizationPace) -> Gate:
    """Say how many runs of the organization may work at the same time."""
    gate = gate_to_change(ctx, ctx.organization_id)
    before = {"most_running": gate.most_running}
    gate.most_running = pace.most_running
    org = public_id("org", ctx.organization_id)
    _record(ctx, "organization.paced", org, before, pace.model_dump())
    return gate


def _record(
    ctx: Context, action: str, what: str, before: dict[str, Any], after: dict[str, Any]
) -> None:
    if before != after:
        record(ctx, action, what, before=before, after=after)
    ctx.session.flush()
    ctx.hints.ring(QUEUE)  # there may be room now


def gate_to_change(ctx: Context, scope_id: UUID) -> Gate:
    """Return the gate, made if there is none, so that no claim passes it meanwhile."""
    query = select(Gate).where(Gate.scope_id == scope_id).with_for_update()
    again = query.execution_options(populate_existing=True)
    gate = ctx.session.scalars(again).one_or_none()
    if gate is not None:
        return gate
    try:
        with ctx.session.begin_nested():
            made = _open_gate(scope_id)
            ctx.session.add(made)
            ctx.session.flush()
    except IntegrityError:  # somebody else set something at the same moment
        return ctx.session.scalars(again).one()
    return made

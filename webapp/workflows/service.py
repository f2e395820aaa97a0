"""Workflows themselves: create, find, rename, move to the bin and bring back."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.audit.service import record
from webapp.kernel.clock import now
from webapp.kernel.errors import Invalid, Taken
from webapp.kernel.ids import public_id
from webapp.workflows import queries
from webapp.workflows.blocks import first_free_number
from webapp.workflows.models import Draft, Workflow
from webapp.workflows.plans import EMPTY, digest, structural
from webapp.workflows.queries import Overview, State
from webapp.workflows.schemas import NewWorkflow, WorkflowSettings


@requires(Permission.EDIT_WORKFLOWS)
def create_workflow(ctx: Context, new: NewWorkflow) -> Overview:
    """Return the new workflow with an empty draft, or with `new.plan` as its draft.

    Raises:
        Invalid: the name is taken, or the plan is none.
    """
    plan = structural(EMPTY if new.plan is None else new.plan)
    _refuse_taken(ctx, new.name)
    workflow = Workflow(name=new.name, about=new.about)
    _store(ctx, workflow, new.name)
    ctx.session.add(
        Draft(
            workflow_id=workflow.id,
            plan=plan,
            plan_sha=digest(plan),
            next_id=first_free_number(plan),
        )
    )
    record(ctx, "workflow.created", _public(workflow), after={"name": workflow.name})
    ctx.session.flush()
    return Overview(workflow, 1, None, False)


@requires(Permission.VIEW_WORKFLOWS)
def list_workflows(
    ctx: Context,
    *,
    text: str = "",
    state: State = "any",
    before: UUID | None = None,
    limit: int = 50,
) -> list[Overview]:
    """Return up to `limit + 1` workflows older than `before`, newest first.

    Those in the bin come for the state "bin" only.
    """
    return queries.page_of_workflows(ctx, text=text, state=state, before=before, limit=limit)


@requires(Permission.VIEW_WORKFLOWS)
def newest_names(ctx: Context, most: int) -> list[tuple[UUID, str]]:
    """Return id and name of the newest workflows that are not in the bin."""
    return queries.newest_names(ctx, most)


@requires(Permission.VIEW_WORKFLOWS)
def get_workflow(ctx: Context, workflow_id: UUID) -> Overview:
    return queries.overview(ctx, workflow_id)


@requires(Permission.VIEW_WORKFLOWS)
def names(ctx: Context, ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return the names of these workflows, also of those in the bin."""
    return queries.names_of(ctx, ids)


@requires(Permission.EDIT_WORKFLOWS)
def change_settings(ctx: Context, workflow_id: UUID, settings: WorkflowSettings) -> Workflow:
    workflow = queries.overview(ctx, workflow_id).workflow
    before = {"name": workflow.name, "about": workflow.about}
    after = settings.model_dump()
    if before == after:
        return workflow
    _refuse_taken(ctx, settings.name, but=workflow_id)
    workflow.about = settings.about
    workflow.changed_at = now()
    workflow.name = settings.name
    _store(ctx, workflow, settings.name)
    record(ctx, "workflow.renamed", _public(workflow), before=before, after=after)
    return workflow


@requires(Permission.EDIT_WORKFLOWS)
def move_to_bin(ctx: Context, workflow_id: UUID) -> Workflow:
    """Take the workflow out of sight; its runs go on and stay."""
    workflow = queries.overview(ctx, workflow_id).workflow
    workflow.deleted_at = now()
    record(ctx, "workflow.deleted", _public(workflow), before={"name": workflow.name})
    ctx.session.flush()
    return workflow


@requires(Permission.EDIT_WORKFLOWS)
def bring_back(ctx: Context, workflow_id: UUID) -> Workflow:
    """Take the workflow out of the bin, under its old name or the old name with a number."""
    workflow = ctx.get(Workflow, workflow_id)
    if workflow.deleted_at is None:
        return workflow
    workflow.name = _free_name(ctx, workflow.name)
    workflow.deleted_at = None
    _store(ctx, workflow, workflow.name)
    record(ctx, "workflow.restored", _public(workflow), after={"name": workflow.name})
    return workflow


def _free_name(ctx: Context, name: str) -> str:
    number, free = 1, name
    while queries.is_name_taken(ctx, free):
        number += 1
        free = f"{name[:74]} {number}"
    return free


def _refuse_taken(ctx: Context, name: str, but: UUID | None = None) -> None:
    if queries.is_name_taken(ctx, name, but):
        raise _taken(name)


def _store(ctx: Context, workflow: Workflow, name: str) -> None:
    """Flush; two people may have chosen the same name at the same moment."""
    try:
        with ctx.session.begin_nested():
            ctx.session.add(workflow)
            ctx.session.flush()
    except IntegrityError:
        raise _taken(name) from None


def _taken(name: str) -> Invalid:
    return Taken.at("/name", "E-FIELD-TAKEN", what="This name", thing="workflow", name=name)


def _public(workflow: Workflow) -> str:
    return public_id("wf", workflow.id)

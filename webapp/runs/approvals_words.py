"""What an approval is called: by its step, and by the workflow whose run asks."""

from __future__ import annotations

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.runs.approvals import Found
from webapp.runs.looking import plan_of_run
from webapp.runs.presenting import names_of
from webapp.workflows.service import names


@requires(Permission.VIEW_RUNS)
def step_name(ctx: Context, found: Found) -> str:
    """Return the name of the step that asks."""
    step_id = found.row.path.rpartition("/")[2]
    return names_of(plan_of_run(ctx, found.run)).get(step_id, step_id)


@requires(Permission.VIEW_RUNS)
def workflow_name(ctx: Context, found: Found) -> str:
    return names(ctx, [found.run.workflow_id]).get(found.run.workflow_id, "A workflow")

"""What an approval is called: by its step, and by the workflow whose run asks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.runs.approvals import Found
from webapp.runs.looking import plan_of_run
from webapp.runs.presenting import names_of
from webapp.workflows.service import names

GONE: Final = "A workflow"


@requires(Permission.VIEW_RUNS)
def step_name(ctx: Context, found: Found) -> str:
    """Return the name of the step that asks."""
    step_id = found.row.path.rpartition("/")[2]
    return names_of(plan_of_run(ctx, found.run)).get(step_id, step_id)


@requires(Permission.VIEW_RUNS)
def workflow_names(ctx: Context, found: Iterable[Found]) -> dict[UUID, str]:
    """Return the names of the workflows whose runs ask, by id."""
    return names(ctx, list({one.run.workflow_id for one in found}))


@requires(Permission.VIEW_RUNS)
def workflow_name(ctx: Context, found: Found) -> str:
    return workflow_names(ctx, [found]).get(found.run.workflow_id, GONE)

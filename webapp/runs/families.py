"""A run with the parts of its lists: the runs that look like one."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.runs import queries
from webapp.runs.models import PART, Run


@requires(Permission.VIEW_RUNS)
def family(ctx: Context, run_id: UUID) -> dict[UUID, str]:
    """Return the run and the parts of its lists, and of their lists in turn.

    Returns:
        By id the path of the list that a part belongs to, "" for the run itself.
    """
    return {member: path for member, (_, path) in families(ctx, [run_id]).items()}


@requires(Permission.VIEW_RUNS)
def families(ctx: Context, run_ids: Sequence[UUID]) -> dict[UUID, tuple[UUID, str]]:
    """Return these runs with their parts: by id the run itself, and the path as `family` does."""
    found = {run_id: (run_id, "") for run_id in run_ids}
    newest = list(run_ids)
    while newest:
        here = (Run.organization_id == ctx.organization_id, Run.parent_run.in_(newest))
        query = select(Run.id, Run.parent_run, Run.part).where(*here, Run.kind == PART)
        rows = ctx.session.execute(query.order_by(Run.id)).all()
        newest = [part_id for part_id, _, _ in rows]
        found |= {part_id: (found[above][0], part["path"]) for part_id, above, part in rows}
    return found


@requires(Permission.VIEW_RUNS)
def wholes_of(ctx: Context, runs: Sequence[Run]) -> dict[UUID, UUID]:
    """Return which run each of these belongs to, itself no part: by id, one question a level."""
    found = {run.id: run.id for run in runs}
    above = {run.id: run.parent_run for run in runs if run.kind == PART}
    while above:
        here = (Run.organization_id == ctx.organization_id, Run.id.in_(set(above.values())))
        rows = ctx.session.execute(select(Run.id, Run.kind, Run.parent_run).where(*here)).all()
        known = {id_: (kind, parent) for id_, kind, parent in rows}
        found |= {below: parent for below, parent in above.items() if parent in known}
        above = {
            below: known[parent][1]
            for below, parent in above.items()
            if parent in known and known[parent][0] == PART
        }
    return found


@requires(Permission.VIEW_RUNS)
def whole_of(ctx: Context, run: Run) -> Run:
    """Return the run that a part belongs to, itself no part."""
    while run.kind == PART and run.parent_run is not None:
        run = queries.find(ctx, run.parent_run).run
    return run

"""A run among its relatives: what it repeats, what repeats it, and which run started it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import select

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.kernel.errors import NotFound
from webapp.runs import queries
from webapp.runs.doubting import place_in_words
from webapp.runs.models import Run
from webapp.runs.paths import Places
from webapp.runs.queries import RunRow
from webapp.runs.watching import places_of

_MOST: Final = 50


@dataclass(frozen=True, slots=True)
class Relation:
    """A sentence with a link in it: "Run again of" *run abc* ", from step 2 “Send mail”"."""

    before: str
    run_id: UUID
    after: str = ""


@requires(Permission.VIEW_RUNS)
def relations(ctx: Context, row: RunRow, places: Places) -> list[Relation]:
    """Return how this run belongs to others, oldest first."""
    run, found = row.run, []
    if run.parent_run is not None:
        found += _started_by(ctx, run)
    if run.again_of is not None:
        where = place_in_words(run.again_from, places) if run.again_from else "the beginning"
        found.append(Relation("Run again of", run.again_of, f", from {where}"))
    if run.is_over:
        found += _repeated(ctx, run)
    return found


def _started_by(ctx: Context, run: Run) -> list[Relation]:
    assert run.parent_run is not None
    try:
        parent = queries.find(ctx, run.parent_run)
    except NotFound:
        return []
    if run.part is not None:
        where = place_in_words(run.part["path"], places_of(ctx, parent))
        first, last = run.part["first"] + 1, run.part["first"] + run.part["count"]
        return [Relation("Part of", run.parent_run, f": items {first:,}–{last:,} of {where}")]
    where = place_in_words(run.parent_path or "", places_of(ctx, parent))
    return [Relation(f"Started by {where} of", run.parent_run, f", {parent.workflow_name}")]


def _repeated(ctx: Context, run: Run) -> list[Relation]:
    """Return the newest run that did this one again; of a failed run one that went well."""
    query = (
        select(Run.id, Run.state, Run.problems)
        .where(Run.again_of == run.id, Run.organization_id == ctx.organization_id)
        .order_by(Run.id.desc())
        .limit(_MOST)
    )
    again = ctx.session.execute(query).all()
    if not again:
        return []
    well = [one for one in again if one.state == "done" and not one.problems]
    times = f" ({len(again)} times in all)" if len(again) > 1 else ""
    if well and run.state != "done":
        return [Relation("Fixed by", well[0].id, times)]
    return [Relation("Run again as", again[0].id, times)]

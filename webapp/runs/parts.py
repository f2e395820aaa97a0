"""Parts of a long list: runs of their own that do some of its items and stand in no list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select

from webapp.access.context import Context, requires
from webapp.access.own_rows import OwnRows
from webapp.access.permissions import Permission
from webapp.engine.canonical import from_bytes
from webapp.files.shelf import results_shelf
from webapp.kernel.clock import now
from webapp.kernel.ids import new_id, public_id
from webapp.kernel.rawsql import sql_for
from webapp.runs import list_queries, queries, starting
from webapp.runs.looking import plan_of_run
from webapp.runs.models import PART, Run, Step
from webapp.runs.paths import item_of
from webapp.runs.pausing import rest_with_parent
from webapp.runs.service import find_run_by_key, lock_lease
from webapp.runs.taking_over import take_over

MOST_SHOWN: Final = 1_000
_TAKEN_OVER: Final = ("reused", "skipped", "failed", "intent")


@dataclass(frozen=True, slots=True)
class PartRow:
    """A part as pages show it: which items, and its run."""

    first: int
    count: int
    row: queries.RunRow

    @property
    def is_whole(self) -> bool:
        """Whether all its items are done, and none has failed."""
        return self.row.run.state == "done" and not self.row.run.problems

    @property
    def is_lost(self) -> bool:
        """Whether all its items count as failed for a list that goes on without it."""
        return self.row.run.state in {"failed", "cancelled"}


def part_of(row: queries.RunRow) -> dict[str, Any] | None:
    """Return which items of which list a run does; None: it is a whole run."""
    return row.run.part if row.run.kind == PART else None


@requires(Permission.VIEW_RUNS)
def parts_in(ctx: Context, run_id: UUID) -> dict[str, list[PartRow]]:
    """Return the first parts of a run's lists, by the path of the list."""
    here = (Run.organization_id == ctx.organization_id, Run.parent_run == run_id)
    query = select(Run.id, Run.part).where(*here, Run.kind == PART).order_by(Run.id)
    rows = ctx.session.execute(query.limit(MOST_SHOWN))
    known: dict[UUID, Any] = {part_id: part for part_id, part in rows}  # noqa: C416  # Row is no pair
    found: dict[str, list[PartRow]] = {}
    for row in sorted(list_queries.some(ctx, list(known)), key=lambda r: known[r.run.id]["first"]):
        part = known[row.run.id]
        found.setdefault(part["path"], []).append(PartRow(part["first"], part["count"], row))
    return found


@requires(Permission.VIEW_RUNS)
def handed_to(ctx: Context, part: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return the items of a part, and what its steps see of the run around it."""
    shelf = results_shelf(ctx.settings.data)
    return from_bytes(shelf.get(part["items"])), from_bytes(shelf.get(part["seen"]))["roots"]


@requires(Permission.START_RUNS)
def start_part(ctx: Context, parent: Run, path: str, part: dict[str, Any]) -> Run:
    """Start the run that does some items of a list, or return the one that does them already.

    The lease of the run it belongs to is locked, so that no other start comes between.

    Args:
        path: of the part in the journal of that run.
        part: which items, and where they lie.
    """
    key = f"child:{public_id('run', parent.id)}:{path}"
    earlier = find_run_by_key(ctx, key)
    if earlier is not None:
        return earlier
    taken_over = _taken_over(ctx, parent, part)
    about = part | {"seconds": _left_s(ctx, parent)}
    if parent.kind == "rehearsal" or (parent.part or {}).get("rehearsal"):
        about["rehearsal"] = True
    if taken_over:
        about["reused"] = True
    run = Run(
        id=new_id(),
        organization_id=ctx.organization_id,
        workflow_id=parent.workflow_id,
        version_id=parent.version_id,
        state="queued",
        kind=PART,
        started_by_kind="parent",
        started_by_name=parent.started_by_name,
        idem_key=key,
        inputs={},
        queued_at=now(),
        parent_run=parent.id,
        parent_path=path,
        depth=parent.depth,
        part=about,
    )
    starting.accept(ctx, run, part["count"])
    if taken_over:
        take_over(ctx, parent.id, run.id, taken_over)
    rest_with_parent(ctx, run.id, parent.id)
    return run


@dataclass(frozen=True, slots=True)
class StepsDone:
    """What a part has done so far, or had when it ended."""

    run_id: UUID
    parent_run: UUID
    path: str
    steps: int
    is_at_work: bool


@requires(Permission.VIEW_RUNS)
def steps_done(ctx: Context, run_id: UUID) -> list[StepsDone]:
    """Return how many steps the parts of a run have done, and the parts of those."""
    sql = sql_for(ctx.session.get_bind().dialect.name)
    return [
        StepsDone(sql.read_id(id_), sql.read_id(above), path, ended if live is None else live,
                  live is not None)
        for id_, above, path, ended, live in _STEPS_DONE(ctx, run=run_id)
    ]  # fmt: skip


_STEPS_DONE: Final = OwnRows("""
WITH RECURSIVE below(id, parent_run, parent_path, steps_done) AS (
    SELECT p.id, p.parent_run, p.parent_path, p.steps_done FROM run p
     WHERE p.organization_id = :org AND p.kind = 'part' AND p.parent_run = :run
     UNION ALL
    SELECT q.id, q.parent_run, q.parent_path, q.steps_done
      FROM below b JOIN run q ON q.parent_run = b.id
     WHERE q.organization_id = :org AND q.kind = 'part')
SELECT b2.id, b2.parent_run, b2.parent_path, b2.steps_done, l.done
  FROM below b2 LEFT JOIN lease l ON l.run_id = b2.id AND l.organization_id = :org""")


def _left_s(ctx: Context, parent: Run) -> int:
    """Return how long a part may work: what its run has left of its own time."""
    lease = lock_lease(ctx, parent.id)
    worked_s = 0 if lease is None else lease.ran_ms // 1000
    most_s = (parent.part or {}).get("seconds") or plan_of_run(ctx, parent).limits.seconds
    return max(1, int(most_s) - worked_s)


def _taken_over(ctx: Context, parent: Run, part: dict[str, Any]) -> list[str]:
    """Return what the run took over of these items from the run that it repeats."""
    if parent.again_of is None and not (parent.part or {}).get("reused"):
        return []
    each, last = part["path"], part["first"] + part["count"]
    query = select(Step.path).where(
        Step.run_id == parent.id,
        Step.organization_id == ctx.organization_id,
        Step.path.startswith(f"{each}[", autoescape=True),
        Step.state.in_(_TAKEN_OVER),
    )
    return [
        path
        for path in ctx.session.scalars(query.order_by(Step.path))
        if (index := item_of(path, each)) is not None and part["first"] <= index < last
    ]

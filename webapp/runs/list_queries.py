"""Reads of lists of runs: by keyset and by an index, without their values.

Filter and order are those of an index of `run`, so that a million runs change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row

from webapp.access.context import Context
from webapp.access.own_rows import OwnRows
from webapp.kernel.rawsql import Sql, sql_for
from webapp.runs.queries import Filters, RunRow, waits_inside

_ROWS: Final = f"""
SELECT r.id, r.workflow_id, r.state,
       CASE WHEN r.state = 'waiting' AND r.reason = 'child'
            THEN COALESCE(({waits_inside("r.id")}), r.reason) ELSE r.reason END,
       r.problems, r.started_by_name, r.error,
       r.queued_at, r.started_at, r.finished_at, r.took_ms, r.cost_nano, r.below_nano,
       r.steps_done, r.seq, r.kind, w.name, v.number, l.seq, l.done, l.total, l.cost_nano,
       l.below_nano, l.cancel_at, l.pause_at
  FROM run r
  JOIN workflow w ON w.id = r.workflow_id AND w.organization_id = :org
  JOIN version v ON v.id = r.version_id AND v.organization_id = :org
  LEFT JOIN lease l ON l.run_id = r.id AND l.organization_id = :org
 WHERE r.organization_id = :org"""  # noqa: S608  # fixed parts
WHOLE: Final = "r.kind <> 'part'"
"""What an index of lists has: runs, and not their parts."""

MOST_IDS: Final = 1_000

ASKS: Final = "asks"
WAITS: Final = "waits"
_STATES: Final = {"needs_review": ASKS, "waiting": WAITS}
"""Filters by a state that is not told by the run's own row alone: what a part of it needs decided
stands in the row of the part.
"""
ASKING: Final = """
WITH RECURSIVE above(id) AS (
    SELECT ap.parent_run FROM lease al JOIN run ap ON ap.id = al.run_id
     WHERE al.organization_id = :org AND al.state = 'waiting' AND al.workflow_id IS NULL
       AND al.wait_reason = 'review' AND ap.organization_id = :org
     UNION
    SELECT aq.parent_run FROM above a1 JOIN run aq ON aq.id = a1.id
     WHERE aq.organization_id = :org AND aq.kind = 'part')
SELECT aw.id FROM above a2 JOIN run aw ON aw.id = a2.id
 WHERE aw.organization_id = :org AND aw.kind <> 'part' AND aw.state = 'waiting'
   AND aw.reason = 'child'"""
"""Runs that wait for parts one of which needs a decision: from the few parts that do, upward."""
OF_ASKING: Final = f"SELECT asking.id FROM ({ASKING}) AS asking"  # noqa: S608  # fixed parts

_NEWEST: Final = """
SELECT (SELECT n.id FROM run n WHERE n.organization_id = :org AND n.workflow_id = o.id
           AND n.kind <> 'part'
         ORDER BY n.id DESC LIMIT 1)
  FROM workflow o WHERE o.organization_id = :org"""


@dataclass(slots=True)
class ListedRun:
    """The columns of a run that lists show, named as in `Run`."""

    id: UUID
    workflow_id: UUID
    state: str
    reason: str | None
    problems: bool
    started_by_name: str
    error: dict[str, Any] | None
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    took_ms: int | None
    cost_nano: int
    below_nano: int
    steps_done: int
    seq: int
    kind: str

    @property
    def is_over(self) -> bool:
        return self.state in {"done", "failed", "cancelled"}


@dataclass(slots=True)
class ListedLease:
    """The columns of a lease that lists show, named as in `Lease`."""

    seq: int
    done: int
    total: int
    cost_nano: int
    below_nano: int
    cancel_at: int | None
    pause_at: int | None


def page(
    ctx: Context,
    filters: Filters,
    before: UUID | None,
    most: int,
    *,
    newer_than: UUID | None = None,
) -> list[RunRow]:
    """Return up to `most` runs, newest first, older than the run `before`; by one filter at most.

    With `newer_than`, the ones next to that run that came after it.
    """
    values = given(filters)
    name = next(iter(values), None)
    if newer_than is not None:
        rows = _page(name, "newer")(ctx, **values, at=newer_than, most=most)
        return _listed(ctx, rows)[::-1]
    if before is not None:
        return _listed(ctx, _page(name, "older")(ctx, **values, at=before, most=most))
    return _listed(ctx, _page(name, "newest")(ctx, **values, most=most))


def count_newer(ctx: Context, filters: Filters, run_id: UUID, most: int = 100) -> int:
    """Return how many runs of the list came after this one, counted up to `most`."""
    values = given(filters)
    name = next(iter(values), None)
    count: int = _count_newer(name)(ctx, **values, at=run_id, most=most)[0][0]
    return count


def some(ctx: Context, run_ids: Sequence[UUID]) -> list[RunRow]:
    """Return these runs."""
    ids = _numbered(run_ids)
    return _listed(ctx, _these(len(ids))(ctx, **ids)) if ids else []


def newest_of(ctx: Context, workflow_ids: Sequence[UUID]) -> list[RunRow]:
    """Return the newest run of each of these workflows that has any, in one statement."""
    ids = _numbered(workflow_ids)
    return _listed(ctx, _newest_of(len(ids))(ctx, **ids)) if ids else []


def given(filters: Filters) -> dict[str, Any]:
    """Return what a list is narrowed to, by name, first what leaves least."""
    found = {
        "workflow_id": filters.workflow_id,
        "started_by": filters.started_by,
        _STATES.get(filters.state or "", "state"): filters.state,
    }
    return {name: value for name, value in found.items() if value is not None}


def column(name: str) -> str:
    """Return the column of `run` that a filter compares."""
    return "state" if name in {ASKS, WAITS} else name


def near(name: str, beside: str = "", order: str = " DESC") -> str:
    """Return a SELECT of one filter's runs in the order of its index.

    Args:
        beside: more that is asked of their ids, "ID" for the id.
    """
    found = (
        f"SELECT n.id FROM run n WHERE n.organization_id = :org AND n.{column(name)} = :{name}"  # noqa: S608  # fixed parts
        f" AND n.kind <> 'part'{beside.replace('ID', 'n.id')}"
    )
    if name == WAITS:
        found += f" AND n.id NOT IN ({OF_ASKING})"
    if name == ASKS:
        found += f" UNION ALL {OF_ASKING} WHERE 1 = 1{beside.replace('ID', 'asking.id')}"
    return f"{found} ORDER BY id{order}"


@cache
def _page(name: str | None, where: str) -> OwnRows:
    beside = {"newer": " AND ID > :at", "older": " AND ID < :at", "newest": ""}[where]
    order = "" if where == "newer" else " DESC"
    if name is None:
        narrowed = f" AND {WHOLE}{beside.replace('ID', 'r.id')}"
    elif name in {ASKS, WAITS}:
        found = f"{near(name, beside, order)} LIMIT :most"
        narrowed = f" AND r.id IN (SELECT found.id FROM ({found}) AS found)"  # noqa: S608  # as above
    else:
        narrowed = f" AND {WHOLE} AND r.{name} = :{name}{beside.replace('ID', 'r.id')}"
    return OwnRows(f"{_ROWS}{narrowed} ORDER BY r.id{order} LIMIT :most")


@cache
def _count_newer(name: str | None) -> OwnRows:
    newer = f"SELECT r.id FROM run r WHERE r.organization_id = :org AND {WHOLE} AND r.id > :at"  # noqa: S608  # as above
    if name is not None:
        newer = near(name, " AND ID > :at", "")
    return OwnRows(f"SELECT count(*) FROM ({newer} LIMIT :most) AS newer")  # noqa: S608  # as above


@cache
def _these(count: int) -> OwnRows:
    return OwnRows(f"{_ROWS} AND r.id IN ({_marks(count)})")


@cache
def _newest_of(count: int) -> OwnRows:
    return OwnRows(f"{_ROWS} AND r.id IN ({_NEWEST} AND o.id IN ({_marks(count)}))")


def _marks(count: int) -> str:
    return ", ".join(f":id{number}" for number in range(count))


def _numbered(ids: Sequence[UUID]) -> dict[str, UUID]:
    """Name ids; the last one is repeated, so that there are few texts of statements."""
    if not ids:
        return {}
    room = next(room for room in (25, 50, 100, MOST_IDS) if room >= len(ids))
    return {f"id{number}": ids[min(number, len(ids) - 1)] for number in range(room)}


def _listed(ctx: Context, rows: Sequence[Row[Any]]) -> list[RunRow]:
    sql = sql_for(ctx.session.get_bind().dialect.name)
    return [_run_row(sql, row) for row in rows]


def _run_row(sql: Sql, row: Any) -> RunRow:
    (
        run_id, workflow_id, state, reason, problems, by, error, queued_at, started_at,
        finished_at, took_ms, cost_nano, below_nano, steps_done, seq, kind, name, number, *live,
    ) = row  # fmt: skip
    run = ListedRun(
        sql.read_id(run_id),
        sql.read_id(workflow_id),
        state,
        reason,
        bool(problems),
        by,
        sql.read_json(error),
        sql.read_moment(queued_at),  # type: ignore[arg-type]  # a column that is never empty
        sql.read_moment(started_at),
        sql.read_moment(finished_at),
        took_ms,
        cost_nano,
        below_nano,
        steps_done,
        seq,
        kind,
    )
    return RunRow(run, ListedLease(*live) if live[0] is not None else None, name, number)

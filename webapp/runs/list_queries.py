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
from webapp.runs.queries import WAITS_INSIDE, Filters, RunRow

_ROWS: Final = """
SELECT r.id, r.workflow_id, r.state,
       CASE WHEN r.state = 'waiting' AND r.reason = 'child'
            THEN COALESCE((WAITS_INSIDE r.id), r.reason) ELSE r.reason END,
       r.problems, r.started_by_name, r.error,
       r.queued_at, r.started_at, r.finished_at, r.took_ms, r.cost_nano, r.below_nano,
       r.steps_done, r.seq, r.kind, w.name, v.number, l.seq, l.done, l.total, l.cost_nano,
       l.below_nano, l.cancel_at, l.pause_at
  FROM run r
  JOIN workflow w ON w.id = r.workflow_id AND w.organization_id = :org
  JOIN version v ON v.id = r.version_id AND v.organization_id = :org
  LEFT JOIN lease l ON l.run_id = r.id AND l.organization_id = :org
 WHERE r.organization_id = :org""".replace("WAITS_INSIDE", WAITS_INSIDE)
WHOLE: Final = "r.kind <> 'part'"
"""What an index of lists has: runs, and not their parts."""

MOST_IDS: Final = 1_000

_FILTERS: Final = {
    "state": " AND r.state = :state",
    "workflow_id": " AND r.workflow_id = :workflow_id",
    "started_by": " AND r.started_by = :started_by",
}


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
    """Return up to `most` runs, newest first, older than the run `before`.

    With `newer_than`, the ones next to that run that came after it.
    """
    given = _given(filters)
    if newer_than is not None:
        rows = _page(tuple(given), "newer")(ctx, **given, at=newer_than, most=most)
        return _listed(ctx, rows)[::-1]
    if before is not None:
        return _listed(ctx, _page(tuple(given), "older")(ctx, **given, at=before, most=most))
    return _listed(ctx, _page(tuple(given), "newest")(ctx, **given, most=most))


def count_newer(ctx: Context, filters: Filters, run_id: UUID, most: int = 100) -> int:
    """Return how many runs of the list came after this one, counted up to `most`."""
    given = _given(filters)
    count: int = _count_newer(tuple(given))(ctx, **given, at=run_id, most=most)[0][0]
    return count


def some(ctx: Context, run_ids: Sequence[UUID]) -> list[RunRow]:
    """Return these runs."""
    given = _numbered(run_ids)
    return _listed(ctx, _these(len(given))(ctx, **given)) if given else []


def newest_of(ctx: Context, workflow_ids: Sequence[UUID]) -> list[RunRow]:
    """Return the newest run of each of these workflows that has any, in one statement."""
    given = _numbered(workflow_ids)
    return _listed(ctx, _newest_of(len(given))(ctx, **given)) if given else []


@cache
def _page(names: tuple[str, ...], where: str) -> OwnRows:
    narrowed = f"{_ROWS} AND {WHOLE}" + "".join(_FILTERS[name] for name in names)
    beside = {"newer": " AND r.id > :at", "older": " AND r.id < :at", "newest": ""}[where]
    order = "" if where == "newer" else " DESC"
    return OwnRows(f"{narrowed}{beside} ORDER BY r.id{order} LIMIT :most")


@cache
def _count_newer(names: tuple[str, ...]) -> OwnRows:
    narrowed = f" AND {WHOLE}" + "".join(_FILTERS[name] for name in names)
    newer = f"SELECT 1 FROM run r WHERE r.organization_id = :org{narrowed} AND r.id > :at"  # noqa: S608  # fixed parts
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


def _given(filters: Filters) -> dict[str, Any]:
    every = ((name, getattr(filters, name)) for name in _FILTERS)
    return {name: value for name, value in every if value is not None}


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

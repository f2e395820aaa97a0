"""One page of the list of runs, for people and programs alike.

One filter has its index. Of several, the one that leaves least is followed by its index through
its newest thousand runs, and the others are looked at there: a million runs change nothing, and
whoever asks is told how far back was looked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import cache
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from webapp.access.context import Context, requires
from webapp.access.own_rows import OwnRows
from webapp.access.permissions import Permission
from webapp.kernel.ids import first_id, parse_id, public_id
from webapp.kernel.rawsql import sql_for
from webapp.runs import list_queries
from webapp.runs.queries import Filters, RunRow

LOOKED_THROUGH: Final = 1_000
_MORE_LOOKS: Final = 9
_NO_RUN_BEFORE: Final = date(2000, 1, 1)
MOST_STARTERS: Final = 50
ME: Final = "me"
_INDEX: Final = {
    "workflow_id": "run_org_workflow",
    "started_by": "run_org_by",
    "state": "run_org_state",
}
"""The index of each filter."""
_BOUNDS: Final = {"since": ">=", "before": "<", "above": ">"}


@dataclass(frozen=True, slots=True)
class Listed:
    """Some runs, newest first, and where the list goes on.

    Attributes:
        older, newer: runs behind and above which there may be more.
        looked_back_to: the oldest run that was looked at, when not all were found so far.
    """

    rows: list[RunRow]
    older: UUID | None = None
    newer: UUID | None = None
    looked_back_to: UUID | None = None


@requires(Permission.VIEW_RUNS)
def filters_of(
    ctx: Context,
    *,
    state: str | None,
    workflow: str | None,
    by: str | None,
    since: date | None,
    until: date | None,
    zone: str = "UTC",
) -> Filters:
    """Return what is asked for, by public ids and by days of a time zone.

    Raises:
        NotFound: what stands there is no id.
    """
    return Filters(
        state=state or None,
        workflow_id=parse_id("wf", workflow) if workflow else None,
        started_by=_starter(ctx, by) if by else None,
        since=None if since is None else _begin(since, zone),
        until=None if until is None or until == date.max else _begin(until + timedelta(1), zone),
    )


def _starter(ctx: Context, by: str) -> UUID | None:
    if by == ME:
        return ctx.actor.id
    return parse_id("key" if by.startswith("key_") else "usr", by)


def _begin(day: date, zone: str) -> UUID:
    """Return the first id of a day: ids begin with the time."""
    day = max(day, _NO_RUN_BEFORE)  # the first of all days has no moment in some zones
    return first_id(datetime.combine(day, time(), ZoneInfo(zone)))


@requires(Permission.VIEW_RUNS)
def list_runs(
    ctx: Context,
    filters: Filters,
    limit: int,
    *,
    before: UUID | None = None,
    newer_than: UUID | None = None,
) -> Listed:
    """Return up to `limit` runs: the newest, those before a run, or those next above one."""
    if len(list_queries.given(filters)) > 1:
        return _searched(ctx, filters, limit, before)
    plain = replace(filters, since=None, until=None)
    if newer_than is not None:
        return _above(ctx, filters, plain, limit, newer_than)
    rows = list_queries.page(ctx, plain, _sooner(before, filters.until), limit + 1)
    rows = [row for row in rows if filters.since is None or row.run.id >= filters.since]
    shown = rows[:limit]
    return Listed(
        shown,
        older=shown[-1].run.id if len(rows) > limit else None,
        newer=shown[0].run.id if shown and before is not None else None,
    )


@requires(Permission.VIEW_RUNS)
def many_runs(ctx: Context, filters: Filters, most: int) -> list[RunRow]:
    """Return up to `most` runs; of several filters what a few looks back find."""
    if len(list_queries.given(filters)) < 2:
        return list_runs(ctx, filters, most).rows
    found = list_runs(ctx, filters, list_queries.MOST_IDS)
    rows = found.rows
    for _ in range(_MORE_LOOKS):
        if found.older is None:
            break
        found = list_runs(ctx, filters, list_queries.MOST_IDS, before=found.older)
        rows += found.rows
    return rows[:most]


def _sooner(one: UUID | None, other: UUID | None) -> UUID | None:
    return min((id_ for id_ in (one, other) if id_ is not None), default=None)


def _above(ctx: Context, filters: Filters, plain: Filters, limit: int, run_id: UUID) -> Listed:
    rows = list_queries.page(ctx, plain, None, limit + 1, newer_than=run_id)
    rows = [row for row in rows if filters.until is None or row.run.id < filters.until]
    shown = rows[-limit:]
    return Listed(
        shown,
        older=shown[-1].run.id if shown else None,
        newer=shown[0].run.id if len(rows) > limit else None,
    )


def _searched(ctx: Context, filters: Filters, limit: int, before: UUID | None) -> Listed:
    end = _sooner(before, filters.until)
    found = _matching(ctx, filters, limit + 1, before=end)
    rows = {row.run.id: row for row in list_queries.some(ctx, found[:limit])}
    shown = [rows[run_id] for run_id in found[:limit]]
    if len(found) > limit:
        return Listed(shown, older=found[limit - 1])
    reached = _reached(ctx, filters, end)
    return Listed(shown, older=reached, looked_back_to=reached)


def _matching(ctx: Context, filters: Filters, most: int, **bounds: UUID | None) -> list[UUID]:
    """Return runs that all filters leave, of the newest thousand of the first."""
    asked, given = list_queries.given(filters), _bounds(filters, **bounds)
    on_sqlite = ctx.session.get_bind().dialect.name == "sqlite"
    statement = _search(tuple(asked), tuple(given), on_sqlite)
    values: dict[str, Any] = given | asked
    return _ids(ctx, statement(ctx, **values, looked=LOOKED_THROUGH, most=most))


def _reached(ctx: Context, filters: Filters, end: UUID | None) -> UUID | None:
    """Return the last of the runs looked through; None when there were not so many."""
    name, value = next(iter(list_queries.given(filters).items()))
    given = _bounds(filters, before=end)
    values: dict[str, Any] = given | {name: value, "passed": LOOKED_THROUGH - 1}
    found = _ids(ctx, _last(name, tuple(given))(ctx, **values))
    return found[0] if found else None


def _bounds(filters: Filters, **more: UUID | None) -> dict[str, UUID]:
    every = {"since": filters.since} | more
    return {name: value for name, value in every.items() if value is not None}


def _ids(ctx: Context, rows: Sequence[Any]) -> list[UUID]:
    sql = sql_for(ctx.session.get_bind().dialect.name)
    return [sql.read_id(run_id) for (run_id,) in rows]


@cache
def _search(names: tuple[str, ...], bounds: tuple[str, ...], on_sqlite: bool) -> OwnRows:
    others = "".join(_also(name, number, on_sqlite) for number, name in enumerate(names[1:]))
    near = f"{_near(names[0], bounds)} LIMIT :looked"
    return OwnRows(
        f"SELECT near.id FROM ({near}) AS near WHERE 1 = 1{others}"  # noqa: S608  # fixed parts
        " ORDER BY near.id DESC LIMIT :most"
    )


def _also(name: str, number: int, on_sqlite: bool) -> str:
    """Return what one filter more asks of the runs that are looked through."""
    of, column = f"o{number}", list_queries.column(name)
    # Left to itself SQLite reads the whole row of each run, with its values.
    hint = f"INDEXED BY {_INDEX[column]} " if on_sqlite else ""
    own = (
        f"EXISTS (SELECT 1 FROM run {of} {hint}WHERE {of}.organization_id = :org"  # noqa: S608  # as above
        f" AND {of}.kind <> 'part' AND {of}.{column} = :{name} AND {of}.id = near.id)"
    )
    if name == list_queries.ASKS:
        return f" AND ({own} OR near.id IN ({list_queries.OF_ASKING}))"
    if name == list_queries.WAITS:
        return f" AND {own} AND near.id NOT IN ({list_queries.OF_ASKING})"
    return f" AND {own}"


@cache
def _last(name: str, bounds: tuple[str, ...]) -> OwnRows:
    return OwnRows(f"{_near(name, bounds)} LIMIT 1 OFFSET :passed")


def _near(name: str, bounds: tuple[str, ...]) -> str:
    beside = "".join(f" AND ID {_BOUNDS[bound]} :{bound}" for bound in bounds)
    return list_queries.near(name, beside)


@requires(Permission.VIEW_RUNS)
def count_newer(ctx: Context, filters: Filters, run_id: UUID) -> int:
    """Return how many runs of the list came after this one, counted up to 100."""
    if filters.until is not None:
        return 0  # the list has an end
    if len(list_queries.given(filters)) < 2:
        return list_queries.count_newer(ctx, replace(filters, since=None), run_id)
    return len(_matching(ctx, filters, 100, above=run_id))


@requires(Permission.VIEW_RUNS)
def starters(ctx: Context) -> list[tuple[str, str]]:
    """Return (id, name) of the people and programs that started runs, by name."""
    sql = sql_for(ctx.session.get_bind().dialect.name)
    found = [
        (public_id("key" if kind == "key" else "usr", sql.read_id(id_)), str(name))
        for id_, kind, name in _STARTERS(ctx)
    ]
    return sorted(found, key=lambda pair: pair[1].casefold())


# From each one the index leads to the next, however many runs they started.
_STARTERS: Final = OwnRows(
    f"""
WITH RECURSIVE who(id, n) AS (
    SELECT (SELECT a.started_by FROM run a
             WHERE a.organization_id = :org AND a.started_by IS NOT NULL AND a.kind <> 'part'
             ORDER BY a.started_by LIMIT 1), 1
     UNION ALL
    SELECT (SELECT b.started_by FROM run b
             WHERE b.organization_id = :org AND b.started_by > who.id AND b.kind <> 'part'
             ORDER BY b.started_by LIMIT 1), who.n + 1
      FROM who WHERE who.id IS NOT NULL AND who.n < {MOST_STARTERS})
SELECT who.id,
       (SELECT c.started_by_kind FROM run c WHERE c.organization_id = :org
           AND c.started_by = who.id AND c.kind <> 'part' ORDER BY c.id DESC LIMIT 1),
       (SELECT d.started_by_name FROM run d WHERE d.organization_id = :org
           AND d.started_by = who.id AND d.kind <> 'part' ORDER BY d.id DESC LIMIT 1)
  FROM who WHERE who.id IS NOT NULL"""  # noqa: S608  # fixed parts
)

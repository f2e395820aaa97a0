"""Reads of workflows that are more than one row."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import Row, Select, select

from webapp.access.context import Context
from webapp.access.own_rows import OwnRows
from webapp.kernel.clock import now
from webapp.kernel.errors import Gone, NotFound
from webapp.kernel.rawsql import Sql, sql_for
from webapp.workflows.models import Draft, Version, Workflow

State = Literal["any", "live", "changed", "draft", "bin"]


@dataclass(frozen=True, slots=True)
class Overview:
    """A workflow as lists show it."""

    workflow: Any
    """A `Workflow`; in lists a `ListedWorkflow`, whose columns are named so."""
    rev: int
    live_number: int | None
    is_changed: bool
    """The draft differs from the live version; false while nothing is live."""


@dataclass(frozen=True, slots=True)
class ListedWorkflow:
    id: UUID
    name: str
    about: str
    changed_at: datetime
    deleted_at: datetime | None


def overview(ctx: Context, workflow_id: UUID) -> Overview:
    """Return one workflow that is not in the bin.

    Raises:
        NotFound: no such workflow here.
        Gone: it was moved to the bin.
    """
    row = ctx.session.execute(_overviews().where(Workflow.id == workflow_id)).one_or_none()
    if row is None:
        raise NotFound()
    found = _overview(row)
    if found.workflow.deleted_at is not None:
        day = found.workflow.deleted_at.date().isoformat()
        raise Gone("E-GONE", what=f"“{found.workflow.name}”", at=day)
    return found


def page_of_workflows(
    ctx: Context,
    *,
    text: str = "",
    state: State = "any",
    before: UUID | None = None,
    limit: int = 50,
) -> list[Overview]:
    """Return workflows older than `before`, newest first, and one more when there are more."""
    words = {f"word{n}": _contains(word) for n, word in enumerate(text.split()[:8])}
    older = {} if before is None else {"before": before}
    rows = _page(state, len(words), before is not None)(ctx, **words, **older, most=limit + 1)
    sql = sql_for(ctx.session.get_bind().dialect.name)
    return [_listed(sql, row) for row in rows]


_LISTED: Final = """
SELECT w.id, w.name, w.about, w.changed_at, w.deleted_at, d.rev, v.number,
       d.plan_sha <> v.plan_sha
  FROM workflow w
  JOIN draft d ON d.workflow_id = w.id AND d.organization_id = :org
  LEFT JOIN version v ON v.id = w.live_version_id AND v.organization_id = :org
 WHERE w.organization_id = :org"""

_IN_STATE: Final[dict[State, str]] = {
    "any": " AND w.deleted_at IS NULL",
    "bin": " AND w.deleted_at IS NOT NULL",
    "live": " AND w.deleted_at IS NULL AND w.live_version_id IS NOT NULL",
    "changed": " AND w.deleted_at IS NULL AND d.plan_sha <> v.plan_sha",
    "draft": " AND w.deleted_at IS NULL AND w.live_version_id IS NULL",
}


@cache
def _page(state: State, words: int, is_later: bool) -> OwnRows:
    named = "".join(f" AND lower(w.name) LIKE lower(:word{n}) ESCAPE '/'" for n in range(words))
    older = " AND w.id < :before" if is_later else ""
    return OwnRows(f"{_LISTED}{_IN_STATE[state]}{named}{older} ORDER BY w.id DESC LIMIT :most")


def _contains(word: str) -> str:
    """Return the pattern of texts that hold this word, whatever is in it."""
    return "%" + re.sub(r"([%_/])", r"/\1", word) + "%"


def _listed(sql: Sql, row: Any) -> Overview:
    workflow_id, name, about, changed_at, deleted_at, rev, live_number, differs = row
    changed = sql.read_moment(changed_at)
    assert changed is not None
    listed = ListedWorkflow(
        sql.read_id(workflow_id), name, about, changed, sql.read_moment(deleted_at)
    )
    return Overview(listed, rev, live_number, bool(differs))


_NEWEST_NAMES: Final = OwnRows("""
SELECT w.id, w.name FROM workflow w
 WHERE w.organization_id = :org AND w.deleted_at IS NULL ORDER BY w.id DESC LIMIT :most""")


def newest_names(ctx: Context, most: int) -> list[tuple[UUID, str]]:
    """Return id and name of workflows that are not in the bin."""
    sql = sql_for(ctx.session.get_bind().dialect.name)
    return [(sql.read_id(row[0]), row[1]) for row in _NEWEST_NAMES(ctx, most=most)]


def _overviews() -> Select[Workflow, int, int | None, bool]:
    differs = Draft.plan_sha != Version.plan_sha
    return (
        select(Workflow, Draft.rev, Version.number, differs)
        .join(Draft, Draft.workflow_id == Workflow.id)
        .outerjoin(Version, Version.id == Workflow.live_version_id)
    )


def _overview(row: Row[Workflow, int, int | None, bool]) -> Overview:
    workflow, rev, live_number, differs = row
    return Overview(workflow, rev, live_number, bool(differs))


def is_name_taken(ctx: Context, name: str, but: UUID | None = None) -> bool:
    query = select(Workflow.id).where(Workflow.name == name, Workflow.deleted_at.is_(None))
    found = ctx.session.scalars(query).first()
    return found is not None and found != but


def names_of(ctx: Context, ids: Sequence[UUID]) -> dict[UUID, str]:
    rows = ctx.session.execute(select(Workflow.id, Workflow.name).where(Workflow.id.in_(ids)))
    return {row[0]: row[1] for row in rows}


def draft_of(ctx: Context, workflow_id: UUID, *, to_change: bool = False) -> Draft:
    """Return the draft; `to_change` keeps others from changing it in this transaction."""
    query = select(Draft).where(Draft.workflow_id == workflow_id)
    if to_change:
        query = query.with_for_update().execution_options(populate_existing=True)
    draft = ctx.session.scalars(query).one_or_none()
    if draft is None:
        raise NotFound()
    return draft


def version_numbered(ctx: Context, workflow_id: UUID, number: int) -> Version:
    query = select(Version).where(Version.workflow_id == workflow_id, Version.number == number)
    found = ctx.session.scalars(query).one_or_none()
    if found is None:
        raise NotFound("E-NO-VERSION", number=number)
    return found


def page_of_versions(
    ctx: Context, workflow_id: UUID, *, before: UUID | None = None, limit: int = 50
) -> list[Version]:
    """Return numbered versions older than `before`, newest first, and one more if there is."""
    query = select(Version).where(Version.workflow_id == workflow_id, Version.number.is_not(None))
    query = query if before is None else query.where(Version.id < before)
    return list(ctx.session.scalars(query.order_by(Version.number.desc()).limit(limit + 1)))


def touch(workflow: Workflow) -> None:
    workflow.changed_at = now()

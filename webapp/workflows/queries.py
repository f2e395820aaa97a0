"""Reads of workflows that are more than one row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, select

from webapp.access.context import Context
from webapp.kernel.clock import now
from webapp.kernel.errors import Gone, NotFound
from webapp.workflows.models import Draft, Version, Workflow

State = Literal["any", "live", "changed", "draft", "bin"]


@dataclass(frozen=True, slots=True)
class Overview:
    """A workflow as lists show it."""

    workflow: Workflow
    rev: int
    live_number: int | None
    is_changed: bool
    """The draft differs from the live version; false while nothing is live."""


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
    query = _overviews().where(_in_state(state)).order_by(Workflow.id.desc()).limit(limit + 1)
    for word in text.split()[:8]:
        query = query.where(Workflow.name.icontains(word, autoescape=True))
    if before is not None:
        query = query.where(Workflow.id < before)
    return [_overview(row) for row in ctx.session.execute(query)]


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


def _in_state(state: State) -> ColumnElement[bool]:
    live = Workflow.live_version_id.is_not(None)
    here = Workflow.deleted_at.is_(None)
    match state:
        case "bin":
            return Workflow.deleted_at.is_not(None)
        case "live":
            return and_(here, live)
        case "changed":
            return and_(here, live, Draft.plan_sha != Version.plan_sha)
        case "draft":
            return and_(here, ~live)
    return here


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

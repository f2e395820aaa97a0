"""Reads of failed runs that nobody has run again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import aliased

from webapp.access.context import Context
from webapp.runs.models import Run
from webapp.runs.queries import WHOLE

_KINDS: Final = ("normal", "tryout")
"""What another run started fails with it, and a rehearsal sends nothing."""
_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed run: where, and why.

    Attributes:
        path: of the step that failed; step: its id; both "" when the run failed as a whole.
    """

    id: UUID
    workflow_id: UUID
    path: str
    step: str
    code: str
    text: str
    at: datetime


def failures(ctx: Context, since: UUID, most: int) -> list[Failure]:
    """Return failed runs that began with this id or later, newest first.

    Left out is what was run again, unless that was cancelled.
    """
    query = (
        select(Run.id, Run.workflow_id, Run.error, Run.finished_at, Run.queued_at)
        .where(
            Run.organization_id == ctx.organization_id,
            Run.state == "failed",
            Run.id >= since,
            Run.kind.in_(_KINDS),
            WHOLE,
            ~_repeated(),
        )
        .order_by(Run.id.desc())
        .limit(most)
    )
    return [
        Failure(
            run_id,
            workflow_id,
            str((error or {}).get("path") or ""),
            str((error or {}).get("step") or ""),
            str((error or {}).get("code") or "E-OURS"),
            str((error or {}).get("text") or ""),
            finished_at or queued_at,
        )
        for run_id, workflow_id, error, finished_at, queued_at in ctx.session.execute(query)
    ]


def _repeated() -> ColumnElement[bool]:
    later = aliased(Run)
    again = select(later.id).where(later.again_of == Run.id, later.state != "cancelled")
    return again.correlate(Run).exists()


def still_failed(ctx: Context, run_ids: Sequence[UUID]) -> set[UUID]:
    """Return those of a few failed runs that nobody has run again."""
    query = select(Run.id).where(Run.organization_id == ctx.organization_id, ~_repeated())
    return set(ctx.session.scalars(query.where(Run.id.in_(run_ids))))


def runs(ctx: Context, run_ids: Sequence[UUID]) -> list[Run]:
    """Return these runs."""
    found: list[Run] = []
    for first in range(0, len(run_ids), _AT_ONCE):
        some = run_ids[first : first + _AT_ONCE]
        query = select(Run).where(Run.organization_id == ctx.organization_id, Run.id.in_(some))
        found += ctx.session.scalars(query)
    return found

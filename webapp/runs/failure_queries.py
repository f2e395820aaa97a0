"""Reads of failed runs that nobody has run again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import aliased

from webapp.access.context import Context
from webapp.runs.models import Run, Step
from webapp.runs.parts import families
from webapp.runs.queries import WHOLE

_KINDS: Final = ("normal", "tryout")
"""What another run started fails with it, and a rehearsal sends nothing."""
_HAPPENED: Final = ("succeeded", "reused", "unknown", "intent")
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
    later = aliased(Run)
    repeated = (
        select(later.id)
        .where(later.again_of == Run.id, later.state != "cancelled")
        .correlate(Run)
        .exists()
    )
    query = (
        select(Run.id, Run.workflow_id, Run.error, Run.finished_at, Run.queued_at)
        .where(
            Run.organization_id == ctx.organization_id,
            Run.state == "failed",
            Run.id >= since,
            Run.kind.in_(_KINDS),
            WHOLE,
            ~repeated,
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


def acting(ctx: Context, run_ids: Sequence[UUID]) -> set[UUID]:
    """Return those of these runs in which any step has had an effect, in a part or outside."""
    members, found = families(ctx, run_ids), set()
    every = list(members)
    for first in range(0, len(every), _AT_ONCE):
        query = select(Step.run_id).where(
            Step.organization_id == ctx.organization_id,
            Step.run_id.in_(every[first : first + _AT_ONCE]),
            Step.effect != "none",
            Step.state.in_(_HAPPENED),
        )
        found |= {members[member][0] for member in ctx.session.scalars(query.distinct())}
    return found


def runs(ctx: Context, run_ids: Sequence[UUID]) -> list[Run]:
    """Return these runs."""
    found: list[Run] = []
    for first in range(0, len(run_ids), _AT_ONCE):
        some = run_ids[first : first + _AT_ONCE]
        query = select(Run).where(Run.organization_id == ctx.organization_id, Run.id.in_(some))
        found += ctx.session.scalars(query)
    return found

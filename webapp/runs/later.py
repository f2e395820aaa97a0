"""What the later repetitions of a run have sent: whoever runs it again must know of that, too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import select

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.engine.recovery import CALL
from webapp.runs.models import Run
from webapp.runs.taking_over import Row, journals_of

_MOST_LATER: Final = 50


@requires(Permission.VIEW_RUNS)
def repetitions_of(ctx: Context, run_id: UUID) -> Sequence[UUID]:
    """Return the newest repetitions of a run, and theirs in turn, the newest first.

    What older ones have sent is known to those that repeat them.
    """
    here = Run.organization_id == ctx.organization_id
    later = select(Run.id).where(here, Run.again_of == run_id).cte(recursive=True)
    later = later.union(select(Run.id).where(here).join(later, Run.again_of == later.c.id))
    return ctx.session.scalars(
        select(later.c.id).order_by(later.c.id.desc()).limit(_MOST_LATER)
    ).all()


@requires(Permission.VIEW_RUNS)
def with_later(ctx: Context, run_id: UUID, rows: Sequence[Row]) -> list[Row]:
    """Return the journal of a run with what only its repetitions have sent, as they have it.

    Of several that have sent the same, the first that is certain of it counts.
    """
    known = _by_step(rows)
    doubtful: dict[str, list[Row]] = {}
    sent = {step for step, those in known.items() if _was_sent(those)}
    journals = journals_of(ctx, repetitions_of(ctx, run_id)[::-1])
    for later in journals.values():
        for step, those in _by_step(later).items():
            if step in sent or not _was_sent(those):
                continue
            if any(row.why_skipped != "sent" for row in those):
                doubtful.setdefault(step, those)
            else:
                known[step] = those
                sent.add(step)
    known |= {step: those for step, those in doubtful.items() if step not in sent}
    return sorted((row for those in known.values() for row in those), key=lambda row: row.path)


def _by_step(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the rows by the path of their step: an agent goes with its calls."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.path.rpartition(CALL)[0] if row.is_call else row.path, []).append(row)
    return found


def _was_sent(rows: Sequence[Row]) -> bool:
    return any(row.effect not in {"none", ""} and row.has_happened for row in rows)

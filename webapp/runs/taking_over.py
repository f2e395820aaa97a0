"""Write the steps that a run begins with: what an earlier run has done already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import case, func, insert, literal, select

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.runs.models import Step

_AT_ONCE: Final = 500
_STAYS: Final = ("skipped", "failed")


@requires(Permission.START_RUNS)
def take_over(
    ctx: Context, old: UUID, new: UUID, kept: Sequence[str], skipped: Sequence[str] = ()
) -> None:
    """Write the rows that a run begins with, without reading their values.

    Args:
        old: the run that has them.
        kept: paths of what stays as it is; skipped: of what is not sent again.
    """
    for paths, state in ((kept, ""), (skipped, "skipped")):
        for first in range(0, len(paths), _AT_ONCE):
            _copy_some(ctx, old, new, paths[first : first + _AT_ONCE], state)


_SAME: Final = ("path", "step_id", "kind", "effect", "idem_key", "result", "result_file")


def _copy_some(ctx: Context, old: UUID, new: UUID, paths: Sequence[str], state: str) -> None:
    newest = (
        select(Step.path, func.max(Step.attempt).label("attempt"))
        .where(Step.run_id == old, Step.path.in_(paths))
        .group_by(Step.path)
        .subquery()
    )
    kept_state = case((Step.state.in_(_STAYS), Step.state), else_="reused")
    values: dict[str, Any] = {
        "organization_id": literal(ctx.organization_id, Step.organization_id.type),
        "run_id": literal(new, Step.run_id.type),
        "attempt": literal(1),
        "state": literal(state) if state else kept_state,
        "error": literal({"reason": "sent_before"}, Step.error.type) if state else Step.error,
        "fence": literal(0),
        "seq": literal(1),
        "started_at": Step.started_at,
        "done_at": Step.done_at,
        "cost_nano": literal(0),
        "tokens_in": literal(0),
        "tokens_out": literal(0),
    }
    chosen = (
        select(*(getattr(Step, name) for name in _SAME), *values.values())
        .join(newest, (Step.path == newest.c.path) & (Step.attempt == newest.c.attempt))
        .where(Step.run_id == old, Step.organization_id == ctx.organization_id)
    )
    ctx.session.execute(insert(Step).from_select([*_SAME, *values], chosen, include_defaults=False))

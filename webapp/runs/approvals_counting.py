"""How many approvals wait for whoever looks, as every page's menu says it: one short question."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import aliased

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.runs.approvals_people import Known, person_in, reaches, starter_of
from webapp.runs.models import Approval, ApprovalPerson, Run

MOST_COUNTED: Final = 99
_LOOKED_AT: Final = 500
"""Of more that are open, the newest are looked at."""


@requires(Permission.DECIDE_APPROVALS)
def waiting_for_me(ctx: Context) -> int:
    """Return how many approvals a person may answer now; one more than `MOST_COUNTED` is more."""
    me = ctx.actor.id
    if ctx.actor.kind != "person" or me is None:
        return 0
    newest = (
        select(Approval)
        .where(Approval.organization_id == ctx.organization_id, Approval.state == "open")
        .order_by(Approval.id.desc())
        .limit(_LOOKED_AT)
        .subquery()
    )
    open_ = aliased(Approval, newest)
    spoken = exists().where(
        ApprovalPerson.approval_id == open_.id,
        ApprovalPerson.person_id == me,
        ApprovalPerson.agreed_at.is_not(None),
    )
    query = (
        select(
            open_.who, open_.deputy, open_.not_starter,
            Run.id, Run.parent_run, Run.started_by_kind, Run.started_by,
        )
        .join(Run, Run.id == open_.run_id)
        .where(~spoken)
    )  # fmt: skip
    count = 0
    for row in ctx.session.execute(query):
        count += _asks(ctx, row, me)
        if count > MOST_COUNTED:
            break
    return count


def _asks(ctx: Context, row: Any, me: UUID) -> bool:
    named = any(
        reaches(ctx.actor.role, one["role"]) if "role" in one else person_in(one) == me
        for one in row.who
    )
    named = named or person_in(row.deputy or {}) == me
    asks_starter = any("starter" in one for one in row.who)
    if not (asks_starter or row.not_starter) or (named and not row.not_starter):
        return named
    is_starter = _started(ctx, row) == me
    return not is_starter if row.not_starter and named else is_starter and not row.not_starter


def _started(ctx: Context, row: Any) -> UUID | None:
    """Return the person behind a run; only of a run of a run, or of a key's, it asks again."""
    if row.parent_run is None and row.started_by_kind == "person":
        found: UUID | None = row.started_by
        return found
    return starter_of(ctx, ctx.session.get_one(Run, row.id), Known([]))

"""What the machine does about approvals by itself: tell people, remind them, keep the time.

Silence until the due time is an answer like any other: it closes the row under the run's lease,
and is sent to the run in the same transaction. So it counts once, whoever dies in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select, update

from webapp.access.context import Actor, Context, system_only
from webapp.access.permissions import Role
from webapp.access.tenancy import across_organizations
from webapp.engine.canonical import from_bytes
from webapp.engine.steps.approval import seal_of
from webapp.kernel.clock import now
from webapp.runs.approvals import Found, find_approval, tell_run
from webapp.runs.approvals_mailing import mail_to
from webapp.runs.models import Approval, Lease, Step
from webapp.runs.service import add_event, deliver, lock_lease
from webapp.web.formats import when

AT_ONCE: Final = 50
MACHINE: Final = Actor("system", None, "Deckhand", Role.OWNER)


@system_only
def due_approvals(ctx: Context) -> Sequence[tuple[UUID, UUID]]:
    """Return the approvals about which something is to be done: (organization, approval)."""
    with across_organizations(ctx.session, "approvals that are due"):
        query = (
            select(Approval.organization_id, Approval.id)
            .where(Approval.look_at.is_not(None), Approval.look_at <= now())
            .order_by(Approval.look_at)
            .limit(AT_ONCE)
        )
        return [(row[0], row[1]) for row in ctx.session.execute(query)]


@system_only
def keep_approval(ctx: Context, organization_id: UUID, approval_id: UUID) -> None:
    """Do what is due about one approval, and say when to look again."""
    own = Context(ctx.session, organization_id, MACHINE, ctx.settings, hints=ctx.hints)
    row = own.session.get(Approval, approval_id)
    if row is None:
        return
    lease = lock_lease(own, row.run_id)
    own.session.refresh(row, with_for_update=True)
    step = own.session.get(Step, (row.run_id, row.path, row.round), populate_existing=True)
    at = now()
    if row.look_at is None or row.look_at > at:
        return  # another steward was first
    if lease is None or step is None or step.state != "waiting" or step.request is None:
        row.look_at, row.state = None, "cancelled" if row.state == "open" else row.state
    elif row.state == "decided":
        tell_run(own, lease, row, from_bytes(step.request)["approval"])
    elif row.state == "open":
        _keep_open(own, find_approval(own, row.id), lease, at)
    else:
        row.look_at = None
    own.session.flush()


def _keep_open(ctx: Context, found: Found, lease: Lease, at: datetime) -> None:
    row = found.row
    if row.due_at is not None and row.due_at <= at:
        if row.pass_to is None or row.passed_at is not None:
            _expire(ctx, found, lease)
            return
        _pass_on(ctx, row, at)
        found = find_approval(ctx, row.id)
    if row.told_at is None:
        row.told_at = at
        mail_to(ctx, found, found.people.members, "asked")
        if row.remind_at is None and found.people.deputy is not None:
            mail_to(ctx, found, [found.people.deputy], "deputy")
    if row.remind_at is not None and row.remind_at <= at:
        row.remind_at = None
        left = [one for one in found.people.everybody if one.id not in found.agreed]
        mail_to(ctx, found, left, "reminded")
    row.look_at = min((one for one in (row.due_at, row.remind_at) if one is not None), default=None)


def _pass_on(ctx: Context, row: Approval, at: datetime) -> None:
    """Ask those whom it is passed to; they have as long as the first had, or at least a day."""
    row.who, row.passed_at, row.told_at = list(row.pass_to or []), at, None
    row.due_at = at + timedelta(seconds=row.due_s or 86_400)
    row.remind_at = None
    ctx.session.flush()


def _expire(ctx: Context, found: Found, lease: Lease) -> None:
    """Let silence be the answer. What somebody edited is undone: too few agreed to it."""
    row = found.row
    closed = ctx.session.execute(
        update(Approval)
        .where(Approval.id == row.id, Approval.state == "open")
        .values(state="expired", look_at=None, decided_at=now(), values=None)
    )
    if closed.rowcount != 1:  # type: ignore[attr-defined]  # an UPDATE's result counts
        return
    ctx.session.refresh(row)
    data = {"path": row.path, "approval": found.id, "by": None, "decision": "late"}
    add_event(ctx, lease, "approval.answered", data)
    answer = {
        "decision": "late",
        "seal": seal_of(found.asked),
        "by": None,
        "at": now().isoformat(timespec="seconds"),
        "until": f"{when(row.due_at)} (UTC)",
        "agreed": list(found.agreed.values()),
    }
    deliver(ctx, lease, "approval", row.path, answer)

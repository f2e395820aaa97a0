"""How much waits and works: of one organization, and of the whole machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.access.tenancy import across_organizations
from webapp.kernel.clock import now
from webapp.kernel.ids import time_of
from webapp.organizations.models import Organization
from webapp.runs.models import Fair, Lease, QueueSetting
from webapp.runs.standing import begun_a_minute
from webapp.runs.starting import QUEUE

ORGANIZATIONS_SHOWN: Final = 50


@dataclass(frozen=True, slots=True)
class Traffic:
    """What happens in a queue.

    Attributes:
        waiting: runs that have not begun; running: runs at work.
        oldest_s: how long the oldest has waited that is in line or that a limit keeps back; None:
            none waits.
        begun_a_minute: how many began in the last sixty seconds, about.
    """

    waiting: int
    running: int
    oldest_s: int | None
    begun_a_minute: int


@requires(Permission.VIEW_RUNS)
def traffic_here(ctx: Context) -> Traffic:
    """Return what happens in the organization's own line."""
    here = Lease.organization_id == ctx.organization_id
    rows = ctx.session.scalars(select(Fair).where(Fair.organization_id == ctx.organization_id))
    return _measure(ctx.session, rows.all(), here)


@requires(Permission.USE_STAFF_PAGES)
def traffic_of_queue(ctx: Context, queue: str = QUEUE) -> Traffic:
    with across_organizations(ctx.session, "a queue"):
        return traffic_of_machine(ctx.session, queue)


@requires(Permission.VIEW_RUNS)
def under_way(ctx: Context, workflow_id: UUID) -> int:
    """Return how many runs of a workflow are not over."""
    here = (Lease.organization_id == ctx.organization_id, Lease.workflow_id == workflow_id)
    states = Lease.state.in_(("ready", "running", "waiting", "paused"))  # as the index begins
    return ctx.session.scalar(select(func.count()).where(*here, states)) or 0


def traffic_of_machine(session: Session, queue: str = QUEUE) -> Traffic:
    """Return what happens in a queue, for a session that sees every organization."""
    rows = session.scalars(select(Fair).where(Fair.queue == queue)).all()
    return _measure(session, rows, Lease.queue == queue)


def _measure(session: Session, rows: Sequence[Fair], which: ColumnElement[bool]) -> Traffic:
    whole = Lease.workflow_id.is_not(None)  # a part of a run is none of its own
    at_work = (which, whole, Lease.state == "running")
    running = session.scalar(select(func.count()).where(*at_work)) or 0
    new = (which, whole, Lease.fence == 0)
    heads = [
        session.scalar(select(Lease.run_id).where(*new, waits).order_by(Lease.run_id).limit(1))
        for waits in (Lease.state == "ready", Lease.wait_reason == "limit")
    ]
    oldest = min((time_of(head) for head in heads if head is not None), default=None)
    waited = None if oldest is None else (now() - oldest).total_seconds()
    return Traffic(
        waiting=sum(row.waiting for row in rows),
        running=running,
        oldest_s=None if waited is None else max(0, round(waited)),
        begun_a_minute=round(sum(begun_a_minute(row) for row in rows)),
    )


@dataclass(frozen=True, slots=True)
class Share:
    """What one organization has in a queue."""

    name: str
    slug: str
    waiting: int
    running: int
    begun_a_minute: int


@requires(Permission.USE_STAFF_PAGES)
def shares(ctx: Context, queue: str = QUEUE) -> list[Share]:
    """Return what the organizations with the most runs in line have in a queue."""
    running = (
        select(func.count())
        .where(Lease.organization_id == Fair.organization_id, Lease.state == "running")
        .where(Lease.workflow_id.is_not(None))
        .where(Lease.queue == queue)
        .scalar_subquery()
    )
    query = (
        select(Fair, Organization, running)
        .join(Organization, Organization.id == Fair.organization_id)
        .where(Fair.queue == queue)
        .order_by(Fair.waiting.desc(), Organization.name)
        .limit(ORGANIZATIONS_SHOWN)
    )
    with across_organizations(ctx.session, "the organizations of a queue"):
        rows = ctx.session.execute(query).all()
    return [
        Share(org.name, org.slug, fair.waiting, count, round(begun_a_minute(fair)))
        for fair, org, count in rows
    ]


@requires(Permission.USE_STAFF_PAGES)
def queue_setting(ctx: Context, queue: str = QUEUE) -> QueueSetting:
    """Return how a queue is kept."""
    found = ctx.session.get(QueueSetting, queue)
    return found or QueueSetting(queue=queue, mode="fifo", opening=False)

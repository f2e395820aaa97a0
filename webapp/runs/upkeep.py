"""What the machine does with runs by itself: take back, close, forget."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, delete, select

from webapp.access.context import SYSTEM, Context, system_only
from webapp.access.tenancy import across_organizations
from webapp.kernel.clock import boot_id, now
from webapp.kernel.db import Sessions
from webapp.kernel.hints import Bell, Hints
from webapp.runs.execution.claims import Claims
from webapp.runs.models import Lease, Run, WorkerSeen
from webapp.runs.service import close_cancelled, lease_now

SILENT_MS: Final = 10_000
WORKERS_KEPT: Final = timedelta(days=1)


def take_back_runs(sessions: Sessions, bell: Bell) -> int:
    """Put runs back in line whose worker is silent or whose wait is over; returns how many."""
    hints = Hints()
    with sessions() as session:
        claims = Claims(session.get_bind(), "steward", 0)  # type: ignore[arg-type]  # an Engine
    count = claims.take_back(hints)
    hints.flush(bell)
    return count


@system_only
def close_silent_cancels(ctx: Context) -> int:
    """End cancelled runs whose worker has not answered for 10 s; returns how many.

    The fence moves first, so that a worker that wakes later can write nothing.
    """
    with across_organizations(ctx.session, "close cancelled runs of silent workers"):
        query = (
            select(Lease.run_id, Lease.organization_id)
            .where(Lease.state == "running", _is_silent(ctx))
            .limit(50)
        )
        found = ctx.session.execute(query).all()
    for run_id, organization_id in found:
        own = Context(ctx.session, organization_id, SYSTEM, ctx.settings, hints=ctx.hints)
        lease = own.session.get(Lease, run_id, with_for_update=True)
        run = own.session.get(Run, run_id)
        if lease is not None and run is not None and lease.state == "running":
            lease.fence += 1
            close_cancelled(own, run, lease)
            own.session.flush()
    return len(found)


def _is_silent(ctx: Context) -> ColumnElement[bool]:
    """Whether a cancel has waited for 10 s, or since before this machine was started."""
    late = Lease.cancel_at < lease_now(ctx) - SILENT_MS
    if ctx.session.get_bind().dialect.name != "sqlite":
        return late
    return late | (Lease.cancel_at.is_not(None) & (Lease.boot != boot_id()))


@system_only
def forget_workers(ctx: Context) -> int:
    """Delete the marks of workers that were last seen a day ago; returns how many."""
    old = delete(WorkerSeen).where(WorkerSeen.seen_at < now() - WORKERS_KEPT)
    return ctx.session.execute(old).rowcount  # type: ignore[attr-defined]

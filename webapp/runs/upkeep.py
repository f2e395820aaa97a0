"""What the machine does with runs by itself: take back, close, forget."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.orm import aliased

from webapp.access.context import SYSTEM, Context, system_only
from webapp.access.tenancy import across_organizations
from webapp.kernel.clock import boot_id, now
from webapp.kernel.db import Sessions
from webapp.kernel.hints import Bell, Hints
from webapp.kernel.ids import first_id
from webapp.runs.execution.claims import Claims
from webapp.runs.locking import lock_families
from webapp.runs.models import Event, Lease, Run, Signal, Step, WorkerSeen
from webapp.runs.queries import lease_now
from webapp.runs.service import close_cancelled

SILENT_MS: Final = 10_000
WORKERS_KEPT: Final = timedelta(days=1)
FORGOTTEN_AT_ONCE: Final = 100
"""Runs that go in one transaction, so that others can write in between."""

_BULK: Final = {"synchronize_session": False}
_OVER: Final = ("done", "failed", "cancelled")


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
        lock_families(ctx, [run_id for run_id, _ in found])
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


@system_only
def forget_runs(ctx: Context) -> int:
    """Delete the oldest runs that ended before `keep_runs_days`, with all they did.

    Returns how many went, `FORGOTTEN_AT_ONCE` at most. A run that waits for a person, or whose
    parent is not over, stays.
    """
    if not ctx.settings.keep_runs_days:
        return 0
    limit, parent = now() - timedelta(days=ctx.settings.keep_runs_days), aliased(Run)
    with across_organizations(ctx.session, "forget runs whose time is over"):
        ids = ctx.session.scalars(
            select(Run.id)
            .where(Run.id < first_id(limit), Run.state.in_(_OVER), Run.finished_at < limit)
            .where(~select(parent.id).where(_open(parent), parent.id == Run.parent_run).exists())
            .order_by(Run.id)
            .limit(FORGOTTEN_AT_ONCE)
        ).all()
        for model in (Event, Signal, Step, Lease):
            ctx.session.execute(delete(model).where(model.run_id.in_(ids)), execution_options=_BULK)
        ctx.session.execute(delete(Run).where(Run.id.in_(ids)), execution_options=_BULK)
    return len(ids)


def _open(run: type[Run]) -> ColumnElement[bool]:
    return run.state.not_in(_OVER)

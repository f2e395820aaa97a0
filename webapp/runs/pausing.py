"""Pause and resume one run, and with it the runs that its steps wait for.

A run in line is paused at once; a run at work begins nothing more, and what it has begun is
finished and kept. What pauses many runs as one is `holding.py`.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.audit.service import record
from webapp.kernel.clock import boot_id
from webapp.kernel.errors import Conflict
from webapp.kernel.ids import public_id
from webapp.runs import queries, transitions
from webapp.runs.locking import lock_families
from webapp.runs.models import Lease, Run
from webapp.runs.queries import lease_now
from webapp.runs.service import add_event, children_of, lock_lease
from webapp.runs.standing import PACE
from webapp.runs.words import run_word


@requires(Permission.CONTROL_RUNS)
def pause_run(ctx: Context, run_id: UUID) -> queries.RunRow:
    """Let a run begin nothing more until it is resumed; what it has begun is finished and kept.

    Raises:
        Conflict: it is over, paused, being cancelled, or waits for a decision.
    """
    run, lease = _under_way(ctx, run_id)
    if lease.wait_reason == "run" and (lease.state == "paused" or lease.pause_at is not None):
        raise Conflict("E-PAUSE", why=f"{lease.paused_by} has paused this run already.")
    if lease.cancel_at is not None:
        raise Conflict("E-PAUSE", why="This run is being cancelled.")
    if run.state == "needs_review":
        raise Conflict("E-PAUSE", why="This run goes on only when you have decided about it.")
    record(ctx, "run.paused", public_id("run", run_id), before={"state": run.state})
    lease.wait_reason, lease.paused_by = "run", ctx.actor.name
    if lease.state == "running":
        lease.pause_at = lease_now(ctx)
        add_event(ctx, lease, "run.pausing", {"by": ctx.actor.name})
    else:
        rest(run, lease)
        add_event(ctx, lease, "run.paused", {"by": ctx.actor.name})
    _pause_children(ctx, run_id)
    ctx.session.flush()
    return queries.find(ctx, run_id)


@requires(Permission.CONTROL_RUNS)
def resume_run(ctx: Context, run_id: UUID) -> queries.RunRow:
    """Put a paused run back in line, at the place it had.

    Raises:
        Conflict: it is over, not paused, or held by more than its own pause.
    """
    run, lease = _under_way(ctx, run_id)
    if lease.state != "paused" and lease.pause_at is None:
        raise Conflict("E-PAUSE", why="This run is not paused.")
    if lease.wait_reason != "run":
        what = _HOLDERS.get(lease.wait_reason or "", "what it belongs to")
        raise Conflict("E-PAUSE", why=f"Not this run alone is paused: resume {what}.")
    record(ctx, "run.resumed", public_id("run", run_id), before={"state": run.state})
    lease.wait_reason = lease.paused_by = lease.pause_at = None
    if lease.state == "paused":
        if not _waits_again(ctx, run, lease):
            back_in_line(ctx, run, lease, 0 if lease.fence else lease.vtime)
        ctx.hints.ring(lease.queue)
    else:
        add_event(ctx, lease, "run.resumed", {"by": ctx.actor.name})
    _resume_children(ctx, run_id)
    ctx.session.flush()
    return queries.find(ctx, run_id)


def _children(ctx: Context, run_id: UUID) -> list[tuple[Run, Lease]]:
    """Return the runs under way that steps of this one wait for, their leases locked."""
    found = []
    for child in children_of(ctx, run_id):
        lease = lock_lease(ctx, child)
        if lease is not None:
            found.append((ctx.session.get_one(Run, child, populate_existing=True), lease))
    return found


def _pause_children(ctx: Context, run_id: UUID) -> None:
    for run, lease in _children(ctx, run_id):
        held = lease.state == "paused" or lease.pause_at is not None
        is_own = held and lease.wait_reason in {"run", "parent"}
        if is_own or lease.cancel_at is not None or run.state == "needs_review":
            continue
        # What holds it with many others may be resumed first, and is asked again at its claim.
        lease.wait_reason, why = "parent", {"why": "parent"}
        if lease.state == "running":
            lease.pause_at = lease.pause_at or lease_now(ctx)
            add_event(ctx, lease, "run.pausing", why)
        else:
            rest(run, lease)
            add_event(ctx, lease, "run.paused", why)
        _pause_children(ctx, run.id)


def _resume_children(ctx: Context, run_id: UUID) -> None:
    for run, lease in _children(ctx, run_id):
        if lease.wait_reason != "parent":
            continue
        if lease.state == "paused":
            back_in_line(ctx, run, lease, 0 if lease.fence else lease.vtime)
        else:
            lease.wait_reason = lease.pause_at = None
            add_event(ctx, lease, "run.resumed", {"why": "parent"})
        _resume_children(ctx, run.id)


def rest_with_parent(ctx: Context, run_id: UUID, parent_run: UUID) -> None:
    """Let a run that was accepted just now rest, if the one whose step starts it is to pause.

    What pauses many runs as one holds runs by what they are themselves.
    """
    above = lock_lease(ctx, parent_run)
    if above is None or above.pause_at is None or above.wait_reason not in {"run", "parent"}:
        return
    lease = lock_lease(ctx, run_id)
    assert lease is not None
    lease.wait_reason = "parent"
    rest(ctx.session.get_one(Run, run_id), lease)
    add_event(ctx, lease, "run.paused", {"why": "parent"})
    ctx.session.flush()


def rest(run: Run, lease: Lease) -> None:
    """Let a run that nobody works on be paused."""
    if run.state != "paused":
        transitions.check(run.state, "paused")
    if run.reason != PACE:  # whose moment is to come keeps it
        lease.due_at = None
    run.state, run.reason = "paused", lease.wait_reason
    lease.state, lease.limit_id = "paused", None


def _waits_again(ctx: Context, run: Run, lease: Lease) -> bool:
    """Let a run that is resumed before its moment wait for it."""
    if lease.due_at is None or lease.due_at <= lease_now(ctx) or lease.boot != boot_id():
        return False
    transitions.check(run.state, "waiting")
    run.state = lease.state = "waiting"
    run.reason = lease.wait_reason = PACE
    add_event(ctx, lease, "run.waiting", {"reason": PACE, "resumed": True})
    return True


_HOLDERS: Final = {
    "parent": "the run that started it",
    "workflow": "its workflow",
    "organization": "the organization’s runs",
    "queue": "the queue",
}


def _under_way(ctx: Context, run_id: UUID) -> tuple[Run, Lease]:
    lock_families(ctx, [run_id])
    lease = lock_lease(ctx, run_id)  # first: what is read before may be over by then
    run = queries.find(ctx, run_id).run
    if lease is None:
        word = run_word(run.state, run.reason, problems=run.problems)
        raise Conflict("E-RUN-OVER", word=word.text)
    return run, lease


def back_in_line(ctx: Context, run: Run, lease: Lease, vtime: int) -> None:
    transitions.check(run.state, "queued")
    run.state, run.reason = "queued", None
    lease.state, lease.vtime, lease.wait_reason, lease.paused_by = "ready", vtime, None, None
    lease.due_at = None
    add_event(ctx, lease, "run.queued", {"resumed": True})

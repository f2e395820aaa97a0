"""Failed runs by their cause, and many of them run again at a pace.

A run that was run again is not offered any more: of its repetitions the one that failed last is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.audit.service import record
from webapp.kernel.clock import now
from webapp.kernel.errors import Conflict
from webapp.kernel.ids import first_id, public_id
from webapp.runs import again, failure_queries
from webapp.runs.failure_queries import Failure
from webapp.runs.looking import plan_of_run
from webapp.runs.models import Run
from webapp.runs.presenting import label_of
from webapp.runs.service import lease_now, lock_starts
from webapp.workflows.service import names

LOOKED_THROUGH: Final = 5_000
MOST_CAUSES: Final = 200
MOST_AT_ONCE: Final = 500
MOST_A_MINUTE: Final = 600
USUAL_A_MINUTE: Final = 30
LONGEST_DAYS: Final = 90

Key = tuple[UUID, str, str]
"""Workflow, step, and code of the error."""


@dataclass(slots=True)
class Cause:
    """Failed runs of one workflow that failed at the same step for the same reason.

    Attributes:
        runs: newest first; text: what the newest one says.
    """

    workflow_id: UUID
    step: str
    code: str
    workflow: str = ""
    step_name: str = ""
    text: str = ""
    runs: list[Failure] = field(default_factory=list)

    @property
    def newest(self) -> Failure:
        return self.runs[0]

    @property
    def oldest(self) -> Failure:
        return self.runs[-1]

    @property
    def key(self) -> Key:
        return self.workflow_id, self.step, self.code


@dataclass(frozen=True, slots=True)
class Causes:
    """What failed in a span of days.

    Attributes:
        items: the most frequent first.
        reached: the oldest run that was looked at, when there are more.
    """

    items: list[Cause]
    days: int
    reached: datetime | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Failed runs that are to be run again together.

    Attributes:
        runs: newest first, at most 500; left: how many more there are.
        sending: in how many of them something was sent behind the step that failed.
    """

    runs: list[Failure]
    left: int
    sending: int


@requires(Permission.VIEW_RUNS)
def causes(ctx: Context, days: int) -> Causes:
    """Group the failed runs of the last days by why they failed, of the newest 5,000."""
    days = min(max(days, 1), LONGEST_DAYS)
    since = first_id(now() - timedelta(days=days))
    rows = failure_queries.failures(ctx, since, LOOKED_THROUGH + 1)
    found: dict[Key, Cause] = {}
    for row in rows[:LOOKED_THROUGH]:
        key = (row.workflow_id, row.step, row.code)
        if key not in found:
            found[key] = Cause(*key, text=row.text)
        found[key].runs.append(row)
    items = sorted(found.values(), key=lambda cause: len(cause.runs), reverse=True)[:MOST_CAUSES]
    _name(ctx, items)
    reached = rows[LOOKED_THROUGH - 1].at if len(rows) > LOOKED_THROUGH else None
    return Causes(items, days, reached)


def _name(ctx: Context, found: Sequence[Cause]) -> None:
    """Fill in what workflows and steps are called, the steps by the plan that ran last."""
    known = names(ctx, list({cause.workflow_id for cause in found})) if found else {}
    newest = failure_queries.runs(ctx, [cause.newest.id for cause in found])
    runs = {run.id: run for run in newest}
    for cause in found:
        cause.workflow = known.get(cause.workflow_id, "A workflow that was deleted")
        run = runs[cause.newest.id]
        step = next((one for one in plan_of_run(ctx, run).walk() if one.id == cause.step), None)
        cause.step_name = (step.name or label_of(step.kind)) if step is not None else ""


@requires(Permission.START_RUNS)
def preview(ctx: Context, days: int, keys: Iterable[Key]) -> Batch:
    """Say what running these groups again would mean.

    Raises:
        Conflict: there is no such failure any more.
    """
    chosen = _chosen(ctx, days, keys)
    batch = chosen[:MOST_AT_ONCE]
    acting = failure_queries.acting(ctx, [one.id for one in batch])
    olds = failure_queries.runs(ctx, list(acting))
    paths = {one.id: one.path for one in batch}
    sending = sum(again.sends_twice(ctx, old, paths[old.id]) for old in olds)
    return Batch(batch, len(chosen) - len(batch), sending)


def _chosen(ctx: Context, days: int, keys: Iterable[Key]) -> list[Failure]:
    wanted = set(keys)
    found = [run for cause in causes(ctx, days).items if cause.key in wanted for run in cause.runs]
    if not found:
        raise Conflict("E-REPLAY-NONE")
    return sorted(found, key=lambda run: run.id, reverse=True)


@requires(Permission.START_RUNS)
def replay(
    ctx: Context, days: int, keys: Sequence[Key], pace: int, *, send_again: bool
) -> tuple[list[Run], int]:
    """Run the failed runs of these groups again, each from the step that failed.

    Each is written at once and waits for its moment, so that nothing is lost by whatever dies.

    Args:
        pace: how many begin in a minute; send_again: send once more what was sent, which
            otherwise is skipped.

    Returns: the new runs, the first to begin first, and how many failed runs are left.

    Raises:
        Conflict: nothing of it is to be run again any more.
        LimitReached: too many runs wait.
    """
    ctx.require(Permission.CONTROL_RUNS)
    for workflow_id in sorted({key[0] for key in keys}):
        lock_starts(ctx, workflow_id)  # who presses at the same time finds what this one leaves
    chosen = _chosen(ctx, days, keys)
    batch = chosen[:MOST_AT_ONCE][::-1]
    olds = {run.id: run for run in failure_queries.runs(ctx, [one.id for one in batch])}
    begun = lease_now(ctx)
    started = []
    for place, one in enumerate(batch):
        due_ms = begun + place * 60_000 // pace if place else None
        old = olds[one.id]
        started.append(again.start_again(ctx, old, one.path, send_all=send_again, due_ms=due_ms))
    after = {"runs": len(started), "a_minute": pace, "sent_again": send_again}
    record(ctx, "runs.replayed", public_id("org", ctx.organization_id), after=after)
    ctx.session.flush()
    return started, len(chosen) - len(batch)

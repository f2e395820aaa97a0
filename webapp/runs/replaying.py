"""Failed runs by their cause, and many of them run again at a pace.

A run that was run again is not offered any more: of its repetitions the one that failed last is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.audit.service import record
from webapp.kernel.clock import boot_id, now
from webapp.kernel.errors import AppError, Conflict, Gone, LimitReached
from webapp.kernel.ids import first_id, parse_id, public_id
from webapp.runs import again, failure_queries
from webapp.runs.failure_queries import Failure
from webapp.runs.looking import plan_of_run
from webapp.runs.models import Run
from webapp.runs.presenting import title_of
from webapp.runs.queries import lease_now
from webapp.runs.schemas import CauseKey, NotReplayed, Replay
from webapp.runs.service import lock_starts
from webapp.runs.starting import OnlyOnce
from webapp.workflows.publishing import run_mode
from webapp.workflows.service import names

LOOKED_THROUGH: Final = 5_000
MOST_CAUSES: Final = 200
MOST_AT_ONCE: Final = 500
TURN_S: Final = 0.05
"""How long a press keeps others from writing before it lets them."""
LOOKED_AT: Final = 25
"""Runs that a turn looks at; most begin and are over long before `TURN_S` is."""
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
        causes: why they failed, the most frequent first.
        runs: newest first, at most 500; left: how many more there are.
        sending: in how many of them something was sent behind the step that failed.
    """

    causes: list[Cause]
    runs: list[Failure]
    left: int
    sending: int


@requires(Permission.VIEW_RUNS)
def causes(ctx: Context, days: int) -> Causes:
    """Group the failed runs of the last days by why they failed, of the newest 5,000."""
    days = min(max(days, 1), LONGEST_DAYS)
    items, reached = _grouped(ctx, days)
    _name(ctx, items)
    return Causes(items, days, reached)


def _grouped(ctx: Context, days: int) -> tuple[list[Cause], datetime | None]:
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
    return items, rows[LOOKED_THROUGH - 1].at if len(rows) > LOOKED_THROUGH else None


def _name(ctx: Context, found: Sequence[Cause]) -> None:
    """Fill in what workflows and steps are called, the steps by the plan that ran last."""
    known = names(ctx, list({cause.workflow_id for cause in found})) if found else {}
    newest = failure_queries.runs(ctx, [cause.newest.id for cause in found])
    runs = {run.id: run for run in newest}
    for cause in found:
        cause.workflow = known.get(cause.workflow_id, "A workflow that was deleted")
        run = runs[cause.newest.id]
        step = next((one for one in plan_of_run(ctx, run).walk() if one.id == cause.step), None)
        cause.step_name = title_of(step) if step is not None else ""


@requires(Permission.START_RUNS)
def preview(ctx: Context, days: int, keys: Iterable[Key]) -> Batch:
    """Say what running these groups again would mean.

    Raises:
        Conflict: there is no such failure any more.
    """
    found = _chosen(ctx, days, keys)
    _name(ctx, found)
    runs = _newest_first(found)
    batch = runs[:MOST_AT_ONCE]
    paths = {one.id: one.path for one in batch}
    olds = {run.id: run for run in failure_queries.runs(ctx, list(paths))}
    return Batch(found, batch, len(runs) - len(batch), len(again.sending(ctx, olds, paths)))


def keys_of(causes: Iterable[CauseKey]) -> list[Key]:
    return [(parse_id("wf", one.workflow), one.step, one.code) for one in causes]


def _chosen(ctx: Context, days: int, keys: Iterable[Key]) -> list[Cause]:
    wanted = set(keys)
    found, _ = _grouped(ctx, days)
    chosen = [cause for cause in found if cause.key in wanted]
    if not chosen:
        raise Conflict("E-REPLAY-NONE")
    return chosen


def _newest_first(found: Iterable[Cause]) -> list[Failure]:
    runs = [run for cause in found for run in cause.runs]
    return sorted(runs, key=lambda run: run.id, reverse=True)


class Press(BaseModel):
    """How far a press of "run again" has come. Its first turn only chooses.

    Attributes:
        todo: failed runs that are still to be run again, the oldest first.
        started: the new runs, the first to begin first.
        left: failed runs that are more than one press takes.
        due_ms: when the next one begins, by the lease clock of `boot`.
    """

    todo: list[UUID]
    started: list[UUID] = []
    refused: list[NotReplayed] = []
    left: int = 0
    due_ms: int = 0
    boot: str = ""


@requires(Permission.START_RUNS)
def replay(ctx: Context, draft: Replay, so_far: dict[str, Any]) -> Press:
    """Run failed runs again, each from the step that failed: as many as fit in a moment.

    It is called anew, each time in a transaction of its own, until nothing is to be done: so it
    never keeps others waiting that want to write. Each run is written at once and waits for its
    moment, so that nothing is lost by whatever dies.

    Args:
        so_far: what the turn before has returned, as JSON; {} before the first.

    Raises:
        Conflict: nothing of it is to be run again any more.
        LimitReached: too many runs wait for even one more.
    """
    ctx.require(Permission.CONTROL_RUNS)
    if not so_far:
        return _choose(ctx, draft)
    press = Press.model_validate(so_far)
    until, before = monotonic() + TURN_S, len(press.started)
    olds = _locked(ctx, press.todo[:LOOKED_AT])
    present = lease_now(ctx)
    if press.boot != boot_id() or press.due_ms < present:
        press.due_ms, press.boot = present, boot_id()
    cancels = {one for one in _workflows(olds) if run_mode(ctx, one) == "restart"}
    for place, old in enumerate(olds):
        # Who cancels other runs locks them before anything of this turn is started.
        is_for_later = place and (monotonic() > until or (old and old.workflow_id in cancels))
        if is_for_later or not press.todo:
            break
        press.todo.pop(0)
        if old is not None:
            _start(ctx, press, old, draft)
    if len(press.started) > before:
        after = {"runs": len(press.started) - before, "a_minute": draft.pace}
        after |= {"sent_again": draft.send_again}
        record(ctx, "runs.replayed", public_id("org", ctx.organization_id), after=after)
    if not (press.todo or press.started or press.refused):
        raise Conflict("E-REPLAY-NONE")
    ctx.session.flush()
    return press


def _choose(ctx: Context, draft: Replay) -> Press:
    """Fix which runs it is about. Of a workflow whose starts cancel what is under way only the
    newest is run again: all others would be cancelled by the next.
    """
    chosen = _newest_first(_chosen(ctx, draft.days, keys_of(draft.causes)))
    press = Press(todo=[], left=max(0, len(chosen) - MOST_AT_ONCE))
    modes: dict[UUID, str] = {}
    for one in chosen[:MOST_AT_ONCE]:
        if modes.get(one.workflow_id) == "restart":
            _refuse(press, one.id, Conflict("E-RUN-RESTART"))
            continue
        if one.workflow_id not in modes:
            modes[one.workflow_id] = run_mode(ctx, one.workflow_id)
        press.todo.insert(0, one.id)
    return press


def _locked(ctx: Context, run_ids: Sequence[UUID]) -> list[Run | None]:
    """Return these runs; None are those that somebody has run again meanwhile.

    Whoever presses at the same time waits, and then finds what this one leaves.
    """
    known = {run.id: run for run in failure_queries.runs(ctx, run_ids)}
    for workflow_id in sorted(_workflows(known.values())):
        lock_starts(ctx, workflow_id)
    failed = failure_queries.still_failed(ctx, run_ids)
    return [known.get(one) if one in failed else None for one in run_ids]


def _workflows(runs: Iterable[Run | None]) -> set[UUID]:
    return {run.workflow_id for run in runs if run is not None}


def _start(ctx: Context, press: Press, old: Run, draft: Replay) -> None:
    """Run one again at its moment, or note why not."""
    due_ms, old_id = press.due_ms if press.started else None, old.id
    path = str((old.error or {}).get("path") or "")
    try:
        with ctx.session.begin_nested():
            run = again.start_again(ctx, old, path, send_all=draft.send_again, due_ms=due_ms)
    except (OnlyOnce, Gone) as refused:
        _refuse(press, old_id, refused)
    except LimitReached as full:
        if not press.started:
            raise
        for one in (old_id, *press.todo):
            _refuse(press, one, full)
        press.todo.clear()
    else:
        press.started.append(run.id)
        press.due_ms += 60_000 // draft.pace


def _refuse(press: Press, run_id: UUID, why: AppError) -> None:
    refused = NotReplayed(
        run=public_id("run", run_id), code=why.code, text=f"{why.title} {why.text}"
    )
    press.refused.append(refused)

"""Look at runs and their steps, for pages and programs alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.engine.plan import Plan
from webapp.kernel.errors import NotFound
from webapp.kernel.ids import public_id
from webapp.runs import list_queries, queries
from webapp.runs.models import Event, Run, Step
from webapp.runs.plans import KnownPlan, known_plan, learn_plan
from webapp.runs.standing import Standing, standing_of
from webapp.spending.service import Paid, paid_by_step
from webapp.workflows.publishing import version_by_id
from webapp.workflows.service import names, newest_names

MOST_EVENTS = 500


@dataclass(frozen=True, slots=True)
class Whole:
    """A run with what it gave and its steps, every attempt."""

    row: queries.RunRow
    result: Any
    steps: Sequence[Any]
    plan: Plan
    standing: Standing | None = None


@dataclass(frozen=True, slots=True)
class SomeSteps:
    """Rows of steps, and the plan that names them."""

    steps: Sequence[Any]
    plan: Plan


@dataclass(frozen=True, slots=True)
class OneTask:
    """All attempts at one step, the newest one's result, and the plan that names it."""

    run_id: UUID
    attempts: Sequence[Step]
    output: Any
    plan: Plan
    paid: Sequence[Paid]


@requires(Permission.VIEW_RUNS)
def whole(ctx: Context, run_id: UUID, most: int) -> Whole:
    """Return a run with up to `most` steps, and one more if there are more."""
    return _whole(ctx, queries.find(ctx, run_id), most)


@requires(Permission.VIEW_RUNS)
def whole_if_settled(ctx: Context, run_id: UUID, most: int) -> Whole | None:
    """Return a run that is over or needs a person's decision; None while it goes on."""
    row = queries.find_over(ctx, run_id)
    if row is None:
        row = queries.find(ctx, run_id)
        return _whole(ctx, row, most) if row.state == "needs_review" else None
    steps = queries.some_attempts(ctx, run_id, most + 1)
    if len(steps) > most:  # some of them may be attempts at the same step
        return _whole(ctx, row, most)
    return Whole(row, queries.result_of(ctx, row.run), steps, plan_of_run(ctx, row.run))


def _whole(ctx: Context, row: queries.RunRow, most: int) -> Whole:
    run_id = row.run.id
    steps = queries.steps_by_path(ctx, run_id, "", most + 1)
    standing = standing_of(ctx, row)
    return Whole(row, queries.result_of(ctx, row.run), steps, plan_of_run(ctx, row.run), standing)


@requires(Permission.VIEW_RUNS)
def steps_by_path(ctx: Context, run_id: UUID, after: str, most: int) -> SomeSteps:
    """Return up to `most` steps of a run behind the path `after`."""
    row = queries.find(ctx, run_id)
    return SomeSteps(queries.steps_by_path(ctx, run_id, after, most), plan_of_run(ctx, row.run))


@requires(Permission.VIEW_RUNS)
def task(ctx: Context, run_id: UUID, path: str) -> OneTask:
    """Return one step with all its attempts.

    Raises:
        NotFound: no such run here, or it has not reached such a step.
    """
    row = queries.find(ctx, run_id)
    attempts = queries.attempts(ctx, run_id, path)
    output = queries.result_of(ctx, attempts[-1])
    paid = paid_by_step(ctx, run_id, path) if attempts[-1].kind == "agent" else []
    return OneTask(run_id, attempts, output, plan_of_run(ctx, row.run), paid)


@requires(Permission.VIEW_RUNS)
def step_events(ctx: Context, run_id: UUID, path: str) -> Sequence[Event]:
    """Return what happened to one step, in order."""
    queries.attempts(ctx, run_id, path)
    return queries.events_of_step(ctx, run_id, path, MOST_EVENTS)


def plan_of_run(ctx: Context, run: Run) -> Plan:
    """Return the plan that the run works by."""
    return plan_of_version(ctx, run.version_id).plan


@requires(Permission.VIEW_RUNS)
def plan_of_version(ctx: Context, version_id: UUID) -> KnownPlan:
    """Return a version as runs need it; read once a process."""
    known = known_plan(version_id)
    if known is None:
        made_of = version_by_id(ctx, version_id)
        known = learn_plan(made_of.id, made_of.workflow_id, made_of.number, made_of.plan)
    return known


@requires(Permission.VIEW_RUNS)
def some_runs(ctx: Context, run_ids: Sequence[UUID]) -> list[queries.RunRow]:
    return list_queries.some(ctx, run_ids)


@requires(Permission.VIEW_RUNS)
def newest_runs(ctx: Context, workflow_ids: Sequence[UUID]) -> list[queries.RunRow]:
    """Return the newest run of each of these workflows, for those that ever ran."""
    return list_queries.newest_of(ctx, workflow_ids)


@requires(Permission.VIEW_RUNS)
def workflow_name(ctx: Context, workflow_id: UUID) -> str:
    found = names(ctx, [workflow_id])
    if workflow_id not in found:
        raise NotFound()
    return found[workflow_id]


@requires(Permission.VIEW_RUNS)
def workflows_with_runs(ctx: Context) -> list[tuple[str, str]]:
    """Return (id, name) of the workflows that a list of runs may be narrowed to, by name."""
    found = [(public_id("wf", id_), name) for id_, name in newest_names(ctx, 100)]
    return sorted(found, key=lambda pair: pair[1].casefold())

"""Reads of runs: lists by keyset, the live part, one step with its values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, func, select

from webapp.access.context import Context
from webapp.files.service import shelf
from webapp.kernel import jsons
from webapp.kernel.errors import NotFound
from webapp.runs.models import Event, Lease, Run, Step

TASKS_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list of runs is narrowed to; None is everything."""

    state: str | None = None
    workflow_id: UUID | None = None
    started_by: UUID | None = None


@dataclass(slots=True)
class RunRow:
    """A run and, while it is not over, its live part."""

    run: Run
    lease: Lease | None

    @property
    def seq(self) -> int:
        return self.lease.seq if self.lease is not None else self.run.seq

    @property
    def done(self) -> int:
        return self.lease.done if self.lease is not None else self.run.steps_done

    @property
    def cost_nano(self) -> int:
        return self.lease.cost_nano if self.lease is not None else self.run.cost_nano

    @property
    def cancelling(self) -> bool:
        return self.lease is not None and self.lease.cancel_at is not None


def find(ctx: Context, run_id: UUID) -> RunRow:
    """Return the run with its lease, in one statement."""
    row = ctx.session.execute(_rows().where(Run.id == run_id)).one_or_none()
    if row is None:
        raise NotFound()
    return RunRow(*row)


def page(ctx: Context, filters: Filters, before: UUID | None, most: int) -> list[RunRow]:
    """Return up to `most` runs, newest first, older than the run `before`."""
    query = _rows().order_by(Run.id.desc()).limit(most)
    if filters.state is not None:
        query = query.where(Run.state == filters.state)
    if filters.workflow_id is not None:
        query = query.where(Run.workflow_id == filters.workflow_id)
    if filters.started_by is not None:
        query = query.where(Run.started_by == filters.started_by)
    if before is not None:
        query = query.where(Run.id < before)
    return [RunRow(*row) for row in ctx.session.execute(query)]


def _rows() -> Select[Run, Lease]:
    return select(Run, Lease).outerjoin(
        Lease, (Lease.run_id == Run.id) & (Lease.organization_id == Run.organization_id)
    )


# What lists of steps show: everything but the values, which may be large.
_SHOWN: Final = (
    Step.path,
    Step.attempt,
    Step.step_id,
    Step.kind,
    Step.state,
    Step.effect,
    Step.error,
    Step.started_at,
    Step.done_at,
    Step.due_at,
    Step.cost_nano,
    Step.tokens_in,
    Step.tokens_out,
    Step.seq,
    Step.worker,
)


def steps(ctx: Context, run_id: UUID, after: int = 0, most: int = 1000) -> Sequence[Any]:
    """Return rows of steps (every attempt) that changed after event `after`, by path."""
    query = (
        select(*_SHOWN)
        .where(
            Step.run_id == run_id,
            Step.organization_id == ctx.organization_id,
            Step.seq > after,
        )
        .order_by(Step.path, Step.attempt)
        .limit(most)
    )
    return ctx.session.execute(query).all()


def attempts(ctx: Context, run_id: UUID, path: str) -> Sequence[Step]:
    """Return all attempts at one step, with their values, oldest first."""
    query = select(Step).where(Step.run_id == run_id, Step.path == path).order_by(Step.attempt)
    found = ctx.session.scalars(query).all()
    if not found:
        raise NotFound()
    return found


def result_of(ctx: Context, row: Run | Step) -> Any:
    """Return the value a run or step gave, from the shelf when it is large."""
    if row.result_file is not None:
        return jsons.loads(shelf(ctx).get(row.result_file))
    return row.result


def events(ctx: Context, run_id: UUID, after: int, most: int) -> Sequence[Event]:
    """Return the run's events behind number `after`, in order."""
    query = (
        select(Event)
        .where(Event.run_id == run_id, Event.seq > after)
        .order_by(Event.seq)
        .limit(most)
    )
    return ctx.session.scalars(query).all()


def count_running(ctx: Context) -> int:
    """Return how many of the organization's runs are under way, counted up to 100."""
    some = select(Run.id).where(Run.state == "running").limit(100)
    some = some.where(Run.organization_id == ctx.organization_id)
    return ctx.session.scalar(select(func.count()).select_from(some.subquery())) or 0

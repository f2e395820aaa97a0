"""Reads of runs: lists by keyset, the live part, one step with its values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    Select,
    String,
    Table,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
)

from webapp.access.context import Context
from webapp.access.own_rows import OwnRows
from webapp.files.shelf import results_shelf
from webapp.kernel import jsons
from webapp.kernel.clock import boot_ms
from webapp.kernel.errors import NotFound
from webapp.kernel.rawsql import sql_for
from webapp.runs.models import Event, Lease, Run, Step
from webapp.workflows.models import Version, Workflow

TASKS_SHOWN: Final = 200
WHOLE: Final = Run.kind != literal_column("'part'", String)
"""What the indexes of lists have: a value given beside the statement would not lead to them."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list of runs is narrowed to; None is everything."""

    state: str | None = None
    workflow_id: UUID | None = None
    started_by: UUID | None = None
    since: UUID | None = None
    """The first id that is in it."""
    until: UUID | None = None
    """The first id that is not."""


@dataclass(slots=True)
class RunRow:
    """A run, while it is not over its live part, and what it is a run of."""

    run: Any
    """A `Run`, or a row with its columns."""
    lease: Any
    """A `Lease`, or a row with its columns; None once the run is over."""
    workflow_name: str
    version: int | None
    """None is a copy of the draft."""
    reason: str | None = None
    """What it waits for, if that is told by its parts: they stand in no list, so it speaks for
    them."""

    @property
    def state(self) -> str:
        """As everybody is told it: what a part needs decided, the run needs decided."""
        asks = self.run.state == "waiting" and (self.reason or self.run.reason) == "review"
        return "needs_review" if asks else str(self.run.state)

    @property
    def seq(self) -> int:
        return self.lease.seq if self.lease is not None else self.run.seq

    @property
    def done(self) -> int:
        return self.lease.done if self.lease is not None else self.run.steps_done

    @property
    def total(self) -> int:
        return self.lease.total if self.lease is not None else self.run.steps_done

    @property
    def cost_nano(self) -> int:
        """What the run has cost, with the runs below it that have ended."""
        live = self.lease if self.lease is not None else self.run
        return int(live.cost_nano + live.below_nano)

    @property
    def cancelling(self) -> bool:
        return self.lease is not None and self.lease.cancel_at is not None

    @property
    def pausing(self) -> bool:
        return self.lease is not None and self.lease.pause_at is not None


def find(ctx: Context, run_id: UUID) -> RunRow:
    """Return the run with its lease, in one statement."""
    row = ctx.session.execute(_rows().where(Run.id == run_id)).one_or_none()
    if row is None:
        raise NotFound()
    found = RunRow(*row)
    if found.run.state == "waiting" and found.run.reason == "child":
        found.reason = _WAITS_INSIDE(ctx, run=run_id)[0][0]
    return found


def waits_inside(run: str) -> str:
    """Return a SELECT of what people must know of the parts of a run that waits for them.

    One needs a decision; or all that are left wait, for a person or a service.

    Args:
        run: its id, as the statement around it calls it.
    """
    return f"""
WITH RECURSIVE below(id, state, reason) AS (
    SELECT p.id, p.state, p.reason FROM run p
     WHERE p.organization_id = :org AND p.kind = 'part' AND p.parent_run = {run}
     UNION ALL
    SELECT q.id, q.state, q.reason FROM below b JOIN run q ON q.parent_run = b.id
     WHERE q.organization_id = :org AND q.kind = 'part'
       AND b.state = 'waiting' AND b.reason = 'child')
SELECT CASE WHEN max(CASE WHEN state = 'needs_review' THEN 1 END) = 1 THEN 'review'
            WHEN max(CASE WHEN state IN ('queued', 'running') THEN 1 END) = 1 THEN NULL
            ELSE max(CASE WHEN state = 'waiting' AND reason IN ('person', 'breaker')
                          THEN reason END) END
  FROM below"""  # noqa: S608  # fixed parts


_WAITS_INSIDE: Final = OwnRows(waits_inside(":run"))


def _rows() -> Select[Run, Lease, str, int | None]:
    return (
        select(Run, Lease, Workflow.name, Version.number)
        .join(Workflow, Workflow.id == Run.workflow_id)
        .join(Version, Version.id == Run.version_id)
        .outerjoin(Lease, (Lease.run_id == Run.id) & (Lease.organization_id == Run.organization_id))
    )


def lease_now(ctx: Context) -> int:
    """Return the present of the database's lease clock, in milliseconds."""
    if ctx.session.get_bind().dialect.name == "sqlite":
        return boot_ms()
    seconds = ctx.session.scalar(select(func.extract("epoch", func.clock_timestamp())))
    return round(float(seconds or 0) * 1000)


def neighbors(ctx: Context, run: Run) -> tuple[UUID | None, UUID | None]:
    """Return the runs of the same workflow before and after this one."""
    rows = _NEIGHBORS(ctx, workflow=run.workflow_id, run=run.id)
    sql = sql_for(ctx.session.get_bind().dialect.name)
    earlier, later = (None if id_ is None else sql.read_id(id_) for id_ in rows[0])
    return earlier, later


_NEIGHBORS: Final = OwnRows("""
SELECT (SELECT b.id FROM run b WHERE b.organization_id = :org AND b.workflow_id = :workflow
           AND b.kind <> 'part' AND b.id < :run ORDER BY b.id DESC LIMIT 1),
       (SELECT a.id FROM run a WHERE a.organization_id = :org AND a.workflow_id = :workflow
           AND a.kind <> 'part' AND a.id > :run ORDER BY a.id LIMIT 1)""")


def last_inputs(ctx: Context, workflow_id: UUID) -> dict[str, Any]:
    """Return what the workflow was last started with by hand, else by itself; of 50 runs."""
    last = (
        select(Run.id, Run.started_by_kind)
        .where(Run.organization_id == ctx.organization_id, Run.workflow_id == workflow_id, WHOLE)
        .order_by(Run.id.desc())
        .limit(50)
        .subquery()
    )
    ranks = {"person": 0, "system": 1}
    query = (
        select(Run.inputs)
        .join(last, last.c.id == Run.id)
        .order_by(case(ranks, value=last.c.started_by_kind, else_=2), Run.id.desc())
        .limit(1)
    )
    return ctx.session.scalar(query) or {}


def usual(ctx: Context, workflow_id: UUID) -> tuple[int, float, float]:
    """Return the number, mean milliseconds and mean cost of the last 20 runs that went well."""
    last = (
        select(Run.took_ms, (Run.cost_nano + Run.below_nano).label("cost_nano"))
        .where(
            Run.organization_id == ctx.organization_id,
            Run.workflow_id == workflow_id,
            Run.state == "done",
            Run.kind != "rehearsal",
            WHOLE,
        )
        .order_by(Run.id.desc())
        .limit(20)
        .subquery()
    )
    mean = select(func.count(), func.avg(last.c.took_ms), func.avg(last.c.cost_nano))
    count, took_ms, cost_nano = ctx.session.execute(mean.select_from(last)).one()
    return count, float(took_ms or 0), float(cost_nano or 0)


# What lists of steps show: everything but the values, which may be large.
SHOWN: Final = (
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
        select(*SHOWN)
        .where(
            Step.run_id == run_id,
            Step.organization_id == ctx.organization_id,
            Step.seq > after,
        )
        .order_by(Step.path, Step.attempt)
        .limit(most)
    )
    return ctx.session.execute(query).all()


def _whole_runs() -> Any:
    run, workflow, version = (_table(model) for model in (Run, Workflow, Version))
    here = run.c.organization_id == bindparam("org")
    return (
        select(run, workflow.c.name.label("workflow_name"), version.c.number)
        .join(workflow, workflow.c.id == run.c.workflow_id)
        .join(version, version.c.id == run.c.version_id)
        .where(here, run.c.id == bindparam("run"), run.c.state.in_(("done", "failed", "cancelled")))
    )


def _tasks_of_run() -> Any:
    step = _table(Step)
    here = (step.c.run_id == bindparam("run")) & (step.c.organization_id == bindparam("org"))
    return (
        select(*(step.c[column.key] for column in SHOWN))
        .where(here)
        .order_by(step.c.path, step.c.attempt)
        .limit(bindparam("most"))
    )


def _table(model: Any) -> Table:
    table: Table = model.__table__
    return table


# Made once: to build a statement for each answer, or rows of it as entities, costs far more than
# to run it, and callers that wait for their runs ask these two more often than anything else.
_OVER: Final = _whole_runs()
_TASKS: Final = _tasks_of_run()


def find_over(ctx: Context, run_id: UUID) -> RunRow | None:
    """Return the run with its values if it is over."""
    which = {"run": run_id, "org": ctx.organization_id}
    row = ctx.session.connection().execute(_OVER, which).one_or_none()
    return None if row is None else RunRow(row, None, row.workflow_name, row.number)


def some_attempts(ctx: Context, run_id: UUID, most: int) -> Sequence[Any]:
    """Return the first `most` rows of the run's steps, every attempt, by path."""
    which = {"run": run_id, "org": ctx.organization_id, "most": most}
    return ctx.session.connection().execute(_TASKS, which).all()


def steps_by_path(ctx: Context, run_id: UUID, after: str, most: int) -> Sequence[Any]:
    """Return the newest attempts of up to `most` steps behind `after`, by path."""
    paths = (
        select(Step.path)
        .where(
            Step.run_id == run_id, Step.organization_id == ctx.organization_id, Step.path > after
        )
        .distinct()
        .order_by(Step.path)
        .limit(most)
    )
    query = (
        select(*SHOWN)
        .where(Step.run_id == run_id, Step.path.in_(paths))
        .where(Step.organization_id == ctx.organization_id)
        .order_by(Step.path, Step.attempt)
    )
    return ctx.session.execute(query).all()


def steps_at(
    ctx: Context, run_id: UUID, paths: Sequence[str], in_rounds: Sequence[str]
) -> Sequence[Any]:
    """Return rows of the steps at these paths, and of all in the rounds of some of them."""
    rounds = [Step.path.startswith(f"{path}#", autoescape=True) for path in in_rounds]
    query = (
        select(*SHOWN)
        .where(Step.run_id == run_id, Step.organization_id == ctx.organization_id)
        .where(or_(Step.path.in_(paths), *rounds))
        .order_by(Step.path, Step.attempt)
    )
    return ctx.session.execute(query).all()


def events_of_step(ctx: Context, run_id: UUID, path: str, most: int) -> Sequence[Event]:
    """Return the events that name this path, in order."""
    on_sqlite = ctx.session.get_bind().dialect.name == "sqlite"
    named = "json_extract(event.data, '$.path')" if on_sqlite else "event.data ->> 'path'"
    query = (
        select(Event)
        .where(Event.run_id == run_id, literal_column(named, String) == path)
        .order_by(Event.seq)
        .limit(most)
    )
    return ctx.session.scalars(query).all()


def attempts(ctx: Context, run_id: UUID, path: str) -> Sequence[Step]:
    """Return all attempts at one step, with their values, oldest first."""
    query = select(Step).where(Step.run_id == run_id, Step.path == path).order_by(Step.attempt)
    found = ctx.session.scalars(query).all()
    if not found:
        raise NotFound()
    return found


def result_of(ctx: Context, row: Any) -> Any:
    """Return the value a run or step gave, from the shelf when it is large."""
    if row.result_file is not None:
        return jsons.loads(results_shelf(ctx.settings.data).get(row.result_file))
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
    some = some.where(Run.organization_id == ctx.organization_id, WHOLE)
    return ctx.session.scalar(select(func.count()).select_from(some.subquery())) or 0

"""Accept runs: the one place where a run begins, whoever asks for it.

Every start waits for the writer's place of the database, so the transaction is kept short: what
can be looked up is looked up before, and five statements go to the driver as text.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.engine.grammar import Field
from webapp.engine.plan import Plan, load_plan
from webapp.files.service import describe_file
from webapp.kernel.clock import now
from webapp.kernel.crashpoints import crashpoint
from webapp.kernel.errors import Conflict, Gone, Invalid, LimitReached, NotFound
from webapp.kernel.ids import new_id, public_id
from webapp.kernel.rawsql import sql_for
from webapp.runs import queries
from webapp.runs.called_again import called_before, go_on_from
from webapp.runs.execution import statements as st
from webapp.runs.inputs import read_inputs
from webapp.runs.locking import lock_families
from webapp.runs.models import PART, Fair, Run
from webapp.runs.pausing import rest_with_parent
from webapp.runs.plans import KnownPlan, known_plan, learn_plan
from webapp.runs.service import (
    find_run_by_key,
    lock_starts,
    make_way,
    runs_room,
    runs_under_way,
)
from webapp.runs.standing import all_held, begun_a_minute, queue_held
from webapp.runs.taking_over import begin_with
from webapp.runs.words import runs_wait
from webapp.workflows.drafting import check, get_draft
from webapp.workflows.publishing import live_plan, live_version, run_mode, version_to_run
from webapp.workflows.service import get_workflow

QUEUE: Final = "runs"
MOST_WAITING: Final = 10_000
TURNS: Final = {"high": 100_000, "normal": 1_000_000, "low": 10_000_000}
"""How far an organization's virtual time moves with each of its starts, by their priority."""
_RANKS: Final = {"high": 0, "normal": 1, "low": 2}

Priority = Literal["high", "normal", "low"]

Which = int | Literal["live", "draft"]


@dataclass(frozen=True, slots=True)
class Parent:
    """The step of another run that starts a run, and how deep that run itself stands.

    Attributes:
        rehearses: whether it is a rehearsal; then so is what it starts.
        limit_nano: what the limits around the step leave for it; None: there are none.
    """

    run_id: UUID
    path: str
    depth: int
    rehearses: bool
    limit_nano: int | None = None


@dataclass(frozen=True, slots=True)
class Form:
    """What a run form asks.

    Attributes:
        number: of the version that is live; None while nothing is.
        fields: the questions; None when there is no such version to run.
        left: sentences about what keeps the draft from running.
        last: what the workflow was last started with by hand.
        usual: how many runs went well lately, their mean milliseconds and mean cost.
    """

    workflow_id: UUID
    workflow_name: str
    number: int | None
    fields: list[Field] | None
    left: list[str]
    last: dict[str, Any]
    usual: tuple[int, float, float]


@requires(Permission.START_RUNS)
def run_form(ctx: Context, workflow_id: UUID, version: Which = "live") -> Form:
    """Return what a run of this version would ask; nothing is written.

    Raises:
        NotFound, Gone: no such workflow, or it is in the bin.
    """
    opened = get_workflow(ctx, workflow_id)
    document: dict[str, Any] | None
    if version == "draft":
        document = get_draft(ctx, workflow_id).plan
        left = [one.text for one in check(ctx, workflow_id) if one.kind != "look"]
    else:
        document, left = live_plan(ctx, workflow_id), []
    fields = None if document is None else list(load_plan(document, "draft").inputs)
    return Form(
        workflow_id,
        opened.workflow.name,
        opened.live_number,
        fields,
        left,
        queries.last_inputs(ctx, workflow_id),
        queries.usual(ctx, workflow_id),
    )


@requires(Permission.START_RUNS)
def start_run(
    ctx: Context,
    workflow_id: UUID,
    given: dict[str, Any],
    version: Which = "live",
    *,
    key: str,
    parent: Parent | None = None,
    priority: Priority = "normal",
    rehearsal: bool = False,
) -> Run:
    """Accept a run: once this is committed, it will be done whatever breaks.

    Args:
        given: answers to the plan's questions, as texts of a form or values of JSON.
        key: where it came from, once ("form:…", an Idempotency-Key); a second run with the same
            key cannot be.

    Returns:
        The run as it was written; it is not tied to the session.

    Raises:
        Invalid: answers to correct.
        Conflict: there is no live version, or the workflow runs already and only once at a time.
        LimitReached: too many of the organization's runs wait.
    """
    chosen, mode = _chosen(ctx, workflow_id, version)
    inputs = inputs_for(ctx, chosen.plan, given)
    run = Run(
        id=new_id(),
        organization_id=ctx.organization_id,
        workflow_id=chosen.workflow_id,
        version_id=chosen.version_id,
        state="queued",
        kind=_kind(chosen, parent, rehearsal=rehearsal),
        started_by_kind=ctx.actor.kind if parent is None else "parent",
        started_by=ctx.actor.id,
        started_by_name=ctx.actor.name,
        idem_key=key,
        inputs=inputs,
        queued_at=now(),
        parent_run=None if parent is None else parent.run_id,
        parent_path=None if parent is None else parent.path,
        depth=0 if parent is None else parent.depth + 1,
        limit_nano=None if parent is None else parent.limit_nano,
    )
    if parent is not None:
        return _start_for(ctx, parent, run, given, chosen, priority)
    if mode != "parallel":
        _make_way(ctx, chosen.workflow_id, mode)
    return accept(ctx, run, chosen.steps, priority)


def _start_for(
    ctx: Context,
    parent: Parent,
    run: Run,
    given: dict[str, Any],
    chosen: KnownPlan,
    priority: Priority,
) -> Run:
    """Start a run for the step of another, which may be a repetition of one that did so, too."""
    old = called_before(ctx, parent.run_id, parent.path)
    taken = None if old is None else go_on_from(ctx, old, run, given, chosen.plan)
    if old is None or taken is None:
        accept(ctx, run, chosen.steps, priority)
    else:
        about = {"again_of": public_id("run", old.run.id), "reused": taken.done}
        accept(ctx, run, chosen.steps, priority, about)
        begin_with(ctx, run.id, taken)
    rest_with_parent(ctx, run.id, parent.run_id)
    return run


def accept(
    ctx: Context,
    run: Run,
    steps: int,
    priority: Priority = "normal",
    about: Mapping[str, Any] | None = None,
) -> Run:
    """Write a run that is complete but for its lease, and ring for a worker.

    Args:
        about: what its first event says beside who started it.

    Raises:
        LimitReached: too many of the organization's runs wait.
    """
    _write(ctx, run, steps, priority, about or {})
    crashpoint("web.after_insert_before_commit")
    ctx.hints.ring(QUEUE)
    ctx.hints.tell(runs_room(ctx), "run.queued", run=public_id("run", run.id))
    return run


@requires(Permission.VIEW_RUNS)
def inputs_for(ctx: Context, plan: Plan, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that a run of the plan starts with.

    Raises:
        Invalid: answers to correct.
    """
    return read_inputs(plan.inputs, given, today=_today, has_file=lambda name: _has(ctx, name))


@requires(Permission.START_RUNS)
def start_run_once(
    ctx: Context,
    workflow_id: UUID,
    given: dict[str, Any],
    version: Which = "live",
    *,
    key: str,
    parent: Parent | None = None,
    priority: Priority = "normal",
    rehearsal: bool = False,
) -> Run:
    """Start a run, or return the one that `key` started before, however long ago.

    Raises: see `start_run`; Invalid as well when `key` started another workflow.
    """
    try:
        return start_run(
            ctx,
            workflow_id,
            given,
            version,
            key=key,
            parent=parent,
            priority=priority,
            rehearsal=rehearsal,
        )
    except OnlyOnce:
        earlier = find_run_by_key(ctx, key)
        if earlier is None or earlier.workflow_id != workflow_id:
            raise
        return earlier
    except IntegrityError:
        ctx.session.rollback()
        ctx.hints.waiting.clear()
        earlier = find_run_by_key(ctx, key)
        if earlier is None:
            raise
        if earlier.workflow_id != workflow_id:
            raise Invalid([], code="E-IDEM-OTHER") from None
        return earlier


def _kind(chosen: KnownPlan, parent: Parent | None, *, rehearsal: bool) -> str:
    if rehearsal or (parent is not None and parent.rehearses):
        return "rehearsal"
    if parent is not None:
        return "child"
    return "tryout" if chosen.number is None else "normal"


def _chosen(ctx: Context, workflow_id: UUID, version: Which) -> tuple[KnownPlan, str]:
    """Return the plan to run and the workflow's run mode."""
    if version == "live":
        version_id, mode = live_version(ctx, workflow_id)
        known = known_plan(version_id)
        if known is not None:
            return known, mode
    row = version_to_run(ctx, workflow_id, version)
    known = learn_plan(row.id, row.workflow_id, row.number, row.plan)
    return known, run_mode(ctx, workflow_id)


class OnlyOnce(Conflict):
    """A run of a workflow that runs only once at a time is under way."""


@requires(Permission.START_RUNS)
def pass_gate(ctx: Context, workflow_id: UUID) -> None:
    """Do what the workflow's run mode says before a run that no form or program has started.

    Raises: OnlyOnce: one is under way, and the mode is "single".
    """
    if (mode := run_mode(ctx, workflow_id)) != "parallel":
        _make_way(ctx, workflow_id, mode)


def _make_way(ctx: Context, workflow_id: UUID, mode: str) -> None:
    """Do what the workflow's run mode says about its runs under way; later starts wait for this.

    Raises:
        OnlyOnce: one is under way, and the mode is "single".
    """
    if mode == "queued":
        return  # the claim sees to it
    lock_starts(ctx, workflow_id)
    under_way = runs_under_way(ctx, workflow_id)
    if mode == "single" and under_way:
        raise OnlyOnce("E-RUN-SINGLE", run=public_id("run", under_way[0]))
    lock_families(ctx, under_way)
    for run_id in under_way:
        make_way(ctx, run_id)


def _today() -> date:
    return now().date()


def _has(ctx: Context, file_id: str) -> bool:
    try:
        describe_file(ctx, file_id)
    except (NotFound, Gone):
        return False
    return True


def _write(
    ctx: Context, run: Run, steps: int, priority: Priority, about: Mapping[str, Any]
) -> None:
    """Write run, lease and first event; the row all starts of a queue share comes last but one.

    Raises:
        LimitReached: too many runs wait.
    """
    connection = ctx.session.connection()
    sql = sql_for(connection.dialect.name)
    org, run_id, at = sql.id(ctx.organization_id), sql.id(run.id), sql.moment(run.queued_at)
    connection.exec_driver_sql(
        sql(st.NEW_RUN),
        {
            "id": run_id,
            "org": org,
            "workflow": sql.id(run.workflow_id),
            "version": sql.id(run.version_id),
            "no": False,
            "kind": run.kind,
            "by_kind": run.started_by_kind,
            "by": sql.id(run.started_by),
            "by_name": run.started_by_name,
            "key": run.idem_key,
            "inputs": sql.json(run.inputs),
            "at": at,
            "parent": sql.id(run.parent_run),
            "parent_path": run.parent_path,
            "depth": run.depth,
            "part": sql.json(run.part),
            "limit_nano": run.limit_nano,
            "again_of": sql.id(run.again_of),
            "again_from": run.again_from,
        },
    )
    data = sql.json({"by": ctx.actor.kind, **about})
    event = {"run": run_id, "org": org, "seq": 1, "at": at, "type": "run.queued", "data": data}
    connection.exec_driver_sql(sql(st.WRITE_EVENT), event)
    line = {"queue": QUEUE, "org": org, "turn": TURNS[priority], "most": MOST_WAITING}
    next_turn = st.NEXT_TURN_OF_PART if run.kind == PART else st.NEXT_TURN[priority]
    turn = connection.exec_driver_sql(sql(next_turn), line).one_or_none()
    if turn is None:
        most = connection.exec_driver_sql(sql(st.MOST_WAITING), {"queue": QUEUE}).scalar()
        waits = runs_wait(most or MOST_WAITING)
        raise LimitReached("E-QUEUE", waits=waits, retry_after=_retry_after(ctx))
    lease = {
        "run": run_id,
        "org": org,
        "workflow": None if run.kind == PART else sql.id(run.workflow_id),
        "queue": QUEUE,
        "vtime": _place(turn[0], turn[1], priority, run.queued_at),
        "total": steps,
    }
    connection.exec_driver_sql(sql(st.NEW_LEASE), lease)


def _retry_after(ctx: Context) -> int:
    """Return in about how many seconds a place in the full line is free, by the last minute."""
    if queue_held(ctx, QUEUE) or all_held(ctx):
        return 60  # what began before the pause tells nothing
    line = ctx.session.get(Fair, (QUEUE, ctx.organization_id), populate_existing=True)
    begun = 0.0 if line is None else begun_a_minute(line)
    return max(1, math.ceil(min(60.0, 60 / begun))) if begun else 60


def _place(turn: int, mode: str, priority: Priority, at: datetime) -> int:
    """Return the virtual time of a new lease in a queue of this mode; 0 stays before them all."""
    milliseconds = round(at.timestamp() * 1000)
    match mode:
        case "lifo":
            return (1 << 50) - milliseconds
        case "priority":
            return (_RANKS[priority] << 48) + milliseconds
        case _:
            return turn

"""Accept runs: the one place where a run begins, whoever asks for it.

Every start waits for the writer's place of the database, so the transaction is kept short: what
can be looked up is looked up before, and five statements go to the driver as text.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.engine.grammar import Field
from webapp.engine.plan import load_plan
from webapp.files.service import describe_file
from webapp.kernel.clock import now
from webapp.kernel.crashpoints import crashpoint
from webapp.kernel.errors import Gone, Invalid, LimitReached, NotFound
from webapp.kernel.ids import new_id, public_id
from webapp.kernel.rawsql import sql_for
from webapp.runs import queries
from webapp.runs.execution import statements as st
from webapp.runs.inputs import read_inputs
from webapp.runs.models import Run
from webapp.runs.plans import KnownPlan, known_plan, learn_plan
from webapp.runs.service import find_run_by_key, runs_room
from webapp.workflows.drafting import get_draft
from webapp.workflows.plans import findings
from webapp.workflows.publishing import live_plan, live_version_id, version_to_run
from webapp.workflows.service import get_workflow

QUEUE: Final = "runs"
MOST_WAITING: Final = 10_000
_TURN: Final = 1_000_000
"""How far an organization's virtual time moves with each of its starts."""

Which = int | Literal["live", "draft"]


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
        left = [one.text for one in findings(document) if one.kind != "look"]
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
    ctx: Context, workflow_id: UUID, given: dict[str, Any], version: Which = "live", *, key: str
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
        Conflict: there is no live version.
        LimitReached: too many of the organization's runs wait.
    """
    chosen = _chosen(ctx, workflow_id, version)
    inputs = read_inputs(
        chosen.plan.inputs, given, today=_today, has_file=lambda name: _has(ctx, name)
    )
    run = Run(
        id=new_id(),
        organization_id=ctx.organization_id,
        workflow_id=chosen.workflow_id,
        version_id=chosen.version_id,
        state="queued",
        kind="tryout" if chosen.number is None else "normal",
        started_by_kind=ctx.actor.kind,
        started_by=ctx.actor.id,
        started_by_name=ctx.actor.name,
        idem_key=key,
        inputs=inputs,
        queued_at=now(),
    )
    _write(ctx, run, chosen.steps)
    crashpoint("web.after_insert_before_commit")
    ctx.hints.ring(QUEUE)
    ctx.hints.tell(runs_room(ctx), "run.queued", run=public_id("run", run.id))
    return run


@requires(Permission.START_RUNS)
def start_run_once(
    ctx: Context, workflow_id: UUID, given: dict[str, Any], version: Which = "live", *, key: str
) -> Run:
    """Start a run, or return the one that `key` started before, however long ago.

    Raises: see `start_run`; Invalid as well when `key` started another workflow.
    """
    try:
        return start_run(ctx, workflow_id, given, version, key=key)
    except IntegrityError:
        ctx.session.rollback()
        ctx.hints.waiting.clear()
        earlier = find_run_by_key(ctx, key)
        if earlier is None:
            raise
        if earlier.workflow_id != workflow_id:
            raise Invalid([], code="E-IDEM-OTHER") from None
        return earlier


def _chosen(ctx: Context, workflow_id: UUID, version: Which) -> KnownPlan:
    if version == "live":
        known = known_plan(live_version_id(ctx, workflow_id))
        if known is not None:
            return known
    row = version_to_run(ctx, workflow_id, version)
    return learn_plan(row.id, row.workflow_id, row.number, row.plan)


def _today() -> date:
    return now().date()


def _has(ctx: Context, file_id: str) -> bool:
    try:
        describe_file(ctx, file_id)
    except (NotFound, Gone):
        return False
    return True


def _write(ctx: Context, run: Run, steps: int) -> None:
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
        },
    )
    data = sql.json({"by": ctx.actor.kind})
    event = {"run": run_id, "org": org, "seq": 1, "at": at, "type": "run.queued", "data": data}
    connection.exec_driver_sql(sql(st.WRITE_EVENT), event)
    line = {"queue": QUEUE, "org": org, "turn": _TURN, "most": MOST_WAITING}
    turn = connection.exec_driver_sql(sql(st.NEXT_TURN), line).scalar_one_or_none()
    if turn is None:
        raise LimitReached("E-QUEUE", waiting=f"{MOST_WAITING:,}", retry_after=5)
    lease = {"run": run_id, "org": org, "queue": QUEUE, "vtime": turn, "total": steps}
    connection.exec_driver_sql(sql(st.NEW_LEASE), lease)

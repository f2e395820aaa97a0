"""Runs for programs: start, wait, list, look, stop."""

from __future__ import annotations

import re
from typing import Any, Final
from uuid import UUID

from flask import Response, current_app, request

from webapp.access.context import Context
from webapp.access.idempotency import check_key
from webapp.access.permissions import Permission
from webapp.kernel.errors import AppError
from webapp.kernel.ids import parse_id, public_id
from webapp.live.endings import Endings
from webapp.runs import (
    again,
    approvals,
    deciding,
    listing,
    looking,
    presenting,
    service,
    signals,
    starting,
    watching,
)
from webapp.runs.approvals_presenting import approval_out
from webapp.runs.approvals_words import GONE, step_name, workflow_name, workflow_names
from webapp.runs.queries import TASKS_SHOWN
from webapp.runs.schemas import (
    AgainAsked,
    AgainOut,
    ApprovalDecision,
    ApprovalList,
    ApprovalOut,
    ApprovalsAsked,
    Execute,
    LogList,
    LogsAsked,
    RunAgain,
    RunList,
    RunOut,
    RunsAsked,
    RunStart,
    RunStarted,
    RunSummary,
    SentBefore,
    SignalOut,
    SignalSent,
    StepDecision,
    TaskDetail,
    TaskList,
    TaskOut,
    TasksAsked,
)
from webapp.web import crowd, jsons
from webapp.web.database import brief_reading
from webapp.web.doors import ApiDoors, here
from webapp.web.identities import identities
from webapp.web.paging import asked_by

doors = ApiDoors("runs", __name__)

LONGEST_WAIT_S: Final = 60
_WAIT: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,4})\"?(?=$|[,;\s])")
_STARTS: Final = frozenset({"start_run", "execute", "create_task", "run_again"})


@doors.post(
    "/workflows/<workflow>/run",
    permission=Permission.START_RUNS,
    once="required",
    body=RunStart,
    waited=RunOut,
    errors=(409, 410),
    answer=RunStarted,
    status=202,
)
def start_run(ctx: Context, workflow: str, body: RunStart) -> RunStarted:
    """Start a run. With `Prefer: wait=10` the answer is the finished run, if it ends in time."""
    return _start(ctx, workflow, body)


@doors.post(
    "/execute",
    permission=Permission.START_RUNS,
    once="required",
    body=Execute,
    waited=RunOut,
    errors=(404, 409, 410),
    answer=RunStarted,
    status=202,
)
def execute(ctx: Context, body: Execute) -> RunStarted:
    """Start a run of the workflow that the body names."""
    return _start(ctx, body.workflow, body)


@doors.post(
    "/tasks",
    permission=Permission.START_RUNS,
    once="required",
    body=Execute,
    waited=RunOut,
    errors=(404, 409, 410),
    answer=RunStarted,
    status=202,
)
def create_task(ctx: Context, body: Execute) -> RunStarted:
    """Start a run of the workflow that the body names; its steps are its tasks."""
    return _start(ctx, body.workflow, body)


def _start(ctx: Context, workflow: str, body: RunStart) -> RunStarted:
    key = check_key(request.headers.get("Idempotency-Key"))
    run = starting.start_run_once(
        ctx,
        parse_id("wf", workflow),
        body.inputs,
        body.version,
        key=key,
        rehearsal=body.rehearsal,
        priority=body.priority,
    )
    return RunStarted(id=public_id("run", run.id), state=run.state, url=_url(run.id))


@doors.get("/runs", permission=Permission.VIEW_RUNS, query=RunsAsked, answer=RunList)
def list_runs(ctx: Context, query: RunsAsked) -> dict[str, Any]:
    """List runs, newest first. `next` may follow fewer runs than asked for, or none: several
    filters together are looked for a thousand runs at a time.
    """
    page = asked_by(query, "run")
    filters = listing.filters_of(
        ctx,
        state=query.state,
        workflow=query.workflow,
        by=query.by,
        since=query.since,
        until=query.until,
    )
    found = listing.list_runs(ctx, filters, page.limit, before=page.after)
    more = public_id("run", found.older) if found.older else None
    return {"items": [presenting.summary(row) for row in found.rows], "next": more}


@doors.get("/runs/<run>", permission=Permission.VIEW_RUNS, answer=RunOut)
def get_run(ctx: Context, run: str) -> RunOut:
    """Return a run with its result and its first tasks."""
    return _whole(ctx, parse_id("run", run))


@doors.post(
    "/runs/<run>/cancel", permission=Permission.CONTROL_RUNS, answer=RunSummary, errors=(409,)
)
def cancel_run(ctx: Context, run: str) -> RunSummary:
    """Stop a run. Finished steps stay finished; it begins nothing new."""
    return presenting.summary(service.cancel_run(ctx, parse_id("run", run)))


@doors.get(
    "/runs/<run>/again",
    permission=Permission.VIEW_RUNS,
    query=AgainAsked,
    answer=AgainOut,
    errors=(404, 409, 410),
)
def preview_again(ctx: Context, run: str, query: AgainAsked) -> AgainOut:
    """Say what running again from a step would take over, and what it would send twice."""
    found = again.preview(ctx, parse_id("run", run), query.start, query.version)
    sent = [
        SentBefore(
            path=one.path,
            step=one.step_id,
            kind=one.kind,
            effect=one.effect,
            doubtful=one.doubtful,
            calls=one.calls,
        )
        for one in found.sent
    ]
    return AgainOut(
        run=public_id("run", found.run.id),
        start=found.start,
        version=found.basis.number,
        live=found.live,
        changed=sorted(found.basis.changed),
        kept=found.kept,
        sent=sent,
    )


@doors.post(
    "/runs/<run>/again",
    permission=Permission.START_RUNS,
    once="required",
    body=RunAgain,
    waited=RunOut,
    answer=RunStarted,
    status=202,
    errors=(404, 409, 410),
)
def run_again(ctx: Context, run: str, body: RunAgain) -> RunStarted:
    """Start a new run that takes over what this one has done before a step."""
    started = again.run_again(ctx, parse_id("run", run), body.start, body.send_again, body.version)
    return RunStarted(id=public_id("run", started.id), state=started.state, url=_url(started.id))


@doors.post(
    "/runs/<run>/signals",
    permission=Permission.CONTROL_RUNS,
    body=SignalSent,
    answer=SignalOut,
    status=201,
    errors=(409,),
)
def send_signal(ctx: Context, run: str, body: SignalSent) -> SignalOut:
    """Send a signal to a run. A step that waits for it goes on; sent early, it is kept."""
    run_id = parse_id("run", run)
    kept = signals.send_signal(ctx, run_id, body)
    return SignalOut(
        id=public_id("sig", kept.id), run=public_id("run", run_id), name=body.name, at=kept.at
    )


@doors.get(
    "/tasks", permission=Permission.VIEW_RUNS, query=TasksAsked, answer=TaskList, errors=(404,)
)
def list_tasks(ctx: Context, query: TasksAsked) -> TaskList:
    """List the tasks of the run that `run` names, by path."""
    run_id, limit = parse_id("run", query.run), query.limit
    page = looking.steps_by_path(ctx, run_id, query.after, limit + 1)
    found = presenting.tasks(run_id, page.steps, page.plan)
    return TaskList(items=found[:limit], next=found[limit - 1].path if len(found) > limit else None)


@doors.get("/tasks/<run>.<path:path>", permission=Permission.VIEW_RUNS, answer=TaskDetail)
def get_task(ctx: Context, run: str, path: str) -> TaskDetail:
    """Return one step of a run with what went in and what came out."""
    found = looking.task(ctx, parse_id("run", run), path)
    return presenting.task(found)


@doors.get("/tasks/<run>.<path:path>/logs", permission=Permission.VIEW_RUNS, answer=LogList)
def get_task_logs(ctx: Context, run: str, path: str) -> LogList:
    """Return what happened to one step, in order."""
    run_id = parse_id("run", run)
    events = looking.step_events(ctx, run_id, path)
    return LogList(items=[presenting.log_line(event) for event in events], next=None)


@doors.post(
    "/tasks/<run>.<path:path>/decide",
    permission=Permission.CONTROL_RUNS,
    body=StepDecision,
    answer=TaskOut,
    errors=(409,),
)
def decide_task(ctx: Context, run: str, path: str, body: StepDecision) -> TaskOut:
    """Say whether a step in doubt happened. The run goes on once nothing is in doubt any more."""
    run_id = parse_id("run", run)
    deciding.decide_step(ctx, run_id, path, body.decision, body.note)
    found = looking.task(ctx, run_id, path)
    return presenting.tasks(run_id, found.attempts, found.plan)[0]


@doors.get(
    "/approvals",
    permission=Permission.DECIDE_APPROVALS,
    query=ApprovalsAsked,
    answer=ApprovalList,
)
def list_approvals(ctx: Context, query: ApprovalsAsked) -> ApprovalList:
    """List what is asked of the person whose key this is, newest first."""
    page = asked_by(query, "apr")
    found = approvals.open_for_me(ctx, page.after, page.limit + 1)
    more = found[page.limit - 1].id if len(found) > page.limit else None
    named = workflow_names(ctx, found)
    items = [
        approval_out(one, step_name(ctx, one), named.get(one.run.workflow_id, GONE))
        for one in found[: page.limit]
    ]
    return ApprovalList(items=items, next=more)


@doors.get("/approvals/<approval>", permission=Permission.DECIDE_APPROVALS, answer=ApprovalOut)
def get_approval(ctx: Context, approval: str) -> ApprovalOut:
    """Return what a step of a run asks, and what was answered."""
    return _approval(ctx, approvals.find_approval(ctx, parse_id("apr", approval)))


@doors.post(
    "/approvals/<approval>/decide",
    permission=Permission.DECIDE_APPROVALS,
    once="required",
    body=ApprovalDecision,
    answer=ApprovalOut,
    errors=(409,),
)
def decide_approval(ctx: Context, approval: str, body: ApprovalDecision) -> ApprovalOut:
    """Answer in the name of the key's person. It holds at once; who comes second sees who was
    first.
    """
    answered = approvals.decide(ctx, parse_id("apr", approval), body)
    return _approval(ctx, answered.found)


def _approval(ctx: Context, found: approvals.Found) -> ApprovalOut:
    return approval_out(found, step_name(ctx, found), workflow_name(ctx, found))


@doors.get("/runs/<run>/logs", permission=Permission.VIEW_RUNS, query=LogsAsked, answer=LogList)
def get_run_logs(ctx: Context, run: str, query: LogsAsked) -> LogList:
    """Return what happened to a run behind event `after`, in order."""
    events = service.run_events(ctx, parse_id("run", run), query.after, query.limit)
    lines = [presenting.log_line(event) for event in events]
    return LogList(items=lines, next=lines[-1].seq if len(lines) == query.limit else None)


@doors.after_request
def wait_for_the_end(response: Response) -> Response:
    """Answer a start with the finished run when the caller likes to wait (RFC 7240).

    This runs after the commit, in no transaction, and for replayed starts too.
    """
    if response.status_code != 202 or (request.endpoint or "").split(".")[-1] not in _STARTS:
        return response
    wait = _WAIT.search(request.headers.get("Prefer", "").lower())
    if wait is None:
        return response
    endings: Endings = current_app.extensions["endings"]
    run = jsons.read(response.get_data())["id"]
    with endings.place() as free:
        if not free:
            return response
        crowd.step_aside()
        seconds = min(int(wait[1]), LONGEST_WAIT_S)
        found = endings.wait(run, seconds, lambda: _finished(run))
    if found is not None:
        response.set_data(jsons.dump(found))
        response.status_code = 200
        response.headers["Preference-Applied"] = f"wait={seconds}"
    return response


def _finished(run: str) -> RunOut | None:
    """Look, in a transaction of its own; None while the run is under way."""
    holder = identities().key(request.headers.get("X-API-Key", ""))
    if holder is None:
        return None
    with brief_reading() as session:
        settings = current_app.extensions["settings"]
        ctx = Context(session, holder.place.organization_id, holder.actor, settings)
        try:
            run_id = parse_id("run", run)
            settled = looking.whole_if_settled(ctx, run_id, TASKS_SHOWN)
            return None if settled is None else _shown(ctx, settled, run_id)
        except AppError:
            return None


def _whole(ctx: Context, run_id: UUID) -> RunOut:
    return _shown(ctx, looking.whole(ctx, run_id, TASKS_SHOWN), run_id)


def _shown(ctx: Context, found: looking.Whole, run_id: UUID) -> RunOut:
    return presenting.whole(
        found.row,
        found.result,
        found.steps,
        found.plan,
        TASKS_SHOWN,
        watching.steps_behind(ctx, found, TASKS_SHOWN),
        _url(run_id),
        found.standing,
    )


def _url(run_id: UUID) -> str:
    base = current_app.extensions["settings"].base_url
    return f"{base}/o/{here().slug}/runs/{public_id('run', run_id)}"

"""The list of runs: filters, pages, CSV, and what changes while somebody reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from flask import Response, render_template, request

from webapp.access.context import Context
from webapp.access.permissions import Permission
from webapp.files.csvs import as_csv
from webapp.files.sending import attachment
from webapp.kernel.ids import parse_id, public_id
from webapp.runs import looking, presenting
from webapp.runs.pages.doors import doors, list_url, run_url
from webapp.runs.queries import Filters, RunRow
from webapp.runs.transitions import ALLOWED
from webapp.web.htmx import wants_part
from webapp.workflows.schemas import LastRun

ROWS = 50
MOST_ACTIVE = 25
MOST_IN_CSV = 10_000
STATES = [
    ("", "Any"),
    ("queued", "Queued"),
    ("running", "Running"),
    ("waiting", "Waiting"),
    ("needs_review", "Needs your decision"),
    ("done", "Done"),
    ("failed", "Failed"),
    ("cancelled", "Cancelled"),
]


@doors.get("/o/<org>/runs", permission=Permission.VIEW_RUNS)
def index(ctx: Context) -> Response | str:
    """List runs; `part=live` says how many are new and how those at work stand."""
    filters = _filters(ctx)
    if wants_part("live"):
        return _list_live(ctx, filters)
    before, newer_than = _cursor("before"), _cursor("after")
    rows = looking.page_of_runs(ctx, filters, before, newer_than, ROWS + 1)
    more = len(rows) > ROWS
    rows = rows[-ROWS:] if newer_than else rows[:ROWS]
    words = _filter_words(ctx, filters)
    return render_template(
        "runs/_list.html" if wants_part("list") else "runs/index.html",
        rows=rows,
        older=_filtered_url(before=public_id("run", rows[-1].run.id)) if _older(rows, more) else "",
        newer=_filtered_url(after=public_id("run", rows[0].run.id)) if _newer(rows, more) else "",
        csv=_filtered_url(path=".csv"),
        newest=public_id("run", rows[0].run.id) if rows and not before else "",
        active=",".join(public_id("run", r.run.id) for r in rows if not r.run.is_over),
        filters=filters,
        chips=words,
        states=STATES,
        list_url=list_url(),
        live_url=_filtered_url(),
        room=f"runs:{public_id('org', ctx.organization_id)}",
        word_of=presenting.word_of,
        href=run_url,
        workflow_id=public_id("wf", filters.workflow_id) if filters.workflow_id else "",
        workflows=looking.workflows_with_runs(ctx),
    )


def _older(rows: list[RunRow], more: bool) -> bool:
    return bool(rows) and (more or bool(request.args.get("after")))


def _newer(rows: list[RunRow], more: bool) -> bool:
    return bool(rows) and (
        bool(request.args.get("before")) or (more and bool(request.args.get("after")))
    )


def _list_live(ctx: Context, filters: Filters) -> str:
    newest = _cursor("newest")
    asked = request.args.get("active", "").split(",")[:MOST_ACTIVE]
    ids = [parse_id("run", run) for run in asked if run]
    rows = looking.some_runs(ctx, ids) if ids else []
    return render_template(
        "runs/_list_live.html",
        fresh=looking.count_newer(ctx, filters, newest) if newest else 0,
        newest=request.args.get("newest", ""),
        active=",".join(public_id("run", row.run.id) for row in rows if not row.run.is_over),
        rows=rows,
        live_url=_filtered_url(),
        list_url=_filtered_url(),
        room=f"runs:{public_id('org', ctx.organization_id)}",
        word_of=presenting.word_of,
    )


def last_runs(ctx: Context, workflow_ids: Sequence[UUID]) -> dict[UUID, LastRun]:
    """Return the newest run of each workflow: the list of workflows shows it, and knows no runs."""
    found = {}
    for row in looking.newest_runs(ctx, workflow_ids):
        word = presenting.word_of(row)
        found[row.run.workflow_id] = LastRun(
            id=public_id("run", row.run.id),
            url=run_url(row),
            mark=word.mark,
            word=word.text,
            at=row.run.queued_at,
        )
    return found


@doors.get("/o/<org>/runs.csv", permission=Permission.VIEW_RUNS)
def index_csv(ctx: Context) -> Response:
    """Return the same list as CSV, at most 10,000 rows."""
    rows = looking.page_of_runs(ctx, _filters(ctx), None, None, MOST_IN_CSV)
    body = as_csv([_csv_row(row) for row in rows])
    return attachment(body, "runs.csv", "text/csv; charset=utf-8")


def _csv_row(row: RunRow) -> dict[str, Any]:
    found = presenting.summary(row)
    return {
        "run": found.id,
        "workflow": found.workflow.name,
        "version": found.version,
        "status": found.word,
        "started by": found.started_by,
        "queued at": found.queued_at.isoformat(),
        "finished at": found.finished_at.isoformat() if found.finished_at else None,
        "took ms": found.took_ms,
        "cost usd": found.cost_usd,
    }


def _filters(ctx: Context) -> Filters:
    state = request.args.get("state", "")
    workflow = request.args.get("workflow", "")
    return Filters(
        state=state if state in ALLOWED else None,
        workflow_id=parse_id("wf", workflow) if workflow else None,
        started_by=ctx.actor.id if request.args.get("by") == "me" else None,
    )


def _filter_words(ctx: Context, filters: Filters) -> list[tuple[str, str]]:
    """Return each filter in words, with the list's address without it."""
    found = []
    if filters.state:
        found.append((dict(STATES).get(filters.state, filters.state), _filtered_url(state="")))
    if filters.workflow_id:
        name = looking.workflow_name(ctx, filters.workflow_id)
        found.append((name, _filtered_url(workflow="")))
    if filters.started_by:
        found.append(("Started by me", _filtered_url(by="")))
    return found


def _filtered_url(path: str = "", **more: str) -> str:
    kept = {k: v for k, v in request.args.items() if k in {"state", "workflow", "by"} and v}
    query = urlencode({k: v for k, v in (kept | more).items() if v})
    return f"{list_url()}{path}?{query}" if query else f"{list_url()}{path}"


def _cursor(name: str) -> UUID | None:
    given = request.args.get(name, "")
    return parse_id("run", given) if given else None

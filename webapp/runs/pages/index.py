"""The list of runs: filters, pages, CSV, and what changes while somebody reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from flask import Response, render_template, request

from webapp.access.context import Context
from webapp.access.permissions import Permission
from webapp.files.csvs import as_csv
from webapp.files.sending import attachment
from webapp.kernel.errors import Gone
from webapp.kernel.ids import parse_id, public_id, short, time_of
from webapp.runs import listing, looking, presenting, traffic
from webapp.runs.pages.doors import doors, list_url, org_url, run_url, zone
from webapp.runs.queries import Filters, RunRow
from webapp.runs.rehearsing import KIND
from webapp.runs.transitions import ALLOWED
from webapp.web.formats import NOTHING, cost, duration
from webapp.web.htmx import wants_part
from webapp.workflows.pace import gate_of
from webapp.workflows.schemas import LastRun
from webapp.workflows.service import get_workflow

ROWS: Final = 50
MOST_ACTIVE: Final = 25
MOST_IN_CSV: Final = 10_000
STATES: Final = [
    ("", "Any"),
    ("queued", "Queued"),
    ("running", "Running"),
    ("waiting", "Waiting"),
    ("paused", "Paused"),
    ("needs_review", "Needs your decision"),
    ("done", "Done"),
    ("failed", "Failed"),
    ("cancelled", "Cancelled"),
]
_KEPT: Final = ("state", "workflow", "by", "since", "until")


@dataclass(slots=True)
class Narrowed:
    """What the list is narrowed to, as its address says it.

    Attributes:
        workflow: id of the workflow that the page itself is about.
        words: of the address, without those that say nothing.
    """

    workflow: str = ""
    words: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, workflow: str = "") -> Narrowed:
        words = {name: request.args[name] for name in _KEPT if request.args.get(name)}
        if words.get("state") not in ALLOWED:
            words.pop("state", None)
        for name in ("since", "until"):
            if name in words and _day(words[name]) is None:
                del words[name]
        if workflow:
            words.pop("workflow", None)
        return cls(workflow, words)

    def filters(self, ctx: Context) -> Filters:
        return listing.filters_of(
            ctx,
            state=self.words.get("state"),
            workflow=self.workflow or self.words.get("workflow"),
            by=self.words.get("by"),
            since=_day(self.words.get("since", "")),
            until=_day(self.words.get("until", "")),
            zone=zone(),
        )

    @property
    def page(self) -> str:
        return f"{org_url()}/workflows/{self.workflow}/runs" if self.workflow else list_url()

    def url(self, **more: str) -> str:
        """Return the address of this list, with other words."""
        return _with(self.page, self.words | more)

    @property
    def csv(self) -> str:
        about = {"workflow": self.workflow} if self.workflow else {}
        return _with(f"{list_url()}.csv", about | self.words)


def _with(path: str, words: dict[str, str]) -> str:
    query = urlencode({name: value for name, value in words.items() if value})
    return f"{path}?{query}" if query else path


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if len(text) == 10 else None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Shown:
    """A row of the list as it reads: fifty of them are half of the page's work."""

    id: str
    url: str
    title: str
    mark: str
    word: str
    why: str
    queued_at: datetime
    by: str
    took: str
    cost: str
    tag: str


def _shown(row: RunRow, runs_url: str, in_its_workflow: bool = False) -> Shown:
    run, id_, word = row.run, public_id("run", row.run.id), presenting.word_of(row)
    error = (run.error or {}) if run.state == "failed" else {}
    version = f"version {row.version}" if row.version else "draft"
    return Shown(
        id_,
        f"{runs_url}/{id_}",
        f"Run {short(id_)}" if in_its_workflow else row.workflow_name,
        word.mark,
        word.text,
        error.get("text") or error.get("code") or "",
        run.queued_at,
        f"by {run.started_by_name}, {version}",
        NOTHING if run.took_ms is None else duration(run.took_ms / 1000),
        cost(row.cost_nano),
        "Rehearsal" if run.kind == KIND else "",
    )


@doors.get("/o/<org>/runs", permission=Permission.VIEW_RUNS)
def index(ctx: Context) -> Response | str:
    """List runs; `part=live` says how many are new and how those at work stand."""
    return _list(ctx, Narrowed.read())


@doors.get("/o/<org>/workflows/<workflow>/runs", permission=Permission.VIEW_RUNS)
def of_workflow(ctx: Context, workflow: str) -> Response | str:
    """List the runs of one workflow."""
    return _list(ctx, Narrowed.read(workflow))


def _list(ctx: Context, asked: Narrowed) -> Response | str:
    filters = asked.filters(ctx)
    if wants_part("live"):
        return _list_live(ctx, asked, filters)
    before, newer_than = _cursor("before"), _cursor("after")
    found = listing.list_runs(ctx, filters, ROWS, before=before, newer_than=newer_than)
    rows, runs_url = found.rows, list_url()
    values = {
        "asked": asked.words,
        "rows": [_shown(row, runs_url, bool(asked.workflow)) for row in rows],
        "older": asked.url(before=public_id("run", found.older)) if found.older else "",
        "newer": asked.url(after=public_id("run", found.newer)) if found.newer else "",
        "looked_back_to": time_of(found.looked_back_to) if found.looked_back_to else None,
        "csv": asked.csv,
        "newest": public_id("run", rows[0].run.id) if rows and not before else "",
        "active": ",".join(public_id("run", row.run.id) for row in rows if not row.run.is_over),
        "chips": _chips(ctx, asked, filters),
        "workflow": asked.workflow,
        "list_url": asked.page,
        "live_url": asked.url(),
        "room": f"runs:{public_id('org', ctx.organization_id)}",
    }
    if wants_part("list"):
        return render_template("runs/_list.html", **values)
    return render_template("runs/index.html", **values, **_form(ctx, asked, filters))


def _form(ctx: Context, asked: Narrowed, filters: Filters) -> dict[str, Any]:
    """Return what the page has around the list."""
    parts = {}
    if asked.workflow and filters.workflow_id is not None:
        parts = _about(ctx, asked.workflow, filters.workflow_id)
    return {
        **parts,
        "states": STATES,
        "workflows": [] if asked.workflow else looking.workflows_with_runs(ctx),
        "starters": listing.starters(ctx),
    }


def _about(ctx: Context, workflow: str, workflow_id: UUID) -> dict[str, Any]:
    """Return what is around the runs of one workflow: its state, and the way to its other pages."""
    try:
        opened = get_workflow(ctx, workflow_id)
        name = opened.workflow.name
    except Gone:  # the runs of a workflow in the bin can still be looked at
        opened, name = None, looking.workflow_name(ctx, workflow_id)
    url = f"{org_url()}/workflows/{workflow}"
    shown = {"about": name, "opened": opened, "base": url, "workflow_url": url}
    if opened is None:
        return shown | {"gate": gate_of(ctx, workflow_id), "tabs": [("Runs", f"{url}/runs")]}
    ways = ("Steps", ""), ("Runs", "/runs"), ("Versions", "/versions"), ("Settings", "/settings")
    return shown | {"tabs": [(words, f"{url}{way}") for words, way in ways]}


def _list_live(ctx: Context, asked: Narrowed, filters: Filters) -> str:
    newest = _cursor("newest")
    named = request.args.get("active", "").split(",")[:MOST_ACTIVE]
    ids = [parse_id("run", run) for run in named if run]
    rows = looking.some_runs(ctx, ids) if ids else []
    return render_template(
        "runs/_list_live.html",
        fresh=listing.count_newer(ctx, filters, newest) if newest else 0,
        newest=request.args.get("newest", ""),
        active=",".join(public_id("run", row.run.id) for row in rows if not row.run.is_over),
        rows=[_shown(row, list_url()) for row in rows],
        live_url=asked.url(),
        list_url=asked.url(),
        room=f"runs:{public_id('org', ctx.organization_id)}",
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


def left_behind(ctx: Context, workflow_id: UUID) -> str:
    """Return what becomes of the runs of a workflow that was moved to the bin, as a sentence."""
    count = traffic.under_way(ctx, workflow_id)
    if not count:
        return ""
    if gate_of(ctx, workflow_id).paused_at is None:
        return "One run of it goes on." if count == 1 else f"{count:,} runs of it go on."
    if count == 1:
        return "One run of it is paused until somebody resumes or cancels it."
    return f"{count:,} runs of it are paused until somebody resumes or cancels them."


@doors.get("/o/<org>/runs.csv", permission=Permission.VIEW_RUNS)
def index_csv(ctx: Context) -> Response:
    """Return the same list as CSV, at most 10,000 rows."""
    rows = listing.many_runs(ctx, Narrowed.read().filters(ctx), MOST_IN_CSV)
    body = as_csv([_csv_row(row) for row in rows])
    return attachment(body, "runs.csv", "text/csv; charset=utf-8")


def _csv_row(row: RunRow) -> dict[str, Any]:
    found = presenting.summary(row)
    return {
        "run": found.id,
        "workflow": found.workflow.name,
        "version": found.version,
        "kind": found.kind,
        "status": found.word,
        "started by": found.started_by,
        "queued at": found.queued_at.isoformat(),
        "finished at": found.finished_at.isoformat() if found.finished_at else None,
        "took ms": found.took_ms,
        "cost usd": found.cost_usd,
    }


def _chips(ctx: Context, asked: Narrowed, filters: Filters) -> list[tuple[str, str]]:
    """Return each filter in words, with the list's address without it."""
    words = asked.words
    found = []
    if state := words.get("state"):
        found.append((dict(STATES).get(state, state), asked.url(state="")))
    if filters.workflow_id and not asked.workflow:
        name = looking.workflow_name(ctx, filters.workflow_id)
        found.append((name, asked.url(workflow="")))
    if by := words.get("by"):
        name = "me" if by == listing.ME else dict(listing.starters(ctx)).get(by, "somebody else")
        found.append((f"Started by {name}", asked.url(by="")))
    for name, said in (("since", "From"), ("until", "To")):
        if day := _day(words.get(name, "")):
            found.append((f"{said} {day.day} {day:%b %Y}", asked.url(**{name: ""})))
    return found


def _cursor(name: str) -> UUID | None:
    given = request.args.get(name, "")
    return parse_id("run", given) if given else None

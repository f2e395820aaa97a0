"""The list of workflows, a new one, and the settings of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, cast, get_args
from urllib.parse import urlencode
from uuid import UUID

from flask import Response, current_app, g, make_response, render_template, request

from webapp.access.context import Context
from webapp.access.permissions import Permission
from webapp.files.csvs import as_csv
from webapp.files.sending import attachment
from webapp.kernel.ids import public_id
from webapp.web.forms import form_of, posted
from webapp.web.htmx import done, invalid, is_htmx, wants_part
from webapp.web.paging import asked
from webapp.workflows import drafting, pace, service
from webapp.workflows.pages.doors import doors, id_of, list_url, url_of
from webapp.workflows.pages.frame import frame
from webapp.workflows.plans import read
from webapp.workflows.queries import Overview, State
from webapp.workflows.schemas import LastRun, NewWorkflow, Pace, WorkflowSettings

LastRuns = Callable[[Context, Sequence[UUID]], dict[UUID, LastRun]]
MOST_IN_CSV: Final = 10_000
_IDS_AT_ONCE: Final = 1_000
STATES: Final = (
    ("any", "Any"),
    ("live", "Live"),
    ("changed", "Live, with changes"),
    ("draft", "Draft"),
    ("bin", "In the bin"),
)


@doors.get("/o/<org>/workflows", permission=Permission.VIEW_WORKFLOWS)
def index(ctx: Context) -> str:
    text, state = _filters()
    wanted = asked("wf")
    found = service.list_workflows(
        ctx, text=text, state=state, before=wanted.after, limit=wanted.limit
    )
    page = wanted.page(found, "wf", lambda one: one.workflow.id)
    kept = {"q": text, "state": "" if state == "any" else state}
    query = urlencode({name: value for name, value in kept.items() if value})
    shown: dict[str, Any] = {
        "page": page,
        "last_runs": _last_runs(ctx, page.items),
        "csv": list_url(f".csv?{query}" if query else ".csv"),
        "q": text,
        "state": state,
        "states": STATES,
        "list_url": list_url(),
        "is_later": wanted.after is not None,
        "is_filtered": bool(text) or state != "any",
        "actions_of": _actions_of,
    }
    template = "workflows/_list.html" if wants_part("list") else "workflows/index.html"
    return render_template(template, **shown)


def _actions_of(one: Overview, href: str, may_run: bool, may_edit: bool) -> list[Any]:
    """Return the items of a row's menu."""
    runs = may_run and one.live_number is not None
    return [
        *([{"label": "Run", "href": f"{href}/run"}] if runs else []),
        {"label": "Versions", "href": f"{href}/versions"},
        {"label": "Settings", "href": f"{href}/settings"},
        *(
            ["-", {"label": "Move to bin", "url": f"{href}/bin", "danger": True}]
            if may_edit
            else []
        ),
    ]


@doors.get("/o/<org>/workflows.csv", permission=Permission.VIEW_WORKFLOWS)
def index_csv(ctx: Context) -> Response:
    """Return the same list as CSV, at most 10,000 rows."""
    text, state = _filters()
    found = service.list_workflows(ctx, text=text, state=state, limit=MOST_IN_CSV)[:MOST_IN_CSV]
    last = _last_runs(ctx, found)
    body = as_csv([_csv_row(one, last.get(one.workflow.id)) for one in found])
    return attachment(body, "workflows.csv", "text/csv; charset=utf-8")


def _csv_row(one: Overview, last: LastRun | None) -> dict[str, Any]:
    workflow = one.workflow
    return {
        "workflow": public_id("wf", workflow.id),
        "name": workflow.name,
        "about": workflow.about,
        "state": dict(STATES)["bin" if workflow.deleted_at else _state_of(one)],
        "live version": one.live_number,
        "changed at": workflow.changed_at.isoformat(),
        "last run": last.id if last else None,
        "last run status": last.word if last else None,
        "last run queued at": last.at.isoformat() if last else None,
    }


def _state_of(one: Overview) -> State:
    if one.live_number is None:
        return "draft"
    return "changed" if one.is_changed else "live"


def _filters() -> tuple[str, State]:
    wanted = request.args.get("state", "any")
    state = cast("State", wanted if wanted in get_args(State) else "any")
    return request.args.get("q", "")[:200], state


def _last_runs(ctx: Context, listed: Sequence[Overview]) -> dict[UUID, LastRun]:
    """Ask those who know runs; a database takes only so many ids at once."""
    ask: LastRuns = current_app.extensions["last_runs"]
    ids = [one.workflow.id for one in listed]
    found: dict[UUID, LastRun] = {}
    for start in range(0, len(ids), _IDS_AT_ONCE):
        found |= ask(ctx, ids[start : start + _IDS_AT_ONCE])
    return found


@doors.get("/o/<org>/workflows/new", permission=Permission.EDIT_WORKFLOWS)
def new(ctx: Context) -> str:
    return render_template("workflows/new.html", form=form_of(WorkflowSettings))


@doors.post("/o/<org>/workflows", permission=Permission.EDIT_WORKFLOWS)
def create(ctx: Context) -> Response:
    form = posted(WorkflowSettings)
    made = form.submit(
        lambda draft: service.create_workflow(ctx, NewWorkflow(**draft.model_dump()))
    )
    if made is None:
        return invalid(form, "workflows/new.html", "workflows/_new.html")
    return done(url_of(made.workflow.id, "?add=root::0#add"))


@doors.get("/o/<org>/workflows/<workflow>/settings", permission=Permission.VIEW_WORKFLOWS)
def settings(ctx: Context, workflow: str) -> str:
    opened = service.get_workflow(ctx, id_of(workflow))
    return render_template("workflows/settings.html", **_settings_of(ctx, opened))


def _settings_of(ctx: Context, opened: Overview) -> dict[str, Any]:
    """Return the values of the page; each form stands in it as it is stored."""
    workflow, gate = opened.workflow, pace.gate_of(ctx, opened.workflow.id)
    return {
        **frame(opened),
        "form": form_of(WorkflowSettings, name=workflow.name, about=workflow.about),
        "pace": form_of(Pace, run_mode=gate.run_mode, most_running=gate.most_running),
        "gate": gate,
        "limits": read(drafting.get_draft(ctx, workflow.id).plan).limits,
    }


@doors.post("/o/<org>/workflows/<workflow>/settings", permission=Permission.EDIT_WORKFLOWS)
def change_settings(ctx: Context, workflow: str) -> Response:
    form = posted(WorkflowSettings)
    workflow_id = id_of(workflow)
    changed = form.submit(lambda draft: service.change_settings(ctx, workflow_id, draft))
    if changed is None:
        opened = service.get_workflow(ctx, workflow_id)
        shown = _settings_of(ctx, opened)
        del shown["form"]
        return invalid(form, "workflows/settings.html", "workflows/_settings.html", **shown)
    return done(url_of(workflow_id, "/settings"), say="Saved.")


@doors.post("/o/<org>/workflows/<workflow>/settings/pace", permission=Permission.EDIT_WORKFLOWS)
def change_pace(ctx: Context, workflow: str) -> Response:
    """Say how the workflow's runs go beside each other."""
    form, workflow_id = posted(Pace), id_of(workflow)
    if form.submit(lambda draft: pace.change_pace(ctx, workflow_id, draft)) is None:
        shown = _settings_of(ctx, service.get_workflow(ctx, workflow_id)) | {"pace": form}
        g.invalid_form = form
        page = "workflows/_pace.html" if is_htmx() else "workflows/settings.html"
        return make_response(render_template(page, **shown), 422)
    return done(url_of(workflow_id, "/settings"), say="Saved.")


@doors.post("/o/<org>/workflows/<workflow>/bin", permission=Permission.EDIT_WORKFLOWS)
def move_to_bin(ctx: Context, workflow: str) -> Response:
    found = service.move_to_bin(ctx, id_of(workflow))
    left: str = current_app.extensions["left_behind"](ctx, found.id)
    say = f"“{found.name}” is in the bin. Filter by “In the bin” to bring it back. {left}"
    return done(list_url(), say=say.rstrip())


@doors.post("/o/<org>/workflows/<workflow>/back", permission=Permission.EDIT_WORKFLOWS)
def bring_back(ctx: Context, workflow: str) -> Response:
    found = service.bring_back(ctx, id_of(workflow))
    return done(url_of(found.id), say=f"“{found.name}” is back.")

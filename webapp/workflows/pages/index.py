"""The list of workflows, a new one, and the settings of one."""

from __future__ import annotations

from typing import Any, Final, cast, get_args

from flask import Response, render_template, request

from webapp.access.context import Context
from webapp.access.permissions import Permission
from webapp.web.forms import form_of, posted
from webapp.web.htmx import done, invalid, wants_part
from webapp.web.paging import asked
from webapp.workflows import drafting, service
from webapp.workflows.pages.doors import doors, id_of, list_url, url_of
from webapp.workflows.pages.frame import frame
from webapp.workflows.plans import read
from webapp.workflows.queries import Overview, State
from webapp.workflows.schemas import NewWorkflow, WorkflowSettings

STATES: Final = (
    ("any", "Any"),
    ("live", "Live"),
    ("changed", "Live, with changes"),
    ("draft", "Draft"),
    ("bin", "In the bin"),
)


@doors.get("/o/<org>/workflows", permission=Permission.VIEW_WORKFLOWS)
def index(ctx: Context) -> str:
    text = request.args.get("q", "")[:200]
    wanted_state = request.args.get("state", "any")
    state = cast("State", wanted_state if wanted_state in get_args(State) else "any")
    wanted = asked("wf")
    found = service.list_workflows(
        ctx, text=text, state=state, before=wanted.after, limit=wanted.limit
    )
    page = wanted.page(found, "wf", lambda one: one.workflow.id)
    shown: dict[str, Any] = {
        "page": page,
        "q": text,
        "state": state,
        "states": STATES,
        "list_url": list_url(),
        "is_later": wanted.after is not None,
        "is_filtered": bool(text) or state != "any",
    }
    template = "workflows/_list.html" if wants_part("list") else "workflows/index.html"
    return render_template(template, **shown)


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
    form = form_of(WorkflowSettings, name=opened.workflow.name, about=opened.workflow.about)
    return render_template("workflows/settings.html", form=form, **_settings_of(ctx, opened))


def _settings_of(ctx: Context, opened: Overview) -> dict[str, Any]:
    limits = read(drafting.get_draft(ctx, opened.workflow.id).plan).limits
    return {**frame(opened), "limits": limits}


@doors.post("/o/<org>/workflows/<workflow>/settings", permission=Permission.EDIT_WORKFLOWS)
def change_settings(ctx: Context, workflow: str) -> Response:
    form = posted(WorkflowSettings)
    workflow_id = id_of(workflow)
    changed = form.submit(lambda draft: service.change_settings(ctx, workflow_id, draft))
    if changed is None:
        opened = service.get_workflow(ctx, workflow_id)
        return invalid(
            form, "workflows/settings.html", "workflows/_settings.html", **_settings_of(ctx, opened)
        )
    return done(url_of(workflow_id, "/settings"), say="Saved.")


@doors.post("/o/<org>/workflows/<workflow>/bin", permission=Permission.EDIT_WORKFLOWS)
def move_to_bin(ctx: Context, workflow: str) -> Response:
    found = service.move_to_bin(ctx, id_of(workflow))
    say = f"“{found.name}” is in the bin. Filter by “In the bin” to bring it back."
    return done(list_url(), say=say)


@doors.post("/o/<org>/workflows/<workflow>/back", permission=Permission.EDIT_WORKFLOWS)
def bring_back(ctx: Context, workflow: str) -> Response:
    found = service.bring_back(ctx, id_of(workflow))
    return done(url_of(found.id), say=f"“{found.name}” is back.")

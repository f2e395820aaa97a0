"""Check and put live; versions, what they changed, and the way back."""

from __future__ import annotations

from flask import Response, g, make_response, render_template

from webapp.access.context import Context
from webapp.access.permissions import Permission
from webapp.kernel.errors import NotFound
from webapp.web.forms import form_of, posted
from webapp.web.htmx import done, is_htmx
from webapp.web.paging import asked
from webapp.workflows import board, callees, drafting, publishing, service
from webapp.workflows.comparing import differences
from webapp.workflows.pages.doors import doors, id_of, url_of
from webapp.workflows.pages.frame import frame
from webapp.workflows.pages.workbench import Workbench
from webapp.workflows.schemas import PutLive

VIEW = Permission.VIEW_WORKFLOWS


@doors.get("/o/<org>/workflows/<workflow>/live", permission=VIEW)
def check_live(ctx: Context, workflow: str) -> str:
    return _check_page(ctx, workflow, form_of(PutLive))


def _check_page(ctx: Context, workflow: str, form: object, template: str = "live") -> str:
    bench = Workbench.open(ctx, id_of(workflow))
    live = publishing.live_plan(ctx, bench.workflow_id)
    rows = board.rows_of(bench.doc, bench.plan, bench.findings, bench.callees)
    values = frame(bench.opened)
    return render_template(
        f"workflows/{template}.html",
        form=form,
        changes=differences(live, bench.doc, callees.names_in(ctx, live, bench.doc)),
        is_first=live is None,
        next_number=publishing.next_number(ctx, bench.workflow_id),
        left=board.left_items(bench.findings, values["base"]),
        outside=[row for row in board.flat(rows) if row.outside],
        **values,
    )


@doors.post("/o/<org>/workflows/<workflow>/live", permission=Permission.PUBLISH_WORKFLOWS)
def put_live(ctx: Context, workflow: str) -> Response:
    form, workflow_id = posted(PutLive), id_of(workflow)
    version = form.submit(lambda draft: publishing.put_live(ctx, workflow_id, draft))
    if version is None:
        g.invalid_form = form
        page = _check_page(ctx, workflow, form, "_live" if is_htmx() else "live")
        return make_response(page, 422)
    return done(url_of(workflow_id, "/versions"), say=f"Version {version.number} is live.")


@doors.get("/o/<org>/workflows/<workflow>/versions", permission=VIEW)
def versions(ctx: Context, workflow: str) -> str:
    opened = service.get_workflow(ctx, id_of(workflow))
    wanted = asked("ver")
    found = publishing.list_versions(
        ctx, opened.workflow.id, before=wanted.after, limit=wanted.limit
    )
    return render_template(
        "workflows/versions.html",
        page=wanted.page(found, "ver", lambda one: one.id),
        **frame(opened),
    )


@doors.get("/o/<org>/workflows/<workflow>/versions/<int:number>", permission=VIEW)
def version(ctx: Context, workflow: str, number: int) -> str:
    """Show one version: what it changed against the one before it, and against the draft."""
    if number >= 2**31:
        raise NotFound("E-NO-VERSION", number=number)
    opened = service.get_workflow(ctx, id_of(workflow))
    found = publishing.get_version(ctx, opened.workflow.id, number)
    before = None
    if number > 1:
        before = publishing.get_version(ctx, opened.workflow.id, number - 1).plan
    draft = drafting.get_draft(ctx, opened.workflow.id).plan
    names = callees.names_in(ctx, before, found.plan, draft)
    return render_template(
        "workflows/version.html",
        version=found,
        changes=differences(before, found.plan, names),
        to_draft=differences(found.plan, draft, names),
        **frame(opened),
    )


@doors.post(
    "/o/<org>/workflows/<workflow>/versions/<int:number>/back",
    permission=Permission.EDIT_WORKFLOWS,
)
def go_back(ctx: Context, workflow: str, number: int) -> Response:
    workflow_id = id_of(workflow)
    publishing.go_back_to(ctx, workflow_id, number)
    say = f"The draft is version {number} now. Undo brings your changes back."
    return done(url_of(workflow_id), say=say)


@doors.post("/o/<org>/workflows/<workflow>/discard", permission=Permission.EDIT_WORKFLOWS)
def discard(ctx: Context, workflow: str) -> Response:
    workflow_id = id_of(workflow)
    publishing.discard_changes(ctx, workflow_id)
    return done(url_of(workflow_id), say="Your changes are thrown away. Undo brings them back.")

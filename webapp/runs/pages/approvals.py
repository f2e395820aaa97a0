"""What runs ask people: the list, one approval, and the page behind the link of a mail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from flask import Response, current_app, g, make_response, render_template, request

from webapp.access.context import Context
from webapp.access.permissions import Permission
from webapp.kernel.drafts import validated
from webapp.kernel.errors import Conflict, Gone, Invalid, NotFound
from webapp.kernel.ids import parse_id, public_id
from webapp.runs import approvals, approvals_counting, approvals_mailing, watching
from webapp.runs.approvals import Answered, Found, Via
from webapp.runs.approvals_showing import ApprovalView, answer_typed
from webapp.runs.approvals_words import GONE, step_name, workflow_name, workflow_names
from webapp.runs.pages.doors import doors, list_url, org_url, zone
from webapp.runs.schemas import ApprovalDecision
from webapp.web.browsers import local_path
from webapp.web.database import db
from webapp.web.htmx import done
from webapp.web.identities import places, visitor
from webapp.web.security import no_store

A_PAGE = 50


def approvals_url() -> str:
    return f"{org_url()}/approvals"


def waiting_for_me(ctx: Context) -> str:
    """Return how many approvals wait for whoever looks, as the menu shows it."""
    count = approvals_counting.waiting_for_me(ctx)
    most = approvals_counting.MOST_COUNTED
    return f"{most}+" if count > most else str(count or "")


def view_of(ctx: Context, found: Found, back: str = "", workflow: str = "") -> ApprovalView:
    """Return an approval as the pages of its organization show it."""
    return ApprovalView(
        found,
        step_name(ctx, found),
        workflow or workflow_name(ctx, found),
        f"{approvals_url()}/{found.id}",
        zone(),
        run_url=f"{list_url()}/{public_id('run', found.run.id)}",
        back=back,
        files=_files(ctx, found),
    )


def _files(ctx: Context, found: Found) -> dict[str, Any]:
    return {
        file_id: {"name": file.name, "size": file.size, "url": f"{org_url()}/files/{file_id}"}
        for file_id, file in watching.files_in(ctx, found.values).items()
    }


@doors.get("/o/<org>/approvals", permission=Permission.DECIDE_APPROVALS)
def approvals_index(ctx: Context) -> str:
    """List what is asked of whoever looks."""
    before = request.args.get("before", "")
    after = parse_id("apr", before) if before else None
    found = approvals.open_for_me(ctx, after, A_PAGE + 1)
    named = workflow_names(ctx, found)
    views = [
        view_of(ctx, one, workflow=named.get(one.run.workflow_id, GONE)) for one in found[:A_PAGE]
    ]
    more = len(found) > A_PAGE
    older = f"{approvals_url()}?{urlencode({'before': views[-1].id})}" if more else ""
    return render_template("runs/approvals.html", approvals=views, older=older)


@doors.get("/o/<org>/approvals/<approval>", permission=Permission.DECIDE_APPROVALS)
def approval(ctx: Context, approval: str) -> str:
    found = approvals.find_approval(ctx, parse_id("apr", approval))
    return _page(view_of(ctx, found))


def _page(view: ApprovalView) -> str:
    return render_template("runs/approval.html", a=view, list_url=approvals_url())


@doors.post("/o/<org>/approvals/<approval>/decide", permission=Permission.DECIDE_APPROVALS)
def decide_approval(ctx: Context, approval: str) -> Response:
    """Hear an answer. Somebody who comes second is told who was first, without an error."""
    approval_id = parse_id("apr", approval)
    found = approvals.find_approval(ctx, approval_id)
    try:
        said = _hear(ctx, found, approval_id, "page", zone())
    except Invalid as wrong:
        view = view_of(ctx, found)
        view.refuse(wrong.errors, request.form)
        g.invalid_form = view
        return make_response(_page(view), 422)
    return done(_back(found), say=said)


@doors.post("/o/<org>/approvals/<approval>/undo", permission=Permission.DECIDE_APPROVALS)
def undo_approval(ctx: Context, approval: str) -> Response:
    """Take an answer back within five seconds."""
    approval_id = parse_id("apr", approval)
    found = approvals.find_approval(ctx, approval_id)
    return done(_back(found), say=_take_back(ctx, approval_id))


def _back(found: Found) -> str:
    """Return the page that the answer came from: the run's or the approval's own."""
    given = local_path(request.form.get("back"))
    run = f"{list_url()}/{public_id('run', found.run.id)}"
    return run if given == run else f"{approvals_url()}/{found.id}"


def _hear(ctx: Context, found: Found, approval_id: UUID, via: Via, zone: str) -> str:
    """Take the posted answer; return what to say of it."""
    if not request.form.get("decision"):
        raise Invalid.at("", "E-FIELD", what="The answer", text="Press one of the buttons.")
    said = validated(ApprovalDecision, answer_typed(found, _typed(), zone))
    try:
        return _told(approvals.decide(ctx, approval_id, said, via=via))
    except Conflict as answered:
        return f"{answered.title} {answered.text}"


def _typed() -> Mapping[str, str]:
    return request.form


def _told(answered: Answered) -> str:
    row = answered.found.row
    if answered.how == "counted":
        left = answered.found.needed - len(answered.found.agreed)
        return f"Noted. {left} more must agree."
    if answered.how == "before" and row.state != "open":
        by = row.decided_by_name or "Nobody"
        return f"{by} {approvals.SAID.get(str(row.decision), 'answered')} this already."
    if answered.how == "before":
        return "You have agreed already."
    return "Your answer is noted. You can take it back for five seconds."


def _take_back(ctx: Context, approval_id: UUID) -> str:
    if approvals.take_back(ctx, approval_id):
        return "Taken back. Nothing is decided."
    return "It was too late: the run has heard of it."


# Behind the link of a mail: without a session, in the name of whom the mail was sent to


@doors.get("/approve/<approval>/<mark>", public=True)
def approval_by_mail(approval: str, mark: str) -> Response:
    """Show what is asked. Opening it decides nothing: scanners of mails open every link."""
    ctx, approval_id = _by_link(approval, mark)
    view = _view_by_link(ctx, approvals.find_approval(ctx, approval_id))
    return _page_by_link(ctx, view)


@doors.post("/approve/<approval>/<mark>/decide", public=True)
def decide_by_mail(approval: str, mark: str) -> Response:
    ctx, approval_id = _by_link(approval, mark)
    found = approvals.find_approval(ctx, approval_id)
    try:
        said = _hear(ctx, found, approval_id, "mail", "UTC")
    except Invalid as wrong:
        view = _view_by_link(ctx, found)
        view.refuse(wrong.errors, request.form)
        g.invalid_form = view
        return _page_by_link(ctx, view, 422)
    return done(_link(), say=said)


@doors.post("/approve/<approval>/<mark>/undo", public=True)
def undo_by_mail(approval: str, mark: str) -> Response:
    ctx, approval_id = _by_link(approval, mark)
    return done(_link(), say=_take_back(ctx, approval_id))


def _by_link(approval: str, mark: str) -> tuple[Context, UUID]:
    person, _, token = mark.partition(".")
    settings = current_app.extensions["settings"]
    try:
        approval_id, person_id = parse_id("apr", approval), parse_id("usr", person)
    except NotFound as error:
        raise Gone("E-APPROVAL-LINK") from error
    ctx = approvals_mailing.by_link(db.session(), settings, approval_id, person_id, token, g.hints)
    return ctx, approval_id


def _own_url(ctx: Context, view: ApprovalView) -> str:
    """Return the approval's page for who is signed in and belongs there; "" for others."""
    mine = places() if visitor() is not None else []
    here = next((one for one in mine if one.organization_id == ctx.organization_id), None)
    return f"/o/{here.slug}/approvals/{view.id}" if here is not None else ""


def _link() -> str:
    return request.path.rpartition("/")[0]


def _view_by_link(ctx: Context, found: Found) -> ApprovalView:
    base = request.path if request.method == "GET" else _link()
    return ApprovalView(found, step_name(ctx, found), workflow_name(ctx, found), base, "UTC")


def _page_by_link(ctx: Context, view: ApprovalView, status: int = 200) -> Response:
    page = render_template(
        "runs/approval_by_mail.html", a=view, name=ctx.actor.name, own_url=_own_url(ctx, view)
    )
    return no_store(make_response(page, status))

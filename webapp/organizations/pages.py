"""The first visit to a new machine, and the way to where the work is."""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, g, make_response, render_template, request

from webapp.access.context import Actor, Context
from webapp.access.permissions import Permission, Role
from webapp.accounts import service as accounts
from webapp.accounts.schemas import SetUp, SetupCode
from webapp.audit import service as audit
from webapp.kernel.catalogue import CATALOGUE
from webapp.kernel.errors import Gone
from webapp.organizations import service
from webapp.web.browsers import begin_session, caller, go, local_path, remembered
from webapp.web.database import brief_reading, db
from webapp.web.doors import Doors, here
from webapp.web.forms import form_of, posted
from webapp.web.htmx import done, invalid
from webapp.web.identities import places, visitor
from webapp.web.security import no_store

doors = Doors("organizations", __name__)


@doors.get("/", public=True)
def start() -> Response:
    """Send everybody to where their work is."""
    person = visitor()
    if person is not None:
        return go(f"/o/{places()[0].slug}/workflows" if places() else "/me")
    return go("/signin" if accounts.is_set_up(db.session()) else "/setup")


@doors.get("/setup", public=True)
def set_up_page() -> Response:
    session, link = db.session(), _link()
    if accounts.is_set_up(session):
        return go(link["next"] or "/")
    if link["code"] and accounts.code_is_good(session, link["code"]):
        return _page("accounts/setup.html", form=form_of(SetUp), **link)
    form = form_of(SetupCode)
    if not link["code"]:
        return _page("accounts/code.html", form=form, **link)
    form.general.append(CATALOGUE["E-SETUP-CODE"].title)  # the page says where the code stands
    return _page("accounts/code.html", 422, form=form, **link)


@doors.post("/setup", public=True)
def set_up() -> Response:
    with brief_reading() as reader:
        if accounts.is_set_up(reader):
            raise Gone("E-LINK-OLD")
    link, form = _link(), posted(SetUp)
    # Hashing takes 20 ms: it comes before the transaction that holds the writer's lock.
    made = form.submit(lambda draft: (draft, accounts.hash_for(draft)))
    if made is None:
        return no_store(invalid(form, "accounts/setup.html", "accounts/_setup.html", **link))
    draft, password_hash = made
    session = db.session()
    user = accounts.set_up(session, link["code"], draft, password_hash)
    name = f"{draft.name.split()[0]}’s organization"
    organization = service.give_first_owner(session, user.id, name)
    actor = Actor("person", user.id, user.name, Role.OWNER, staff=True)
    settings, request_id = current_app.extensions["settings"], g.get("request_id", "")
    ctx = Context(session, organization.id, actor, settings, request_id)
    audit.record(ctx, "organization.set_up", organization.public_id)
    begin_session(*accounts.begin_session(session, user.id, *caller()))
    return remembered(done(link["next"] or f"/o/{organization.slug}/workflows"), draft.email)


@doors.get("/o/<org>", permission=Permission.VIEW_ORGANIZATION)
def front(ctx: Context) -> Response:
    return go(f"/o/{here().slug}/workflows")


@doors.get("/o/<org>/menu", permission=Permission.VIEW_ORGANIZATION)
def menu(ctx: Context) -> str:
    """List all pages, for narrow screens and without script."""
    return render_template("layouts/menu.html")


def _link() -> dict[str, Any]:
    """Return what the set-up link said, in its address or in hidden fields."""
    values = request.form if request.method == "POST" else request.args
    return {"code": values.get("code", "").strip(), "next": local_path(values.get("next"))}


def _page(template: str, status: int = 200, **values: Any) -> Response:
    return no_store(make_response(render_template(template, **values), status))

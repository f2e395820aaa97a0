"""Sign-in, sign-out and the account page."""

from __future__ import annotations

import json
import secrets
from typing import Any
from uuid import UUID

import structlog
from flask import Response, current_app, g, make_response, render_template, request
from flask_wtf.csrf import generate_csrf

from webapp.access.context import Actor, Context
from webapp.accounts import service
from webapp.accounts.schemas import Appearance, NewPassword, SignIn
from webapp.audit import service as audit
from webapp.kernel.errors import Invalid
from webapp.kernel.ids import parse_id, public_id
from webapp.web.browsers import (
    account_mark,
    begin_session,
    caller,
    go,
    local_path,
    network,
    remembered,
)
from webapp.web.database import brief_reading, db
from webapp.web.doors import Doors
from webapp.web.forms import DraftForm, form_of, posted
from webapp.web.htmx import done, invalid, is_htmx
from webapp.web.identities import Visitor, identities, visitor
from webapp.web.limits import TryLimit, count_try, counters
from webapp.web.security import no_store
from webapp.web.sessions import current_session

log = structlog.get_logger("webapp.accounts")
doors = Doors("accounts", __name__)

WINDOW_S = 300
_OWN_NAMES = {"localhost", "127.0.0.1", "["}


@doors.get("/signin", public=True)
def sign_in_page() -> Response:
    if visitor() is not None:
        return go(local_path(request.args.get("next")) or "/")
    if not service.is_set_up(db.session()):
        return go("/setup")
    return _page("accounts/signin.html", form=form_of(SignIn), **_sign_in_values())


@doors.post("/signin", public=True)
def sign_in() -> Response:
    form = posted(SignIn)
    found = form.submit(lambda draft: (_checked(draft), draft.email))
    if found is None:
        return no_store(_try_again(form))
    login, email = found
    if not service.is_still(db.session(), login):
        raise Invalid([], code="E-LOGIN")
    _begin(login.user_id)
    _record("person.signed_in", login.user_id, login.name)
    if _over_a_page():
        # The page below stays, and its waiting request goes out again with a new token.
        trigger = json.dumps({"signed-in": {"csrf": generate_csrf()}})
        return remembered(make_response("", 204, {"HX-Trigger": trigger}), email)
    return remembered(done(local_path(request.values.get("next")) or "/"), email)


@doors.post("/signout", public=True)
def sign_out() -> Response:
    person = visitor()
    if person is not None:
        service.sign_out(db.session(), person.session_hash)
        _record("person.signed_out", person.user_id, person.name)
    current_session().end()
    return done("/signin", say="You are signed out.")


@doors.get("/me", signed_in=True)
def account() -> Response:
    return _account()


@doors.post("/me/password", signed_in=True)
def change_password() -> Response:
    person, form = _person(), posted(NewPassword)
    # Guessing at an open browser is guessing as well.
    tries = [TryLimit(f"password:{person.public_id}", most=10, pause_from=5, pause_s=30)]
    attempt = secrets.token_hex(8)
    count_try(attempt, WINDOW_S, tries, "E-LOGIN-WAIT")
    with brief_reading() as session:
        before = service.password_of(session, person.user_id)
    hashed = form.submit(lambda draft: service.new_hash(draft, before, person.name, person.email))
    if hashed is None:
        if is_htmx():
            return no_store(invalid(form, "accounts/me.html", "accounts/_password.html"))
        return _account(422, password_form=form)
    counters().take_back(attempt, tries)
    ended = service.change_password(
        db.session(), person.user_id, before, hashed, person.session_hash
    )
    _record("person.password_changed", person.user_id, person.name)
    others = f" {ended} other {'device was' if ended == 1 else 'devices were'} signed out."
    return done("/me", say=f"Your password is changed.{others if ended else ''}")


@doors.post("/me/appearance", signed_in=True)
def change_appearance() -> Response:
    form = posted(Appearance)
    draft = form.draft()
    if draft is None:
        if is_htmx():
            return invalid(form, "accounts/me.html", "accounts/_appearance.html")
        return _account(422, appearance_form=form)
    service.set_theme(db.session(), _person().user_id, draft.theme)
    return done("/me", say="Your colors are saved.")


@doors.post("/me/devices/<device>/signout", signed_in=True)
def sign_out_device(device: str) -> Response:
    service.end_session(db.session(), _person().user_id, parse_id("ses", device))
    return done("/me", say="That device is signed out.")


@doors.post("/me/devices/signout", signed_in=True)
def sign_out_others() -> Response:
    person = _person()
    count = service.end_other_sessions(db.session(), person.user_id, person.session_hash)
    devices = "1 other device is" if count == 1 else f"{count} other devices are"
    return done("/me", say=f"{devices} signed out.")


def _checked(draft: SignIn) -> service.Login:
    """Return who this is, or refuse: after the same time and in the same words for everybody."""
    attempt = secrets.token_hex(8)
    tries = [
        TryLimit(f"account:{account_mark(draft.email)}", most=10, pause_from=5, pause_s=30),
        TryLimit(f"network:{network()}", most=10),
        TryLimit("all", most=1000),
    ]
    count_try(attempt, WINDOW_S, tries, "E-LOGIN-WAIT")
    with brief_reading() as session:
        login = service.find_login(session, draft.email)
    if not service.password_matches(draft.password, login) or login is None:
        # Logged for known and unknown alike: a row for one of them would take longer.
        log.warning("sign_in_failed", actor=account_mark(draft.email), ref=g.get("request_id", ""))
        raise Invalid([], code="E-LOGIN")
    counters().take_back(attempt, tries)
    return login


def _record(action: str, user_id: UUID, name: str) -> None:
    """Write into the record of the person's own organization."""
    home = identities().home(user_id)
    if home is None:
        return
    actor = Actor("person", user_id, name, home.role)
    settings, request_id = current_app.extensions["settings"], g.get("request_id", "")
    ctx = Context(db.session(), home.organization_id, actor, settings, request_id)
    audit.record(ctx, action, public_id("usr", user_id))


def _over_a_page() -> bool:
    """Whether the dialog asks that lies over a page whose session ended."""
    return is_htmx() and request.headers.get("HX-Target") == "signin-again"


def _try_again(form: DraftForm[SignIn]) -> Response:
    if not _over_a_page():
        values = _sign_in_values()
        return invalid(form, "accounts/signin.html", "accounts/_signin.html", **values)
    page = render_template(
        "errors/signed_out.html",
        signin_url="/signin",
        email=form.email.data,
        problem={"text": form.errors_in_order[0][1]},
    )
    return make_response(page, 422, {"HX-Retarget": "#dialog", "HX-Reswap": "innerHTML"})


def _begin(user_id: UUID) -> None:
    """Begin a new session; the one that the browser came with ends."""
    before = visitor()
    if before is not None:
        service.sign_out(db.session(), before.session_hash)
    begin_session(*service.begin_session(db.session(), user_id, *caller()))
    g.pop("csrf_token", None)


def _person() -> Visitor:
    person = visitor()
    assert person is not None
    return person


def _sign_in_values() -> dict[str, Any]:
    settings = current_app.extensions["settings"]
    open_line = not settings.https and request.host.partition(":")[0] not in _OWN_NAMES
    return {"next": local_path(request.values.get("next")), "open_line": open_line}


def _account(status: int = 200, **forms: Any) -> Response:
    person = _person()
    values: dict[str, Any] = {
        "password_form": form_of(NewPassword),
        "appearance_form": form_of(Appearance, theme=person.theme),
        "devices": [
            {
                "id": public_id("ses", row.id),
                "name": _device_name(row.agent),
                "address": row.address,
                "since": row.made_at,
                "seen": row.seen_at,
                "this": row.id_hash == person.session_hash,
            }
            for row in service.sessions_of(db.session(), person.user_id)
        ],
    }
    return _page("accounts/me.html", status, **(values | forms))


_BROWSERS = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome"}
_BROWSERS["Safari"] = "Safari"  # last: nearly all of them claim to be it
_SYSTEMS = {"Windows": "Windows", "Android": "Android", "iPhone": "iPhone", "iPad": "iPad"}
_SYSTEMS |= {"Mac OS X": "Mac", "Linux": "Linux"}


def _device_name(agent: str) -> str:
    """Return what a browser calls itself, in two words."""
    browser = next((name for mark, name in _BROWSERS.items() if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS.items() if mark in agent), "")
    return " on ".join(filter(None, (browser, system))) or agent[:40] or "A program"


def _page(template: str, status: int = 200, **values: Any) -> Response:
    return no_store(make_response(render_template(template, **values), status))

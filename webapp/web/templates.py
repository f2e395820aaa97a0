"""What every template can say without being given it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask, g, request
from flask_wtf.csrf import generate_csrf
from markupsafe import Markup, escape

from webapp.access.context import Context
from webapp.access.permissions import Permission, Role, explain
from webapp.kernel import clock
from webapp.kernel.db import is_away
from webapp.kernel.ids import public_id, short
from webapp.web import pieces, security
from webapp.web.htmx import is_htmx
from webapp.web.identities import Place, Visitor, may, place, places, visitor
from webapp.web.said import said


@dataclass(frozen=True, slots=True)
class NavItem:
    """An entry of the main menu.

    Attributes:
        id: what a page sets as `current`.
        where: path behind /o/<org>, or a whole path.
        key: letter after "g" that goes there.
        short: also in the bar of narrow screens.
        count: says how much waits there for whoever looks; "" for nothing.
        counted: what it counts, in words.
    """

    id: str
    label: str
    where: str
    icon: str
    permission: Permission
    key: str = ""
    short: bool = True
    count: Callable[[Context], str] | None = None
    counted: str = ""


class Badge:
    """How much waits at an entry: asked once a page, and never for a part, which has no menu."""

    def __init__(self, item: NavItem) -> None:
        self._item = item
        self._text: str | None = None

    def __str__(self) -> str:
        if self._text is None:
            # Behind the request's transaction it is an error that is shown: nothing more is asked.
            is_asked = self._item.count is not None and "hints" in g and "ctx" in g
            self._text = self._item.count(g.ctx) if is_asked and self._item.count else ""
        return self._text


def init_app(app: Flask) -> None:
    app.extensions["nav"] = []
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(
        {
            "Permission": Permission,
            "Role": Role,
            "csp_nonce": security.nonce,
            "csrf_field": _csrf_field,
            "explain": explain,
            "may": may,
            "now": clock.now,
            "once": _once,
            "once_field": _once_field,
            "public": public_id,
            "said": said,
            "short": short,
        }
    )
    pieces.init_app(app, _zone)

    @app.context_processor
    def about_this_request() -> dict[str, Any]:
        person = _me()
        here = place()
        if here is None and person is not None:
            # A page of no organization, such as "not found", keeps the menu of the person's own.
            here = g.place = next(iter(places()), None)
        return {
            "me": person,
            "nav": _nav(app),
            "shell": _shell(person, here),
            "organization": here,
            "path": request.path,
            "is_htmx": is_htmx(),
        }


def _shell(person: Visitor | None, here: Place | None) -> dict[str, Any]:
    """Return where the frame of a page leads to."""
    shell: dict[str, Any] = {"home_url": "/", "signout_url": "/signout"}
    shell["account"] = [("Your account", "/me")]
    if person is None or here is None or "part" in request.args:  # a part has no frame
        return shell
    root = f"/o/{here.slug}"
    return shell | {
        "menu_url": f"{root}/menu",
        "search_url": f"{root}/workflows",
        "search_label": "Find a workflow",
        "create_url": f"{root}/workflows/new" if may(Permission.EDIT_WORKFLOWS) else "",
        "organizations": [(other.name, f"/o/{other.slug}/workflows") for other in places()],
    }


def _nav(app: Flask) -> list[dict[str, Any]]:
    here = place()
    return [
        {
            "id": item.id,
            "label": item.label,
            "href": f"/o/{here.slug}{item.where}" if here is not None else "/",
            "icon": item.icon,
            "key": item.key,
            "short": item.short,
            "badge": Badge(item),
            "badge_says": item.counted,
        }
        for item in app.extensions["nav"]
        if here is not None and may(item.permission)
    ]


def _me() -> Visitor | None:
    """Return who is signed in; the page that says "the database is away" must not ask it."""
    try:
        return visitor()
    except Exception as error:
        if is_away(error):
            return None
        raise


def _zone() -> str:
    if "zone" not in g:  # each time of a list asks
        person = _me()
        g.zone = person.zone if person is not None and person.zone else "UTC"
    found: str = g.zone
    return found


def _csrf_field() -> Markup:
    # Who signs in gets a new token, and a list of 50 rows asks for it 50 times.
    if "csrf_token" not in g or "csrf_field" not in g:
        g.csrf_field = _hidden("csrf_token", generate_csrf())
    found: Markup = g.csrf_field
    return found


def _once_field() -> Markup:
    return _hidden("once", _once())


def _hidden(name: str, value: str) -> Markup:
    # A list of 50 rows has 100 of these, so it is joined by hand.
    return Markup(f'<input type="hidden" name="{name}" value="{escape(value)}">')  # noqa: S704


def _once() -> str:
    """Return the one-time text of a form: a second use repeats the first one's answer."""
    given = request.form.get("once") if request.method == "POST" and "invalid_form" in g else None
    return given or secrets.token_urlsafe(18)

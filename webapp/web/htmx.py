"""Three ways to answer a change, the same for htmx and for a plain form (UX.md 7.1.6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from flask import Response, g, make_response, redirect, render_template, request
from markupsafe import Markup, escape
from wtforms import Form

from webapp.web.browsers import local_path
from webapp.web.said import say_next


def is_htmx() -> bool:
    """Whether htmx asks for a part of a page, and not for history it lost."""
    return "HX-Request" in request.headers and "HX-History-Restore-Request" not in request.headers


def wants_part(name: str) -> bool:
    """Whether only this part of the page is asked for: `GET page?part=name`."""
    return request.args.get("part") == name


def done(url: str, say: str | None = None) -> Response:
    """Send the browser to `url`, and show `say` there once.

    htmx gets a header instead of a redirect: XMLHttpRequest would follow one by itself and swap
    the whole next page into the form.
    """
    if say:
        say_next(say)
    if is_htmx():
        return make_response("", 204, {"HX-Redirect": url})
    return _see(url)


def part(
    *templates: str, say: str | None = None, back: str | None = None, **values: Any
) -> Response:
    """Answer htmx with these parts (the first is the target, the rest are out of band).

    A plain form is sent back to `back`, else to the page it came from, which shows `say` once.
    """
    if not is_htmx():
        if say:
            say_next(say)
        return _see(back or page_of_form(request.path))
    pieces: Iterable[str] = [render_template(template, **values) for template in templates]
    body = Markup("\n").join(Markup(piece) for piece in pieces)  # noqa: S704  (rendered with escaping)
    if say:
        body += Markup('\n<div id="say" role="status" hx-swap-oob="innerHTML">{}</div>').format(
            escape(say)
        )
    return make_response(body)


def invalid(form: Form, page: str, form_part: str, **values: Any) -> Response:
    """Answer 422 with the form as it was typed: htmx gets `form_part`, others the whole `page`."""
    g.invalid_form = form
    return make_response(
        render_template(form_part if is_htmx() else page, form=form, **values), 422
    )


def _see(url: str) -> Response:
    response = redirect(url, code=303)
    assert isinstance(response, Response)
    return response


def page_of_form(otherwise: str) -> str:
    """Return the path of the page that sent the form; other sites are not followed."""
    referrer = urlsplit(request.referrer or "")
    if referrer.netloc != request.host:
        return otherwise
    path = referrer.path + (f"?{referrer.query}" if referrer.query else "")
    return local_path(path) or otherwise

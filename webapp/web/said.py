"""One sentence that the next page shows once, carried by a short-lived signed cookie.

A row in the session would have to be deleted by the GET that shows it, and reading must change
nothing.
"""

from __future__ import annotations

from flask import Flask, Response, current_app, g, request
from itsdangerous import BadData, URLSafeTimedSerializer

COOKIE = "said"
_MOST = 400
_KEPT_S = 60


def say_next(text: str) -> None:
    g.say_next = text[:_MOST]


def said() -> str:
    """Return what was said for this page and take it back from the browser; for templates."""
    if "said" not in g:
        g.said = _read()
    found: str = g.said
    return found


def _read() -> str:
    raw = request.cookies.get(COOKIE)
    if not raw:
        return ""
    try:
        text = _signer().loads(raw, max_age=_KEPT_S)
    except BadData:
        return ""
    return text if isinstance(text, str) else ""


def _signer() -> URLSafeTimedSerializer:
    settings = current_app.extensions["settings"]
    return URLSafeTimedSerializer(settings.secret_key.get_secret_value(), salt="said")


def init_app(app: Flask, *, secure: bool) -> None:
    @app.after_request
    def carry(response: Response) -> Response:
        if "say_next" in g and response.status_code < 400:
            response.set_cookie(
                COOKIE,
                _signer().dumps(g.say_next),
                max_age=_KEPT_S,
                path="/",
                secure=secure,
                httponly=True,
                samesite="Lax",
            )
        elif "said" in g and COOKIE in request.cookies:
            response.delete_cookie(COOKIE, path="/", secure=secure, httponly=True, samesite="Lax")
        return response

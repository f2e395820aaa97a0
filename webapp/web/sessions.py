"""Sessions that live in the database: the cookie is a random id, the row its SHA-256.

Ending a session therefore ends it everywhere at once. Before anybody signs in, a signed cookie
carries the secret of the forms, so that opening the sign-in page writes nothing
(RULINGS.md 2.1.8). Nothing is read until somebody asks for the session.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from flask import Flask, Request, Response, request
from flask import session as flask_session
from flask.sessions import SessionInterface, SessionMixin
from flask_login import LoginManager
from itsdangerous import BadData, URLSafeSerializer

from webapp.kernel.settings import Settings
from webapp.kernel.tokens import token_hash
from webapp.web.identities import Place, Visitor, identities

CSRF = "csrf_token"
ABSOLUTE_AGE_S = 14 * 24 * 3600
_SAFE = {"GET", "HEAD", "OPTIONS"}


class VisitorSession(SessionMixin):
    """Flask's `session`, read when first used."""

    def __init__(self, request: Request, cookies: Cookies) -> None:
        self._request, self._cookies = request, cookies
        self._values: dict[str, Any] | None = None
        self._visitor: Visitor | None = None
        self._places: tuple[Place, ...] = ()
        self.modified = False
        self.fresh_secret = False
        self.new_id: str | None = None
        self.ended = False

    @property
    def visitor(self) -> Visitor | None:
        self._load()
        return self._visitor

    @property
    def places(self) -> tuple[Place, ...]:
        self._load()
        return self._places

    @property
    def loaded(self) -> bool:
        return self._values is not None

    def begin(self, session_id: str, csrf_secret: str) -> None:
        """Hand out the id of a session that was just made: its cookie goes with the answer."""
        self.new_id, self.ended = session_id, False
        self._values, self._visitor, self._places = {CSRF: csrf_secret}, None, ()
        self.modified = False

    def end(self) -> None:
        """Take the cookie back; the row is already gone."""
        self._values, self._visitor, self._places = {}, None, ()
        self.ended, self.modified = True, False

    def kept(self) -> dict[str, Any]:
        return {key: value for key, value in self._load().items() if key != CSRF}

    def _load(self) -> dict[str, Any]:
        if self._values is None:
            self._visitor = self._find()
            if self._visitor is not None:
                self._values = {**self._visitor.data, CSRF: self._visitor.csrf_secret}
            else:
                known = self._cookies.secret_of(self._request)
                self.fresh_secret = known is None
                self._values = {CSRF: known or secrets.token_urlsafe(24)}
        return self._values

    def _find(self) -> Visitor | None:
        raw = self._request.cookies.get(self._cookies.session, "")
        if len(raw) != 43 or not raw.isascii():
            return None
        found = identities().who(token_hash(raw))
        if found is None:
            return None
        visitor, self._places = found
        identities().seen(visitor, may_write=self._request.method not in _SAFE)
        return visitor

    def __getitem__(self, key: str) -> Any:
        return self._load()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        values = self._load()
        if self._visitor is None and key != CSRF:
            raise RuntimeError(f"nobody is signed in, so “{key}” has no place to be kept")
        values[key] = value
        self.modified = True

    def __delitem__(self, key: str) -> None:
        del self._load()[key]
        self.modified = True

    def __iter__(self) -> Iterator[str]:
        return iter(self._load())

    def __len__(self) -> int:
        return len(self._load())


class Cookies(SessionInterface):
    """Where the session's id and, before sign-in, the secret of the forms travel."""

    def __init__(self, settings: Settings) -> None:
        # `__Host-` needs Secure, which browsers refuse on http://box:8000 without a word.
        prefix = "__Host-" if settings.https else ""
        self.session, self.door = f"{prefix}sid", f"{prefix}door"
        self.secure = settings.https
        self._sign = URLSafeSerializer(settings.secret_key.get_secret_value(), salt="door")

    def open_session(self, app: Flask, request: Request) -> VisitorSession:
        return VisitorSession(request, self)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        if not isinstance(session, VisitorSession) or not session.loaded:
            return
        response.vary.add("Cookie")
        if session.ended:
            self._drop(response, self.session)
        elif session.new_id is not None:
            self._set(response, self.session, session.new_id, ABSOLUTE_AGE_S)
            self._drop(response, self.door)
        elif session.visitor is not None:
            if session.modified and request.method not in _SAFE:
                identities().keep(session.visitor.session_hash, session.kept())
        elif session.fresh_secret:
            self._set(response, self.door, self._sign.dumps(session[CSRF]), None)

    def secret_of(self, request: Request) -> str | None:
        try:
            secret = self._sign.loads(request.cookies.get(self.door, ""))
        except BadData:
            return None
        return secret if isinstance(secret, str) else None

    def _set(self, response: Response, name: str, value: str, max_age: int | None) -> None:
        response.set_cookie(
            name,
            value,
            max_age=max_age,
            path="/",
            secure=self.secure,
            httponly=True,
            samesite="Lax",
        )

    def _drop(self, response: Response, name: str) -> None:
        response.delete_cookie(name, path="/", secure=self.secure, httponly=True, samesite="Lax")


def init_app(app: Flask, settings: Settings) -> None:
    app.session_interface = Cookies(settings)
    # Not `init_app`: its remember cookie would read the session for every answer, also for files.
    login = app.login_manager = LoginManager()  # type: ignore[attr-defined]  # where it is looked for
    login.session_protection = None  # it would write to the session on a GET

    @login.request_loader
    def person(_: Request) -> Visitor | None:
        return current_session().visitor


def current_session() -> VisitorSession:
    found = flask_session._get_current_object()  # type: ignore[attr-defined]
    assert isinstance(found, VisitorSession)
    return found

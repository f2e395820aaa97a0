"""What is known of a browser before anybody signs in, and where it may be sent."""

from __future__ import annotations

import secrets
from ipaddress import ip_address

from flask import Response, current_app, redirect, request
from itsdangerous import BadData, URLSafeSerializer

from webapp.kernel.settings import Settings
from webapp.kernel.tokens import derived_key, sealed_hash
from webapp.web.security import no_store
from webapp.web.sessions import current_session

KNOWN_COOKIE = "known"
_A_YEAR_S = 365 * 24 * 3600


def local_path(path: str | None) -> str:
    """Return `path` when it stays on this site, else ""."""
    if not path or len(path) > 2000 or not path.startswith("/") or path[1:2] in ("/", "\\"):
        return ""
    if "\\" in path or not path.isprintable() or not path.isascii():
        return ""
    return path


def go(url: str) -> Response:
    """Send the browser on with GET; nothing on the way is kept."""
    response = redirect(url, code=303)
    assert isinstance(response, Response)
    return no_store(response)


def caller() -> tuple[str, str]:
    """Return the address and the program that ask, as a list of devices shows them."""
    return request.remote_addr or "", request.user_agent.string


def begin_session(token: str, csrf_secret: str) -> None:
    """Give the browser the session that was just made."""
    current_session().begin(token, csrf_secret)


def network() -> str:
    """Return what counts tries of one caller: of IPv6 the 64 bits that a household has."""
    try:
        address = ip_address(request.remote_addr or "")
    except ValueError:
        return "unknown"
    return address.exploded[:19] if address.version == 6 else str(address)


def account_mark(email: str) -> str:
    """Return what counts tries at one account.

    A browser that once signed in to it has a mark of its own, so that strangers who guess cannot
    keep its person out (OWASP, "Slow Down Online Guessing Attacks with Device Cookies").
    """
    mark = _mark(email)
    try:
        known = _signer().loads(request.cookies.get(KNOWN_COOKIE, ""))
    except BadData:
        return mark
    return known if isinstance(known, str) and known.partition(":")[0] == mark else mark


def remembered(response: Response, email: str) -> Response:
    """Mark the browser as one that signed in to this account."""
    response.set_cookie(
        KNOWN_COOKIE,
        _signer().dumps(f"{_mark(email)}:{secrets.token_hex(8)}"),
        max_age=_A_YEAR_S,
        path="/signin",
        secure=_settings().https,
        httponly=True,
        samesite="Lax",
    )
    return response


def _mark(email: str) -> str:
    key = derived_key(_settings().secret_key, "sign-in tries")
    return sealed_hash(key, email.strip().casefold()).hex()[:24]


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(_settings().secret_key.get_secret_value(), salt="known browser")


def _settings() -> Settings:
    found: Settings = current_app.extensions["settings"]
    return found

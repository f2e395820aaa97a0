"""What every answer carries, and what every request must bring, whatever the page.

The policy of the browser is a list of what is allowed, nothing else: no inline script or style,
no other host. One page is excepted by name, `/redoc`, whose bundle writes its own styles.
"""

from __future__ import annotations

import gzip
import hashlib
import secrets
from functools import lru_cache
from time import perf_counter
from typing import Final
from urllib.parse import urlsplit

import brotli
from flask import Flask, Response, g, request
from flask_wtf import CSRFProtect
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.middleware.proxy_fix import ProxyFix

from webapp.kernel.errors import BadRequest
from webapp.kernel.settings import Settings
from webapp.web import jsons
from webapp.web.doors import SAFE, ApiDoors
from webapp.web.policy import policy_of

_POLICY: Final = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "font-src": "'self'",
    "manifest-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "object-src": "'none'",
    "report-uri": "/csp",
}
EXCEPTIONS: Final = {
    "/redoc": {"style-src": "'self' 'unsafe-inline'", "worker-src": "'self' blob:"},
}

MOST_FIELDS: Final = 1000
"""Fields of one form; of one with files at most MAX_FORM_PARTS."""

csrf = CSRFProtect()


def init_app(app: Flask, settings: Settings) -> None:
    app.config.update(
        MAX_CONTENT_LENGTH=jsons.MOST_BYTES,
        MAX_FORM_MEMORY_SIZE=jsons.MOST_BYTES,
        MAX_FORM_PARTS=200,
        TRUSTED_HOSTS=list(settings.trusted_hosts) or None,
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session; a form may stay open over lunch
        WTF_CSRF_SSL_STRICT=False,  # `_same_site` below looks at the origin, on http as well
    )
    if settings.trusted_proxies:
        n = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=n, x_proto=n, x_host=n)  # type: ignore[method-assign]
    csrf.init_app(app)

    # Flask runs these from the last to the first: compare, compress, then head.
    @app.after_request
    def headers(response: Response) -> Response:
        return with_headers(response, https=settings.https)

    app.after_request(_compress)
    app.after_request(_conditional)


def begin(app: Flask) -> None:
    """Register what must come before everything else that looks at a request."""

    @app.before_request
    def start() -> None:
        g.began = perf_counter()
        # Sixteen letters that survive being read aloud, for people and log lines alike.
        g.request_id = secrets.token_bytes(8).hex()

    @app.before_request
    def bounded() -> None:
        policy = policy_of(app, request.endpoint)
        _refuse_large(policy.most_bytes if policy is not None else jsons.MOST_BYTES)

    @app.before_request
    def same_site() -> None:
        if request.method not in SAFE and not isinstance(
            app.blueprints.get(request.blueprint or ""), ApiDoors
        ):
            _same_site()


def _refuse_large(most: int) -> None:
    """Let nothing read more of the body than the door takes."""
    request.max_content_length = most
    length = request.content_length
    if length is not None and length > most:
        raise RequestEntityTooLarge
    is_form = request.mimetype == "application/x-www-form-urlencoded"
    if request.method in SAFE or request.mimetype == "multipart/form-data":
        return  # the reader of parts counts by itself
    if length is None:
        # It came in chunks: what is read whole would end at the limit as if nothing were missing.
        request.max_content_length = most + 1
        if len(request.get_data()) > most:
            raise RequestEntityTooLarge
    if is_form and request.get_data().count(b"&") >= MOST_FIELDS:
        raise BadRequest("E-BAD-REQUEST", reason=f"A form has at most {MOST_FIELDS:,} fields.")


def nonce() -> str:
    """Return this answer's nonce, made when the first template asks."""
    if "csp_nonce" not in g:
        g.csp_nonce = secrets.token_urlsafe(16)
    made: str = g.csp_nonce
    return made


def _same_site() -> None:
    """Refuse a change that another site sent, whatever token it holds."""
    if request.path == "/csp":
        return
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site not in {"same-origin", "none"}:
        raise BadRequest("E-FORM-OLD")
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        raise BadRequest("E-FORM-OLD")
    if len(request.form.getlist("csrf_token")) > 1:
        raise BadRequest("E-FORM-OLD")


@lru_cache(64)
def policy(path: str, nonce: str | None = None) -> str:
    """Return the Content-Security-Policy of a page."""
    rules = _POLICY | EXCEPTIONS.get(path, {})
    if nonce:
        rules = rules | {"script-src": f"{rules['script-src']} 'nonce-{nonce}'"}
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _policy_here() -> str:
    path, nonce = request.path, g.get("csp_nonce")
    return policy(path if path in EXCEPTIONS else "", nonce)


def with_headers(response: Response, *, https: bool) -> Response:
    """Put on an answer what every answer carries."""
    head = response.headers
    head.setdefault("Content-Security-Policy", _policy_here())
    head["X-Content-Type-Options"] = "nosniff"
    head["Referrer-Policy"] = "same-origin"
    head["Cross-Origin-Opener-Policy"] = "same-origin"
    head["Cross-Origin-Resource-Policy"] = "same-origin"
    head["Permissions-Policy"] = "camera=(), geolocation=(), microphone=(), payment=()"
    if https:
        head["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    head["X-Request-Id"] = g.get("request_id", "")
    if "Cache-Control" not in head:
        head["Cache-Control"] = "private, no-cache"
    if response.mimetype == "text/html":
        response.vary.add("HX-Request")
    if "began" in g:
        app_ms = (perf_counter() - g.began) * 1000
        head["Server-Timing"] = f"app;dur={app_ms:.1f}, db;dur={g.get('db_ms', 0.0):.1f}"
    return response


def no_store(response: Response) -> Response:
    """Keep a page with a secret out of every cache."""
    response.headers["Cache-Control"] = "no-store"
    return response


def _conditional(response: Response) -> Response:
    """Answer 304 when the browser already has these bytes."""
    if not _is_whole(response) or request.method != "GET" or response.status_code != 200:
        return response
    if "no-store" in response.headers.get("Cache-Control", "") or response.get_etag()[0]:
        return response
    digest = hashlib.blake2b(response.get_data(), digest_size=12).hexdigest()
    response.set_etag(digest, weak=True)  # weak: the compressed form has other bytes
    response.make_conditional(request)
    return response


_COMPRESSED = {
    "text/html", "application/json", "application/problem+json", "text/csv", "text/plain",
    "application/schema+json",
}  # fmt: skip


def _compress(response: Response) -> Response:
    if response.mimetype not in _COMPRESSED or not _is_whole(response):
        return response
    response.vary.add("Accept-Encoding")
    body = response.get_data()
    if len(body) < 1024 or response.status_code in (204, 304):
        return response
    encoding = request.accept_encodings.best_match(["br", "gzip", "identity"], default="identity")
    if encoding == "br":
        # A long list is half as dear at 2, and 5 % larger.
        response.set_data(brotli.compress(body, quality=4 if len(body) < 20_000 else 2))
    elif encoding == "gzip":
        response.set_data(gzip.compress(body, compresslevel=3))
    else:
        return response
    response.content_encoding = encoding
    return response


def _is_whole(response: Response) -> bool:
    return not (
        response.direct_passthrough or response.is_streamed or response.content_encoding
    )  # fmt: skip

"""One failure, three faces: a page, a notice for htmx, or RFC 9457 problem JSON.

Texts come from the catalogue only. What nobody expected is logged under a reference, without the
values of its variables, and the reference is all that is shown.

Source: RFC 9457, "Problem Details for HTTP APIs".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import structlog
from flask import Flask, Response, current_app, g, has_request_context, redirect, request
from flask import render_template as render
from flask_wtf.csrf import CSRFError
from jinja2 import TemplateNotFound
from markupsafe import escape
from werkzeug.exceptions import HTTPException, SecurityError

from webapp.engine.plan import PlanTooNew
from webapp.kernel.catalogue import CATALOGUE
from webapp.kernel.db import is_away
from webapp.kernel.errors import (
    AppError,
    BadRequest,
    FieldError,
    Forbidden,
    Invalid,
    LimitReached,
    NotFound,
    SignedOut,
    Unavailable,
)
from webapp.web import jsons
from webapp.web.htmx import is_htmx, page_of_form
from webapp.web.identities import visitor
from webapp.web.policy import policy_of

log = structlog.get_logger("webapp.errors")


@dataclass(frozen=True, slots=True)
class Problem:
    """A failure as templates and programs are shown it.

    Attributes:
        ref: the request's id, by which its log lines are found.
        members: more that programs are told, such as the checks of a plan.
        actions: label and address of the ways out.
    """

    status: int
    code: str
    title: str
    text: str
    ref: str
    not_done: str = ""
    actions: list[tuple[str, str]] = field(default_factory=list)
    errors: list[FieldError] = field(default_factory=list)
    retry_after: int | None = None
    members: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, error: AppError) -> Problem:
        return cls(
            status=error.status,
            code=error.code,
            title=error.title,
            text=error.text,
            # Byte for byte the same whether a thing is somebody else's or nobody's.
            ref="" if error.status == 404 else reference(),
            not_done=error.not_done,
            actions=[*error.facts.get("actions", []), *error.entry.actions],
            errors=error.errors if isinstance(error, Invalid) else [],
            retry_after=getattr(error, "retry_after", None),
            members=error.facts.get("members", {}),
        )

    @property
    def detail(self) -> str:
        """Return what is wrong in one sentence; programs have no marked fields to look at."""
        if self.code != "E-FIELDS" or not self.errors:
            return self.text
        more = len(self.errors) - 1
        return self.errors[0].detail + (f" {more} more to correct: see errors." if more else "")

    def json(self) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "type": f"/problems/{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "not_done": self.not_done,
            "actions": [{"label": label, "href": href} for label, href in self.actions],
            "ref": self.ref,
        }
        if self.errors:
            shown["errors"] = [
                {"pointer": e.pointer, "code": e.code, "detail": e.detail} for e in self.errors
            ]
        if self.retry_after is not None:
            shown["retry_after"] = self.retry_after
        return shown | self.members


def init_app(app: Flask) -> None:
    app.register_error_handler(AppError, answer)
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(Exception, _of_anything)


def answer(error: AppError) -> Response:
    """Return the failure as whoever asked can read it."""
    _tell_of_denial(error)
    if isinstance(error, SignedOut) and error.code == "E-SIGN-IN" and _wants_page():
        return _to_sign_in()
    problem = Problem.of(error)
    response = _face(problem)
    if problem.retry_after is not None:
        response.headers["Retry-After"] = str(problem.retry_after)
    if problem.status == 401:
        response.headers["WWW-Authenticate"] = 'ApiKey realm="Deckhand"'
    for name, value in error.facts.get("headers", {}).items():
        response.headers[name] = value
    response.headers["Cache-Control"] = "no-store"
    return response


def reference() -> str:
    ref: str = g.get("request_id", "") if has_request_context() else ""
    return ref


def is_program() -> bool:
    """Whether whoever asks reads JSON rather than pages."""
    if request.path.startswith("/api/") or request.path in {"/health", "/ready", "/status"}:
        return True
    accepts = request.accept_mimetypes
    return not is_htmx() and accepts["application/json"] > accepts["text/html"]


def _wants_page() -> bool:
    return not is_htmx() and not is_program()


def _to_sign_in() -> Response:
    goal = request.full_path.rstrip("?") if request.method == "GET" else page_of_form("/")
    sent = redirect(f"/signin?next={quote(goal, safe='/')}" if goal != "/" else "/signin", 303)
    assert isinstance(sent, Response)
    return sent


def _face(problem: Problem) -> Response:
    if is_program():
        body = jsons.dump(problem.json())
        return Response(body, problem.status, mimetype="application/problem+json")
    try:
        page = _rendered(problem)
    except Exception as error:  # noqa: BLE001  (the page of an error must not fail in its turn)
        if not isinstance(error, TemplateNotFound):
            log.error("error_page_failed", ref=problem.ref, kind=type(error).__name__)
        page = _bare(problem)
    response = Response(page, problem.status, mimetype="text/html")
    response.vary.add("HX-Request")
    return response


def _rendered(problem: Problem) -> str:
    if is_htmx() and problem.code == "E-SIGN-IN":
        return render("errors/signed_out.html", signin_url="/signin")
    if is_htmx():
        return render("errors/notice.html", problem=problem)
    # The way back from what a form was answered with is the form.
    is_there = request.method != "GET" and problem.status not in {404, 410}
    back = page_of_form("") if is_there else ""
    return render("errors/page.html", problem=problem, back=back)


def _bare(problem: Problem) -> str:
    """Return a page that needs nothing: the error may be that templates cannot be read."""
    return (
        f'<!doctype html><html lang="en"><title>{escape(problem.title)}</title>'
        f"<main><h1>{escape(problem.title)}</h1><p>{escape(problem.text)}</p>"
        f"<p>{escape(problem.code)} {escape(problem.ref)}</p></main></html>"
    )


def _of_http(error: HTTPException) -> Response:
    """Show what Flask and Werkzeug raise: unknown address, wrong method, body too large."""
    if error.response is not None:
        return error.response  # type: ignore[return-value]  # made by a view of ours
    if error.code is not None and 300 <= error.code < 400:
        return error.get_response()  # type: ignore[return-value]
    return answer(_as_ours(error))


def _as_ours(error: HTTPException) -> AppError:
    if isinstance(error, SecurityError):
        return BadRequest("E-HOST")
    if isinstance(error, CSRFError):
        return SignedOut("E-SIGN-IN") if _session_is_over() else BadRequest("E-FORM-OLD")
    code = error.code or 400
    if code in _PLAIN:
        return _PLAIN[code]()
    if code == 405:
        allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or []))
        facts = {"method": request.method, "allowed": allowed, "headers": {"Allow": allowed}}
        return _with_status(405, "E-METHOD", **facts)
    if code >= 500:
        return _with_status(500, "E-OURS", ref=reference())
    return _with_status(code, "E-BAD-REQUEST", reason="Its form is wrong.")


def _session_is_over() -> bool:
    """Whether a form's token is wrong only because nobody is signed in any more."""
    policy = policy_of(current_app, request.endpoint)
    return policy is not None and policy.auth == "session" and visitor() is None


_PLAIN: dict[int, Callable[[], AppError]] = {
    401: lambda: SignedOut("E-SIGN-IN"),
    404: NotFound,
    413: lambda: _with_status(413, "E-TOO-LARGE", most=_most_bytes()),
    415: lambda: _with_status(415, "E-JSON-TYPE"),
    429: lambda: LimitReached("E-RATE"),
    503: lambda: Unavailable("E-BUSY"),
}


def _with_status(status: int, code: str, **facts: Any) -> AppError:
    kind = type("HttpError", (AppError,), {"status": status})
    made: AppError = kind(code, **facts)
    return made


def _most_bytes() -> str:
    most = request.max_content_length or jsons.MOST_BYTES
    return f"{most // (1024 * 1024)} MB" if most >= 1024 * 1024 else f"{most // 1024} KB"


def _of_anything(error: Exception) -> Response:
    if is_away(error):
        log.warning("database_away", ref=reference(), kind=type(error).__name__)
        code = "E-BUSY" if "Busy" in type(error).__name__ else "E-DATABASE"
        return answer(Unavailable(code, retry_after=5 if code == "E-DATABASE" else 1))
    if isinstance(error, PlanTooNew):
        log.warning("plan_too_new", ref=reference(), path=request.path)
        return answer(Unavailable("E-NEWER", retry_after=60))
    # The traceback names lines only: values of variables may be secrets.
    log.error(
        "bug", ref=reference(), method=request.method, path=request.path, exc_info=error
    )  # fmt: skip
    return answer(_with_status(500, "E-OURS", ref=reference()))


def _tell_of_denial(error: AppError) -> None:
    """Let the audit record know who was refused what; app.py says how."""
    tell = current_app.extensions.get("denials")
    refused = isinstance(error, Forbidden) or (
        isinstance(error, NotFound | SignedOut) and g.get("denied", False)
    )
    if tell is None or not refused:
        return
    try:
        tell(error)
    except Exception as failure:  # noqa: BLE001  (the refusal stands, whatever the record does)
        log.error("denial_not_recorded", ref=reference(), kind=type(failure).__name__)


def problem_page(code: str) -> str:
    """Return the page that a problem's `type` points to."""
    entry = CATALOGUE.get(code)
    if entry is None:
        raise NotFound()
    words = AppError(code)
    # Nobody's problem in particular: what its gaps would be filled with is not known.
    text = words.text.replace("… s.", "a few seconds.").removeprefix("…")
    problem = Problem(200, code, words.title, text, "", words.not_done, [*entry.actions])
    return render("errors/page.html", problem=problem)

"""Every way in from HTTP: who may enter is said where the door is, or it stays shut.

    doors = Doors("workflows", __name__)

    @doors.get("/o/<org>/workflows", permission=Permission.VIEW_WORKFLOWS)
    def index(ctx: Context) -> str: ...

A door authenticates, finds the organization (a stranger's is "not found"), checks the permission,
opens the transaction (GET promises to change nothing), commits when the answer is below 400, and
sends the hints after the commit. Views and services never commit; work that would keep others
waiting for too long is done `in_turns`, each in a transaction of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any, TypeVar

import structlog
from flask import Blueprint, Flask, Response, current_app, g, make_response, request
from pydantic import BaseModel

from webapp.access.context import Actor, Context
from webapp.access.permissions import Permission, explain
from webapp.kernel.crashpoints import crashpoint
from webapp.kernel.db import reading, writing
from webapp.kernel.drafts import Draft, storable
from webapp.kernel.errors import BadRequest, Forbidden, NotFound, SignedOut, Unavailable
from webapp.kernel.hints import Hints
from webapp.web import jsons, limits
from webapp.web.database import db
from webapp.web.identities import Place, identities, place, places, visitor
from webapp.web.once import GoOn, once
from webapp.web.policy import Policy, UndeclaredDoor, declare, policies, policy_of

__all__ = [
    "ApiDoors", "Doors", "GoOn", "Policy", "UndeclaredDoor", "declare", "here", "init_app",
    "policies", "policy_of",
]  # fmt: skip

log = structlog.get_logger("webapp.doors")

View = TypeVar("View", bound=Callable[..., Any])
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Doors(Blueprint):
    """A feature's pages. Each door says `permission=`, `signed_in=True` or `public=True`."""

    def get(self, rule: str, **policy: Any) -> Callable[[View], View]:
        return self._door("GET", rule, policy)

    def post(self, rule: str, **policy: Any) -> Callable[[View], View]:
        return self._door("POST", rule, policy)

    def _door(self, method: str, rule: str, words: dict[str, Any]) -> Callable[[View], View]:
        policy = self._policy(method, rule, **words)

        def decorate(view: View) -> View:
            self.add_url_rule(rule, view.__name__, _enter(policy, view), methods=[method])
            return view

        return decorate

    def _policy(
        self,
        method: str,
        rule: str,
        *,
        permission: Permission | None = None,
        signed_in: bool = False,
        public: bool = False,
        most_bytes: int = jsons.MOST_BYTES,
        answer: Any = None,
        also: Mapping[int, Any] | None = None,
        in_turns: bool = False,
    ) -> Policy:
        if [permission is not None, signed_in, public].count(True) != 1:
            raise UndeclaredDoor(f"{method} {rule}: say permission=, signed_in or public")
        if (permission is not None) != ("<org>" in rule) and permission not in _STAFF:
            raise UndeclaredDoor(f"{method} {rule}: a permission and <org> belong together")
        in_organization = method == "POST" and "<org>" in rule
        return Policy(
            "none" if public else "session",
            permission,
            once="form" if in_organization else "",
            most_bytes=most_bytes,
            answer=answer,
            also=also or {},
            in_turns=in_turns,
        )


_STAFF = (Permission.USE_STAFF_PAGES,)


class NothingAsked(Draft):
    """The query of an address that takes none."""


class ApiDoors(Blueprint):
    """A feature's JSON API under /api/v1, entered with an API key only, unless it says `public`.

    A view gets `ctx`, the parts of the address and, with `body=Schema` and `query=Schema`, what
    was sent; it returns a model, a dict or a `Response`.
    """

    def __init__(self, name: str, import_name: str) -> None:
        super().__init__(f"{name}_api", import_name, url_prefix="/api/v1")
        # It never looks at cookies, so there is no form token to ask for.
        self.record_once(lambda state: state.app.extensions["csrf"].exempt(self))

    def get(self, rule: str, **policy: Any) -> Callable[[View], View]:
        return self._door("GET", rule, policy)

    def post(self, rule: str, **policy: Any) -> Callable[[View], View]:
        return self._door("POST", rule, policy)

    def put(self, rule: str, **policy: Any) -> Callable[[View], View]:
        return self._door("PUT", rule, policy)

    def patch(self, rule: str, **policy: Any) -> Callable[[View], View]:
        return self._door("PATCH", rule, policy)

    def delete(self, rule: str, **policy: Any) -> Callable[[View], View]:
        return self._door("DELETE", rule, policy)

    def _door(self, method: str, rule: str, words: dict[str, Any]) -> Callable[[View], View]:
        public = words.pop("public", False)
        words.setdefault("once", "" if method == "GET" else "optional")
        words.setdefault("query", NothingAsked)
        policy = Policy("none" if public else "api_key", **words)
        if public == (policy.permission is not None) or (public and method != "GET"):
            raise UndeclaredDoor(f"{method} /api/v1{rule}: say permission= or public")

        def decorate(view: View) -> View:
            self.add_url_rule(rule, view.__name__, _enter(policy, view), methods=[method])
            return view

        return decorate


def init_app(app: Flask) -> None:
    app.extensions["events"] = {}
    app.extensions["commands"] = {}

    @app.before_request
    def only_declared() -> None:
        if request.endpoint is None:
            return
        policy = policy_of(app, request.endpoint)
        if policy is None:
            if app.config.get("TESTING"):
                raise UndeclaredDoor(request.endpoint)
            log.error("undeclared_door", endpoint=request.endpoint)
            raise Unavailable("E-BUSY", retry_after=60)
        _refuse_unstorable()


def _enter(policy: Policy, view: Callable[..., Any]) -> Callable[..., Response]:
    @wraps(view)
    def enter(**args: Any) -> Response:
        actor, here = _who(policy, args)
        came = GoOn({})
        while True:
            response = _turn(policy, view, dict(args), actor, here, came.so_far)
            if not isinstance(response, GoOn):
                return response
            came = response

    enter.policy = policy  # type: ignore[attr-defined]
    return enter


def _turn(
    policy: Policy,
    view: Callable[..., Any],
    args: dict[str, Any],
    actor: Actor,
    here: Place | None,
    so_far: dict[str, Any],
) -> Response | GoOn:
    """Do the work in one transaction; of work in turns one of them."""
    safe = request.method in SAFE
    mode: AbstractContextManager[None] = reading() if safe else writing()
    with mode:
        hints = g.hints = Hints()
        try:
            response = _work(policy, view, args, actor, here, hints, so_far)
            is_well = isinstance(response, GoOn) or response.status_code < 400
            if safe or not is_well:
                db.session.rollback()
            else:
                crashpoint("web.after_insert_before_commit")
                db.session.commit()
                for name in hints.points:
                    crashpoint(name)
                crashpoint("web.after_commit_before_response")
        except BaseException:
            db.session.rollback()
            raise
        finally:
            g.pop("hints", None)
            db.session.close()
    _send(hints)
    return response


def _work(
    policy: Policy,
    view: Callable[..., Any],
    args: dict[str, Any],
    actor: Actor,
    here: Place | None,
    hints: Hints,
    so_far: dict[str, Any],
) -> Response | GoOn:
    if here is None:
        return _as_response(view(**args, **_asked(policy)), policy)
    if request.method not in SAFE:
        crashpoint("web.before_tx")
    ctx = Context(
        db.session(),
        here.organization_id,
        actor,
        current_app.extensions["settings"],
        g.get("request_id", ""),
        hints,
    )
    g.ctx = ctx
    if policy.permission is not None:
        ctx.require(policy.permission)
    args |= _asked(policy)
    if policy.body is not None:
        args["body"] = jsons.parse(policy.body, yaml=policy.yaml)

    def work(so_far: dict[str, Any]) -> Response | GoOn:
        more = {"so_far": so_far} if policy.in_turns else {}
        answer = view(ctx, **args, **more)
        return answer if isinstance(answer, GoOn) else _as_response(answer, policy)

    return once(policy, ctx, work, so_far)


def _who(policy: Policy, args: dict[str, Any]) -> tuple[Actor, Place | None]:
    if policy.auth == "none":
        return Actor("system", None, "nobody", None), None
    if policy.auth == "api_key":
        return _key_holder()
    person = visitor()
    if person is None:
        raise SignedOut("E-SIGN-IN")
    slug = args.pop("org", None)
    if slug is None:
        here = None
    else:
        here = g.place = next((found for found in places() if found.slug == slug), None)
    actor = Actor(
        "person", person.user_id, person.name, here.role if here else None, person.staff
    )  # fmt: skip
    g.actor = actor
    if slug is not None and here is None:
        g.denied = True
        raise NotFound()
    if policy.permission is Permission.USE_STAFF_PAGES and not person.staff:
        raise Forbidden("E-ROLE", **explain(policy.permission))
    return actor, here


def _key_holder() -> tuple[Actor, Place]:
    holder = identities().key(request.headers.get("X-API-Key", ""))
    if holder is None:
        g.denied = True
        raise SignedOut("E-KEY")
    limits.api_key(str(holder.actor.id), holder.rate)
    g.actor, g.place = holder.actor, holder.place
    return holder.actor, holder.place


def _asked(policy: Policy) -> dict[str, Any]:
    if policy.query is None:
        return {}
    found = jsons.asked(policy.query)
    return {} if isinstance(found, NothingAsked) else {"query": found}


def _as_response(value: Any, policy: Policy) -> Response:
    if isinstance(value, BaseModel | dict):
        return jsons.answer(value, policy.status)
    return make_response(value)


def _send(hints: Hints) -> None:
    bell = current_app.extensions.get("bell")
    if bell is not None:
        hints.flush(bell)


def _refuse_unstorable() -> None:
    """Refuse texts that a database cannot keep, before they reach one."""
    texts: Iterable[str] = [
        *(request.view_args or {}).values(),
        *(text for pair in request.args.items(multi=True) for text in pair),
    ]
    if not all(storable(text) for text in texts if isinstance(text, str)):
        raise BadRequest("E-BAD-REQUEST", reason="The address holds a character that none may.")
    if request.mimetype in {"application/x-www-form-urlencoded", "multipart/form-data"}:
        pairs = request.form.items(multi=True)
        # A multipart field without a name comes as None.
        if not all(isinstance(text, str) and storable(text) for pair in pairs for text in pair):
            raise BadRequest("E-BAD-REQUEST", reason="A field holds a character that none may.")


def here() -> Place:
    """Return the organization of this request, for building addresses."""
    found = place()
    assert found is not None
    return found

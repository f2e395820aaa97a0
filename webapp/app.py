"""Join the parts. The only module that knows them all."""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Blueprint, Flask, Response, current_app, g, request
from sqlalchemy.orm import Session

from webapp import tables
from webapp.access.context import Actor, Context
from webapp.access.permissions import Permission, Role
from webapp.accounts import pages as accounts_pages
from webapp.accounts import service as accounts
from webapp.admin import api_docs
from webapp.admin import pages as admin_pages
from webapp.api_keys import service as api_keys
from webapp.audit import service as audit
from webapp.audit.denials import Refusals
from webapp.files import api as files_api
from webapp.files import pages as files_pages
from webapp.kernel import clock, logs, shipped
from webapp.kernel.errors import AppError
from webapp.kernel.settings import Settings
from webapp.live import server as live_server
from webapp.live.bell import BackgroundBell, RedisBell
from webapp.live.redis import connect
from webapp.organizations import pages as organizations_pages
from webapp.organizations import service as organizations
from webapp.runs import api as runs_api
from webapp.runs import pages as runs_pages
from webapp.runs import pausing_api, replaying_api
from webapp.runs import topics as runs_topics
from webapp.web import (
    assets,
    crowd,
    database,
    doors,
    errors,
    formats,
    limits,
    said,
    security,
    sessions,
    templates,
)
from webapp.web.database import brief_reading, brief_writing
from webapp.web.doors import Policy
from webapp.web.identities import KeyHolder, Place, Visitor
from webapp.web.templates import NavItem
from webapp.workflows import api as workflows_api
from webapp.workflows import pages as workflows_pages

FEATURES: tuple[Blueprint, ...] = (
    admin_pages.doors,
    organizations_pages.doors,
    accounts_pages.doors,
    workflows_api.api,
    workflows_pages.doors,
    files_pages.doors,
    files_api.doors,
    runs_pages.doors,
    runs_api.doors,
    pausing_api.doors,
    replaying_api.doors,
)
"""The doors of every feature: pages and API routes."""

NAV: tuple[NavItem, ...] = (
    NavItem("workflows", "Workflows", "/workflows", "workflow", Permission.VIEW_WORKFLOWS, "w"),
    NavItem("runs", "Runs", "/runs", "run", Permission.VIEW_RUNS, "r"),
    NavItem(
        "approvals",
        "Approvals",
        "/approvals",
        "person",
        Permission.DECIDE_APPROVALS,
        "a",
        count=runs_pages.waiting_for_me,
        counted="waiting for you",
    ),
)


def create_app(settings: Settings, *, redis: Any = None, bell: Any = None) -> Flask:
    """Return the application, ready to serve.

    Args:
        redis: a client for counters and last-seen marks; None counts in this process only.
        bell: sends hints after commits; None leaves that to the sweep.
    """
    app = Flask("webapp", template_folder=str(shipped.folder_of("templates")), static_folder=None)
    app.config.update(
        SECRET_KEY=settings.secret_key.get_secret_value(),
        TESTING=settings.app_env == "testing",
        PROPAGATE_EXCEPTIONS=False,  # pages show bugs as people see them, in tests too
        PROVIDE_AUTOMATIC_OPTIONS=False,
        TEMPLATES_AUTO_RELOAD=settings.app_env == "development",
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.strict_slashes = False
    tables.load()
    app.extensions.update(settings=settings, bell=bell, redis=redis)
    app.extensions["identities"] = _Identities(settings, redis)
    _toolkit(app, settings, redis)
    for feature in FEATURES:
        app.register_blueprint(feature)
    app.register_blueprint(api_docs.doors_for(settings))
    runs_topics.open_rooms()
    live_server.init_app(app, settings)
    app.extensions["nav"].extend(NAV)
    app.extensions.update(denials=_record_denial, refusals=Refusals())
    app.extensions["last_runs"] = runs_pages.last_runs
    app.extensions["left_behind"] = runs_pages.left_behind
    _common_doors(app)
    _refuse_holes(app)
    crowd.init_app(app, settings)
    return app


def serve(settings: Settings) -> Flask:
    """Return the application with everything around it, for a web process."""
    logs.configure(settings.log_format, settings.log_level)
    if not settings.redis_url:
        return create_app(settings)
    url = settings.redis_url
    return create_app(settings, redis=connect(url), bell=BackgroundBell(RedisBell(url)))


def _toolkit(app: Flask, settings: Settings, redis: Any) -> None:
    database.init_app(app, settings.database_url)
    security.begin(app)
    doors.init_app(app)
    security.init_app(app, settings)
    sessions.init_app(app, settings)
    said.init_app(app, secure=settings.https)
    limits.init_app(app, redis)
    errors.init_app(app)
    templates.init_app(app)
    app.jinja_env.filters.update(formats.FILTERS)
    assets.init_app(app)
    doors.declare(app, "assets.send", Policy("none"))


def _common_doors(app: Flask) -> None:
    def problem(code: str) -> str:
        return errors.problem_page(code)

    def csp() -> Response:
        """Take a browser's report of something that our policy stopped."""
        request.get_data()
        return Response(status=204)

    app.add_url_rule("/problems/<code>", "problem", problem)
    app.add_url_rule("/csp", "csp", csp, methods=["POST"])
    security.csrf.exempt(csp)
    for endpoint in ("problem", "csp"):
        doors.declare(app, endpoint, Policy("none"))


def _refuse_holes(app: Flask) -> None:
    """Refuse to serve at all while nobody said who may enter somewhere."""
    holes = [entry for entry, shown in doors.policies(app).items() if shown is None]
    if holes:
        raise doors.UndeclaredDoor(", ".join(holes))


def _record_denial(error: AppError) -> None:
    """Write into the record of the actor's own organization what they were refused."""
    actor: Actor | None = g.get("actor")
    here: Place | None = g.get("place")
    if actor is None:
        return
    refusals: Refusals = current_app.extensions["refusals"]
    what = error.facts.get("what")
    unwritten = refusals.since_written((here and here.organization_id, actor.id, error.code, what))
    if unwritten is None:
        return
    if here is None and actor.kind == "person" and actor.id is not None:
        here = current_app.extensions["identities"].home(actor.id)
    if here is None:
        return
    door = request.url_rule.rule if request.url_rule else request.path
    settings = current_app.extensions["settings"]
    after: dict[str, Any] = {"code": error.code}
    if unwritten:
        after["unwritten_before"] = unwritten
    with brief_writing() as session:
        ctx = Context(session, here.organization_id, actor, settings, g.get("request_id", ""))
        audit.record(ctx, "denied", f"{request.method} {door}"[:80], after=after)


class _Identities:
    """What the web asks about people, organizations and keys."""

    SEEN_EVERY = timedelta(minutes=5)

    def __init__(self, settings: Settings, redis: Any) -> None:
        self._settings, self._redis = settings, redis
        self._keys = api_keys.KeyCache()

    def who(self, session_hash: bytes) -> tuple[Visitor, tuple[Place, ...]] | None:
        with brief_reading() as session:
            found = accounts.find_session(session, session_hash)
            if found is None:
                return None
            places = _places(session, found.user_id)
        return _visitor(session_hash, found), places

    def keep(self, session_hash: bytes, data: dict[str, Any]) -> None:
        with brief_writing() as session:
            accounts.keep_data(session, session_hash, data)

    def seen(self, visitor: Visitor, *, may_write: bool) -> None:
        at = clock.now()
        if at - visitor.seen_at < self.SEEN_EVERY:
            return
        if may_write:
            with brief_writing() as session:
                accounts.note_seen(session, {visitor.session_hash: at})
        else:
            self._mark("dh:seen", visitor.session_hash.hex(), at.timestamp())

    def home(self, user_id: UUID) -> Place | None:
        return next(iter(self.places(user_id)), None)

    def places(self, user_id: UUID) -> tuple[Place, ...]:
        with brief_reading() as session:
            return _places(session, user_id)

    def standing(self, session_hashes: Collection[bytes]) -> dict[bytes, dict[UUID, Role]]:
        with brief_reading() as session:
            people = accounts.open_sessions(session, session_hashes)
            roles = organizations.roles_of(session, set(people.values()))
        return {session_hash: roles[user_id] for session_hash, user_id in people.items()}

    def key(self, raw: str) -> KeyHolder | None:
        if not api_keys.has_key_form(raw):
            return None
        sealed = api_keys.cache_key(self._settings.master_key, raw)
        key = self._keys.get(sealed)
        if key is None:
            asked_at = time.monotonic()
            with brief_reading() as session:
                key = api_keys.find_key(session, self._settings.master_key, raw)
            if key is None:
                return None
            self._keys.put(sealed, key, asked_at)
            self._mark("dh:used", str(key.id), clock.now().timestamp())
        if not api_keys.address_allowed(key, request.remote_addr or ""):
            return None
        return KeyHolder(
            Place(key.organization_id, key.slug, key.organization_name, key.role),
            Actor("key", key.id, key.name, key.role),
            key.rate,
        )

    def _mark(self, name: str, field: str, value: float) -> None:
        """Note something for the steward to write; lost marks cost nothing."""
        counters: limits.Counters = current_app.extensions["counters"]
        counters.quietly(lambda redis: redis.hset(name, field, value))


def _visitor(session_hash: bytes, found: accounts.OpenSession) -> Visitor:
    return Visitor(
        session_hash=session_hash,
        csrf_secret=found.csrf_secret,
        user_id=found.user_id,
        name=found.name,
        email=found.email,
        staff=found.staff,
        theme=found.theme,
        zone=found.zone,
        seen_at=found.seen_at,
        data=found.data,
    )


def _places(session: Session, user_id: UUID) -> tuple[Place, ...]:
    found = organizations.standings_of(session, user_id)
    return tuple(Place(one.organization_id, one.slug, one.name, one.role) for one in found)

"""Every way in has said who may enter."""

from __future__ import annotations

import re
from typing import Any

from flask import Flask

from tests.fixtures import Browser
from webapp.access.permissions import Permission
from webapp.app import create_app
from webapp.commands.policy import declared
from webapp.kernel.settings import Settings
from webapp.web.database import db
from webapp.web.doors import policies

# Whoever adds to this list says why: these answer to anybody who can reach the machine.
PUBLIC = {
    "GET /",
    "GET /api/v1/plan/schema",  # what the program's source says anyway
    "GET /approve/<approval>/<mark>",  # the mark's end is a secret that only a mail tells
    "GET /docs",  # in production these two need a session
    "GET /health",
    "GET /openapi.json",
    "GET /problems/<code>",
    "GET /ready",
    "GET /redoc",
    "GET /setup",
    "GET /signin",
    "GET /static/<path:file>",
    "GET /status",
    "POST /approve/<approval>/<mark>/decide",
    "POST /approve/<approval>/<mark>/undo",
    "POST /csp",
    "POST /setup",
    "POST /signin",
    "POST /signout",
}


def test_every_route_event_and_command_is_declared(app: Flask) -> None:
    app.extensions["commands"] = declared()
    found = policies(app)

    assert [entry for entry, shown in found.items() if shown is None] == []
    for entry, shown in found.items():
        assert set(shown) == {"auth", "permission", "public"}, entry
        assert shown["permission"] is None or shown["permission"] in set(Permission)


def test_the_public_list_is_the_reviewed_one(app: Flask) -> None:
    public = {entry for entry, shown in policies(app).items() if shown["public"]}

    assert public <= PUBLIC


def test_everything_of_an_organization_needs_a_permission(app: Flask) -> None:
    for entry, shown in policies(app).items():
        if "/o/<org>" in entry or ("/api/v1" in entry and entry not in PUBLIC):
            assert shown["permission"] or entry in PUBLIC, entry


def test_without_sign_in_only_the_public_list_answers(app: Flask, guest: Browser) -> None:
    guest.get("/signin")  # for the form token, so that it is not this that refuses
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            if f"{method} {rule.rule}" in PUBLIC:
                continue
            path = re.sub(r"<(?:\w+:)?\w+>", "1", rule.rule)
            for headers in ({}, {"HX-Request": "true"}, {"Accept": "application/json"}):
                sent: dict[str, Any] = {"data": {"csrf_token": guest.token}, "headers": headers}
                answer = guest.open(path, method=method, **sent)
                to_sign_in = answer.status_code == 303 and answer.location.startswith("/signin")
                assert answer.status_code == 401 or to_sign_in, (method, rule.rule, headers)


def test_in_production_the_readers_of_the_api_are_not_public(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"app_env": "production"}))

    public = {entry for entry, shown in policies(app).items() if shown["public"]}

    assert public == PUBLIC - {"GET /docs", "GET /redoc"}
    with app.app_context():
        db.engine.dispose()


def test_no_route_answers_options_by_itself(app: Flask) -> None:
    assert app.test_client().options("/signin").status_code == 405

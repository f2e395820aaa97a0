"""Every way in has said who may enter."""

from __future__ import annotations

from flask import Flask

from webapp.access.permissions import Permission
from webapp.commands.policy import declared
from webapp.web.doors import policies

# Whoever adds to this list says why: these answer to anybody who can reach the machine.
PUBLIC = {
    "GET /",
    "GET /api/v1/plan/schema",  # what the program's source says anyway
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


def test_no_route_answers_options_by_itself(app: Flask) -> None:
    assert app.test_client().options("/signin").status_code == 405

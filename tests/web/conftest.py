"""An app with probe doors: one of each sort, to test what every door does."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, Response
from flask import url_for as flask_url_for
from pydantic import BaseModel
from sqlalchemy import select

from webapp.access.context import Context
from webapp.access.permissions import Permission
from webapp.accounts.models import User
from webapp.api_keys.models import ApiKey
from webapp.kernel.drafts import Draft
from webapp.kernel.errors import Conflict, Invalid
from webapp.web import jsons
from webapp.web.doors import ApiDoors, Doors
from webapp.web.htmx import done


class Sent(Draft):
    name: str
    count: int = 0
    inner: dict[str, Any] = {}


class Answered(BaseModel):
    name: str


def probe_doors() -> Doors:
    doors = Doors("probe", __name__)

    @doors.get("/o/<org>/probe", permission=Permission.VIEW_WORKFLOWS)
    def look(ctx: Context) -> str:
        return ctx.actor.name

    @doors.get("/o/<org>/probe/write", permission=Permission.VIEW_WORKFLOWS)
    def write_while_looking(ctx: Context) -> str:
        ctx.session.add(_key(ctx))
        ctx.session.flush()
        return "written"

    @doors.post("/o/<org>/probe", permission=Permission.EDIT_WORKFLOWS)
    def change(ctx: Context) -> Response:
        ctx.session.add(_key(ctx))
        ctx.session.flush()
        ctx.hints.ring()
        return done(flask_url_for("probe.look", org="acme"), say="It is changed.")

    @doors.post("/o/<org>/probe/fail", permission=Permission.EDIT_WORKFLOWS)
    def fail(ctx: Context) -> Response:
        ctx.session.add(_key(ctx))
        ctx.session.flush()
        ctx.hints.ring()
        raise Conflict("E-RUN-OVER", word="Done")

    @doors.post("/o/<org>/probe/invalid", permission=Permission.EDIT_WORKFLOWS)
    def invalid(ctx: Context) -> tuple[str, int]:
        ctx.session.add(_key(ctx))
        ctx.session.flush()
        return "no", 422

    @doors.get("/o/<org>/probe/bug", permission=Permission.VIEW_WORKFLOWS)
    def bug(ctx: Context) -> str:
        secret = "a-secret-value-of-a-variable"
        raise ZeroDivisionError(f"the message holds {secret}")

    @doors.get("/staff/probe", permission=Permission.USE_STAFF_PAGES)
    def staff() -> str:
        return "staff"

    return doors


def probe_api() -> ApiDoors:
    api = ApiDoors("probe", __name__)

    @api.get("/probe", permission=Permission.VIEW_WORKFLOWS)
    def look(ctx: Context) -> dict[str, Any]:
        return {"by": ctx.actor.name}

    @api.post("/probe", permission=Permission.EDIT_WORKFLOWS, body=Sent, status=201)
    def make(ctx: Context, body: Sent) -> Answered:
        if body.name == "taken":
            raise Invalid.at("/name", "E-FIELD-TAKEN", what="Name", thing="probe", name=body.name)
        ctx.session.add(_key(ctx))
        return Answered(name=body.name)

    @api.post("/probe/echo", permission=Permission.EDIT_WORKFLOWS, body=Sent)
    def echo(ctx: Context, body: Sent) -> dict[str, Any]:
        return {"inner": body.inner}

    @api.post("/probe/start", permission=Permission.START_RUNS, body=Sent, once="required")
    def start(ctx: Context, body: Sent) -> Response:
        ctx.session.add(_key(ctx))
        return jsons.answer({"name": body.name}, 202)

    return api


def _key(ctx: Context) -> ApiKey:
    return ApiKey(
        organization_id=ctx.organization_id,
        name="probe",
        lookup="probe",
        hash=len(keys(ctx)).to_bytes(32),
        role_cap="viewer",
    )


def keys(ctx: Context) -> list[ApiKey]:
    return list(ctx.session.scalars(select(ApiKey).where(ApiKey.name == "probe")))


def people(ctx: Context) -> list[User]:
    return list(ctx.session.scalars(select(User)))


@pytest.fixture
def app(app: Flask) -> Flask:
    """The app with probe doors."""
    app.register_blueprint(probe_doors())
    app.register_blueprint(probe_api())
    return app

"""Looking at pages keeps a session awake, although it writes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from jobs.base import Machine, make_machine
from jobs.marks import write_marks
from tests.fixtures import House, Program, SignedIn
from webapp.access.permissions import Role
from webapp.access.tenancy import across_organizations
from webapp.accounts.models import LoginSession
from webapp.api_keys.models import ApiKey
from webapp.app import create_app
from webapp.kernel.clock import now
from webapp.kernel.settings import Settings
from webapp.live.redis import connect
from webapp.web.database import brief_reading, brief_writing, db


@pytest.fixture
def machine(settings: Settings) -> Iterator[Machine]:
    made = make_machine(settings)
    yield made
    made.close()


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    """The app with Redis."""
    app = create_app(settings, redis=connect(settings.redis_url))
    yield app
    with app.app_context():
        db.engine.dispose()


def test_marks_of_looking_are_written_down(
    app: Flask, acme: House, signed_in: SignedIn, machine: Machine, program: Program
) -> None:
    owner = signed_in(acme, Role.OWNER)
    _last_seen(app, hours_ago=2)

    owner.get("/me")
    program.get("/api/v1/runs")

    assert write_marks(machine) == 2
    with app.app_context(), brief_reading() as session, across_organizations(session, "test"):
        seen = session.scalars(select(LoginSession.seen_at)).one()
        used = session.scalars(select(ApiKey.last_used_at)).one()
    assert now() - seen < timedelta(minutes=1)
    assert used is not None
    assert now() - used < timedelta(minutes=1)
    assert write_marks(machine) == 0


def test_without_redis_nobody_waits(app: Flask, acme: House, signed_in: SignedIn) -> None:
    owner = signed_in(acme, Role.OWNER)
    _last_seen(app, hours_ago=2)
    app.extensions["counters"]._away_until = time.monotonic() + 60

    assert owner.get("/me").status_code == 200


def _last_seen(app: Flask, hours_ago: int) -> None:
    with app.app_context(), brief_writing() as session:
        session.execute(update(LoginSession).values(seen_at=now() - timedelta(hours=hours_ago)))

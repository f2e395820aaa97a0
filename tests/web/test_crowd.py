"""More calls than can be worked on are refused at once, and everything else goes on."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from flask import Flask

from tests.fixtures import Browser, Program, body
from webapp.access.context import Context
from webapp.access.permissions import Permission
from webapp.web import crowd
from webapp.web.crowd import Crowd, Room, step_aside
from webapp.web.doors import ApiDoors


class Hall:
    """A call that stays until it is let go, with or without its place."""

    def __init__(self) -> None:
        self.came, self.go = Event(), Event()

    def doors(self) -> ApiDoors:
        doors = ApiDoors("hall", __name__)

        @doors.get("/hall/<word>", permission=Permission.VIEW_WORKFLOWS)
        def stay(ctx: Context, word: str) -> dict[str, str]:
            if word == "aside":
                step_aside()
            self.came.set()
            assert self.go.wait(10)
            return {"by": ctx.actor.name}

        return doors


@pytest.fixture
def hall(app: Flask) -> Iterator[Hall]:
    """A room for one call at a time, where nobody may wait."""
    made = Hall()
    app.register_blueprint(made.doors())
    assert isinstance(app.wsgi_app, Crowd)
    app.wsgi_app = app.wsgi_app.inner  # type: ignore[method-assign]
    app.wsgi_app = Crowd(app, Room(1, 0), https=False)  # type: ignore[method-assign]
    yield made
    made.go.set()


def _second(hall: Hall, program: Program, guest: Browser, word: str) -> tuple[int, int]:
    """Let one call stay; return how another and the health are answered meanwhile."""
    with ThreadPoolExecutor() as pool:
        first = pool.submit(program.get, f"/api/v1/hall/{word}")
        assert hall.came.wait(10)
        other, health = program.get("/api/v1/probe"), guest.get("/health")
        hall.go.set()
        assert first.result().status_code == 200
    return other.status_code, health.status_code


def test_one_call_too_many_is_refused_and_pages_are_not(
    hall: Hall, program: Program, guest: Browser
) -> None:
    assert _second(hall, program, guest, "stays") == (503, 200)


def test_a_call_that_only_waits_keeps_no_other_out(
    hall: Hall, program: Program, guest: Browser
) -> None:
    assert _second(hall, program, guest, "aside") == (200, 200)

    hall.came.clear()
    hall.go.clear()
    assert _second(hall, program, guest, "stays") == (503, 200)  # it left its place once only


def test_whoever_is_refused_hears_when_to_come_again_and_then_may(
    app: Flask, hall: Hall, program: Program
) -> None:
    full = Crowd(app, Room(0, 0), https=False)
    app.wsgi_app, open_hall = full, app.wsgi_app  # type: ignore[method-assign]

    refused = program.post("/api/v1/probe", json={"name": "x"})
    app.wsgi_app = open_hall  # type: ignore[method-assign]
    again = [program.post("/api/v1/probe", json={"name": name}) for name in ("x", "y")]

    assert (refused.status_code, refused.mimetype) == (503, "application/problem+json")
    assert refused.headers["Retry-After"] == "1"
    assert body(refused)["code"] == "E-BUSY"
    assert refused.headers["X-Content-Type-Options"] == "nosniff"
    assert [answer.status_code for answer in again] == [201, 201]


def test_whoever_waits_gets_the_next_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "PATIENCE_S", 10.0)
    room = Room(1, 1)
    assert room.enter()

    with ThreadPoolExecutor() as pool:
        waits = pool.submit(room.enter)
        while not room.waiting:
            pass
        one_more = room.enter()
        room.leave()

        assert waits.result()
        assert not one_more


def test_in_a_crowd_that_stays_nobody_is_let_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "PATIENCE_S", 0.01)
    room = Room(1, 1)
    assert room.enter()
    assert not room.enter()
    monkeypatch.setattr(crowd, "PATIENCE_S", 60.0)

    assert not room.enter()

    room.leave()
    assert room.enter()

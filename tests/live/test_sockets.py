"""The doorbell, heard by real Socket.IO clients over a real server and Valkey."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete
from sqlalchemy.orm import Session

from tests.fixtures import House
from tests.live.conftest import LIVE, OpenPage, eventually
from tests.services import Valkey
from tests.workflows.plans import WHO, plan_of, text
from webapp.access.permissions import Role
from webapp.access.tenancy import across_organizations
from webapp.accounts.models import LoginSession
from webapp.kernel.db import writing
from webapp.kernel.hints import Hints
from webapp.kernel.ids import public_id
from webapp.live.bell import RedisBell
from webapp.live.server import MESSAGES_A_MINUTE, MOST_ROOMS
from webapp.organizations.models import Membership
from webapp.web.database import db
from webapp.web.doors import policies

PLAN = plan_of(text("s_1", "Hello."), inputs=[{**WHO, "required": False}])
NO = {"ok": False, "code": "not_allowed"}


@pytest.fixture
def run(make_live: Any, start: Any) -> str:
    """A run that waits in line."""
    found: str = start(make_live(PLAN)).get_json()["id"]
    return found


def test_a_page_hears_its_run_to_the_end(
    open_page: OpenPage,
    acme: House,
    run: str,
    finish: Any,
) -> None:
    page = open_page(acme)
    joined = page.ask("join", room=f"run:{run}", after=0)
    finish(run)
    page.hears("run.done")

    assert joined == {"ok": True, "seq": 1, "behind": 1}
    numbers = [message["seq"] for message in page.heard]
    assert numbers == sorted(set(numbers))
    assert {message["room"] for message in page.heard} == {f"run:{run}"}
    assert "Hello." not in str(page.heard)  # types and numbers, never values


def test_replay_tells_what_happened_from_the_database(
    open_page: OpenPage,
    acme: House,
    run: str,
    finish: Any,
) -> None:
    finish(run)
    page = open_page(acme)

    answer = page.ask("replay", room=f"run:{run}", after=0, max=500)
    rest = page.ask("replay", room=f"run:{run}", after=answer["seq"] - 1)

    assert answer["ok"]
    assert [event["seq"] for event in answer["events"]] == list(range(1, answer["seq"] + 1))
    assert answer["events"][0]["type"] == "run.queued"
    assert [event["type"] for event in rest["events"]] == ["run.done"]
    assert page.ask("join", room=f"run:{run}", after=answer["seq"])["behind"] == 0


def test_a_list_hears_that_runs_begin(
    open_page: OpenPage,
    acme: House,
    make_live: Any,
    start: Any,
) -> None:
    page = open_page(acme, Role.VIEWER)
    room = f"runs:{public_id('org', acme.organization_id)}"

    assert page.ask("join", room=room)["ok"]
    start(make_live(PLAN))

    page.hears("run.queued")


def test_who_is_not_signed_in_is_told_so(open_page: OpenPage) -> None:
    assert open_page(opens=False).refused == "signed_out"


def test_when_all_places_are_taken_the_reason_is_told(
    app: Flask, open_page: OpenPage, acme: House
) -> None:
    app.extensions["live"]._most = 1
    open_page(acme)

    assert open_page(acme, opens=False).refused == "too_many"


def test_a_page_of_another_site_opens_nothing(open_page: OpenPage, acme: House, url: str) -> None:
    open_page(acme, opens=False, origin="https://elsewhere.example")

    assert open_page(acme, origin=url).ask("leave", room="run:x") == {"ok": True}


def test_foreign_unknown_and_senseless_rooms_look_the_same(
    open_page: OpenPage, acme: House, other: House, run: str
) -> None:
    page = open_page(other)

    foreign = [f"run:{run}", f"text:{run}:s_1", f"runs:{public_id('org', acme.organization_id)}"]
    foreign += [f"user:{public_id('usr', acme.people[Role.OWNER])}"]
    unknown = [f"run:run_{'0' * 26}", "run:", "", "admin", "wf:wf_1", 7, None, "run:" + "x" * 600]
    for room in (*foreign, *unknown):
        assert page.ask("join", room=room) == NO
    assert page.ask("replay", room=f"run:{run}") == NO
    assert page.client.call("join", "not an object", namespace=LIVE, timeout=5) == NO


def test_nothing_is_heard_without_joining_or_after_leaving(
    open_page: OpenPage,
    acme: House,
    run: str,
    finish: Any,
) -> None:
    silent, gone, there = (open_page(acme) for _ in range(3))
    for page in (gone, there):
        page.ask("join", room=f"run:{run}")
    gone.ask("leave", room=f"run:{run}")

    finish(run)
    there.hears("run.done")

    assert (silent.heard, gone.heard) == ([], [])


def test_a_session_that_ends_ends_its_sockets(
    app: Flask, open_page: OpenPage, acme: House, run: str
) -> None:
    page = open_page(acme)
    page.ask("join", room=f"run:{run}")

    with app.app_context(), writing(), Session(db.engine) as session:
        session.execute(delete(LoginSession))
        session.commit()
    page.hears("session.end")
    eventually(lambda: not page.client.connected)

    assert page.heard[-1]["data"] == {"reason": "signed_out"}


def test_a_member_who_is_removed_hears_no_more(
    app: Flask,
    open_page: OpenPage,
    acme: House,
    run: str,
    finish: Any,
) -> None:
    page, owner = open_page(acme, Role.MEMBER), open_page(acme)
    for one in (page, owner):
        one.ask("join", room=f"run:{run}")

    with app.app_context(), writing(), Session(db.engine) as session:
        with across_organizations(session, "a test removes a member"):
            person = acme.people[Role.MEMBER]
            session.execute(delete(Membership).where(Membership.user_id == person))
        session.commit()
    page.hears("session.end")
    finish(run)
    owner.hears("run.done")

    assert page.types() == ["session.end"]
    assert page.ask("join", room=f"run:{run}") == NO


def test_a_socket_has_twenty_rooms_and_thirty_messages_a_minute(
    open_page: OpenPage,
    acme: House,
    make_live: Any,
    start: Any,
) -> None:
    page, workflow = open_page(acme), make_live(PLAN)
    runs = [start(workflow).get_json()["id"] for _ in range(MOST_ROOMS + 1)]

    joined = [page.ask("join", room=f"run:{run}") for run in runs]
    rest = [page.ask("leave", room="run:x") for _ in range(MESSAGES_A_MINUTE - MOST_ROOMS)]

    assert [answer["ok"] for answer in joined] == [True] * MOST_ROOMS + [False]
    assert joined[-1]["code"] == "too_many_rooms"
    assert rest[-1] == {"ok": False, "code": "too_fast"}


def test_a_large_message_ends_the_connection(open_page: OpenPage, acme: House) -> None:
    page = open_page(acme)

    page.client.emit("join", {"room": "x" * 70_000}, namespace=LIVE)

    eventually(lambda: not page.client.connected)


def test_events_come_again_after_valkey_was_restarted(
    open_page: OpenPage, acme: House, run: str, valkey: Valkey, bell: RedisBell
) -> None:
    page = open_page(acme)
    page.ask("join", room=f"run:{run}")
    valkey.kill()
    valkey.start()

    def tell() -> bool:
        hints = Hints()
        hints.tell(f"run:{run}", "run.started", 2)
        hints.flush(bell)
        return "run.started" in page.types()

    eventually(tell)


def test_pages_hear_that_they_missed_something_after_valkey_was_away(
    open_page: OpenPage, acme: House, run: str, valkey: Valkey
) -> None:
    page = open_page(acme)
    page.ask("join", room=f"run:{run}")

    valkey.kill()
    valkey.start()

    page.hears("live.missed")  # nobody spoke meanwhile: the web says it by itself


def test_every_event_of_the_socket_stands_among_the_doors(app: Flask) -> None:
    found = {name: entry for name, entry in policies(app).items() if name.startswith("SOCKET ")}

    assert {"SOCKET connect", "SOCKET join", "SOCKET leave", "SOCKET replay"} <= set(found)
    assert all(entry["auth"] == "session" and not entry["public"] for entry in found.values())
    assert found["SOCKET join run:<id>"]["permission"] == "runs.view"

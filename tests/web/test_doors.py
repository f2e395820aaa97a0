"""What every door does, seen from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from flask import Blueprint, Flask

from tests.fixtures import (
    Browser,
    HeardBell,
    House,
    MakeHouse,
    MakeKey,
    Program,
    SignedIn,
    body,
    context,
)
from tests.web.conftest import keys
from webapp.access.permissions import Permission, Role
from webapp.kernel.errors import AppError, Forbidden
from webapp.kernel.hints import Ring
from webapp.kernel.settings import Settings
from webapp.web.database import brief_reading
from webapp.web.doors import Doors, UndeclaredDoor

Count = Callable[[], int]


@pytest.fixture
def count(app: Flask, acme: House, settings: Settings) -> Count:
    """Return a function that says how many probe rows Acme has."""

    def count() -> int:
        with app.app_context(), brief_reading() as session:
            return len(keys(context(session, acme, settings)))

    return count


def test_a_member_sees_the_page(member: Browser) -> None:
    answer = member.get("/o/acme/probe")

    assert (answer.status_code, answer.text) == (200, "Member of acme")


def test_somebody_signed_out_is_led_to_sign_in_and_back(guest: Browser, acme: House) -> None:
    answer = guest.get("/o/acme/probe?state=failed")

    assert answer.status_code == 303
    assert answer.location == "/signin?next=/o/acme/probe%3Fstate%3Dfailed"


def test_a_part_asked_for_while_signed_out_is_401(guest: Browser, acme: House) -> None:
    answer = guest.get("/o/acme/probe", headers={"HX-Request": "true"})

    assert answer.status_code == 401
    assert "signin-again" in answer.text


def test_another_organization_is_not_found_like_one_that_never_was(
    stranger: Browser, acme: House
) -> None:
    theirs = stranger.get("/o/acme/probe", headers={"Accept": "application/json"})
    nobodys = stranger.get("/o/nobody/probe", headers={"Accept": "application/json"})

    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.data == nobodys.data


def test_a_lower_role_is_told_who_may(viewer: Browser, count: Count) -> None:
    answer = viewer.submit("/o/acme/probe")

    assert answer.status_code == 403
    assert "Only owners, admins and members may change workflows." in answer.text
    assert count() == 0


def test_a_change_is_kept_and_then_told(owner: Browser, bell: HeardBell, count: Count) -> None:
    answer = owner.submit("/o/acme/probe")

    assert answer.status_code == 303
    assert answer.location == "/o/acme/probe"
    assert count() == 1
    assert bell.heard == [Ring("runs")]


@pytest.mark.parametrize("path", ["fail", "invalid"])
def test_what_fails_is_undone_and_not_told(
    owner: Browser, bell: HeardBell, count: Count, path: str
) -> None:
    answer = owner.submit(f"/o/acme/probe/{path}")

    assert answer.status_code in (409, 422)
    assert count() == 0
    assert bell.heard == []


def test_a_page_that_writes_while_it_is_read_is_stopped(owner: Browser, count: Count) -> None:
    answer = owner.get("/o/acme/probe/write")

    assert answer.status_code == 500
    assert count() == 0


def test_htmx_is_led_on_by_a_header(owner: Browser) -> None:
    answer = owner.submit("/o/acme/probe", htmx=True)

    assert answer.status_code == 204
    assert answer.headers["HX-Redirect"] == "/o/acme/probe"


def test_a_form_sent_twice_does_its_work_once(
    owner: Browser, bell: HeardBell, count: Count
) -> None:
    first = owner.submit("/o/acme/probe", once="0123456789abcdef")
    second = owner.submit("/o/acme/probe", once="0123456789abcdef")

    assert first.status_code == second.status_code == 303
    assert first.location == second.location
    assert count() == 1
    assert len(bell.heard) == 1


def test_a_form_sent_again_with_other_content_says_so(owner: Browser, count: Count) -> None:
    owner.submit("/o/acme/probe", once="0123456789abcdef", name="one")
    answer = owner.submit("/o/acme/probe", once="0123456789abcdef", name="two")

    assert answer.status_code == 400
    assert "E-FORM-SENT" in answer.text
    assert count() == 1


def test_a_form_that_was_refused_may_be_sent_again(owner: Browser, count: Count) -> None:
    owner.submit("/o/acme/probe/fail", once="0123456789abcdef")
    answer = owner.submit("/o/acme/probe/fail", once="0123456789abcdef")

    assert answer.status_code == 409


def test_staff_pages_are_for_staff(owner: Browser, member: Browser) -> None:
    assert owner.get("/staff/probe").text == "staff"
    assert member.get("/staff/probe").status_code == 403


def test_a_program_with_a_key_gets_json(program: Program) -> None:
    answer = program.get("/api/v1/probe")

    assert answer.json == {"by": "Test"}
    assert answer.headers["RateLimit-Policy"] == '"api";q=60000;w=60'


def test_a_session_does_not_open_the_api(owner: Browser) -> None:
    answer = owner.get("/api/v1/probe")

    assert answer.status_code == 401
    assert body(answer)["code"] == "E-KEY"


def test_a_key_does_not_open_pages(program: Program) -> None:
    answer = program.get("/o/acme/probe")

    assert answer.status_code == 303


def test_a_key_of_a_lower_role_is_refused(program: Program, acme: House, make_key: MakeKey) -> None:
    program.key = make_key(acme, Role.VIEWER)
    answer = program.post("/api/v1/probe", json={"name": "x"})

    assert answer.status_code == 403
    assert body(answer)["code"] == "E-ROLE"


def test_the_same_idempotency_key_answers_the_same(program: Program, count: Count) -> None:
    sent = {"json": {"name": "x"}, "headers": {"Idempotency-Key": "k1"}}
    first = program.post("/api/v1/probe/start", **sent)
    second = program.post("/api/v1/probe/start", **sent)

    assert first.status_code == second.status_code == 202
    assert first.data == second.data
    assert second.headers["Idempotency-Replayed"] == "true"
    assert count() == 1


def test_an_idempotency_key_of_another_body_is_refused(program: Program, count: Count) -> None:
    head = {"Idempotency-Key": "k1"}
    program.post("/api/v1/probe/start", json={"name": "x"}, headers=head)
    answer = program.post("/api/v1/probe/start", json={"name": "y"}, headers=head)

    assert (answer.status_code, body(answer)["code"]) == (422, "E-IDEM-OTHER")
    assert count() == 1


def test_a_start_without_idempotency_key_is_refused(program: Program, count: Count) -> None:
    answer = program.post("/api/v1/probe/start", json={"name": "x"})

    assert (answer.status_code, body(answer)["code"]) == (400, "E-IDEM-MISSING")
    assert count() == 0


def test_a_door_without_policy_cannot_be_made() -> None:
    doors = Doors("hole", __name__)

    with pytest.raises(UndeclaredDoor):
        doors.get("/o/<org>/hole")
    with pytest.raises(UndeclaredDoor):
        doors.get("/hole", public=True, signed_in=True)
    with pytest.raises(UndeclaredDoor):
        doors.get("/hole", permission=Permission.VIEW_RUNS)


def test_a_route_beside_the_doors_stays_shut(app: Flask) -> None:
    hole = Blueprint("hole", __name__)
    hole.add_url_rule("/hole", "hole", lambda: "open")
    app.register_blueprint(hole)

    tested = app.test_client().get("/hole")
    app.config["TESTING"] = False
    served = app.test_client().get("/hole")

    assert tested.status_code == 500
    assert served.status_code == 503
    assert "open" not in tested.text + served.text


def test_a_refusal_is_told_to_the_record(
    app: Flask, viewer: Browser, stranger: Browser, program: Program
) -> None:
    denied: list[AppError] = []
    app.extensions["denials"] = denied.append

    viewer.submit("/o/acme/probe")
    stranger.get("/o/acme/probe")
    program.key = "dh_live_wrong"
    program.get("/api/v1/probe")
    viewer.get("/nowhere")

    assert [error.status for error in denied] == [403, 404, 401]
    assert isinstance(denied[0], Forbidden)


def test_a_demoted_person_may_not_at_once(
    app: Flask, acme: House, member: Browser, settings: Settings
) -> None:
    assert member.submit("/o/acme/probe").status_code == 303

    _change_role(app, acme, Role.MEMBER, Role.VIEWER)

    assert member.submit("/o/acme/probe").status_code == 403


def _change_role(app: Flask, house: House, person: Role, role: Role) -> None:
    from sqlalchemy import update

    from webapp.access.tenancy import across_organizations
    from webapp.organizations.models import Membership
    from webapp.web.database import brief_writing

    with app.app_context(), brief_writing() as session, across_organizations(session, "test"):
        session.execute(
            update(Membership)
            .where(Membership.user_id == house.people[person])
            .values(role_name=role.value)
        )


def test_each_organization_sees_its_own(
    make_house: MakeHouse, signed_in: SignedIn, acme: House, other: House
) -> None:
    theirs = signed_in(other, Role.OWNER)
    theirs.submit("/o/other/probe")

    assert theirs.get("/o/other/probe").text == "Owner of other"
    assert signed_in(acme, Role.OWNER).get("/o/other/probe").status_code == 404


@pytest.fixture(autouse=True)
def _no_leftover(bell: HeardBell) -> Iterator[None]:
    yield
    bell.heard.clear()

"""API keys: shown once, checked everywhere the same, ended within a second."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import delete, event, select, update
from sqlalchemy.orm import Session

from tests.fixtures import House, MakeKey, Program, context
from tests.runs.following import until
from webapp.access.context import Actor, Context
from webapp.access.permissions import Role
from webapp.access.tenancy import across_organizations
from webapp.accounts.models import User
from webapp.api_keys import service
from webapp.api_keys.models import ApiKey
from webapp.api_keys.schemas import NewKey
from webapp.app import create_app
from webapp.kernel.clock import now
from webapp.kernel.errors import Forbidden
from webapp.kernel.ids import parse_id
from webapp.kernel.settings import Settings
from webapp.organizations.models import Membership
from webapp.organizations.service import ensure_first_organization
from webapp.web.database import brief_writing, db

URL = "/api/v1/keys-probe"


@pytest.fixture
def app(app: Flask) -> Flask:
    """The app with one route that any key opens."""
    from webapp.access.permissions import Permission
    from webapp.web.doors import ApiDoors

    api = ApiDoors("keys_probe", __name__)

    @api.get("/keys-probe", permission=Permission.VIEW_WORKFLOWS)
    def look(ctx: Context) -> dict[str, str]:
        return {"role": str(ctx.actor.role)}

    app.register_blueprint(api)
    return app


def test_a_key_is_shown_once_and_kept_as_a_hash(ctx: Context) -> None:
    made = service.create_key(ctx, NewKey(name="Nightly", role=Role.MEMBER))

    row = ctx.session.scalars(select(ApiKey)).one()
    assert made.key.startswith("dh_live_")
    assert len(made.key) == 46
    assert made.prefix == made.key[:16]
    assert service.has_key_form(made.key)
    assert made.key.encode() not in row.hash
    assert (row.name, row.role, row.made_by) == ("Nightly", Role.MEMBER, ctx.actor.id)


def test_the_checksum_finds_every_slip_of_one_letter() -> None:
    key = service.new_key()

    for n in range(len(key)):
        slip = key[:n] + ("a" if key[n] != "a" else "b") + key[n + 1 :]
        assert not service.has_key_form(slip)


@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER])
def test_a_lower_role_may_not_make_keys(
    writer: Session, acme: House, settings: Settings, role: Role
) -> None:
    with pytest.raises(Forbidden):
        service.create_key(context(writer, acme, settings, role), NewKey(name="x"))


def test_nobody_makes_a_key_stronger_than_they_are(
    writer: Session, acme: House, settings: Settings
) -> None:
    ctx = context(writer, acme, settings, Role.ADMIN)

    with pytest.raises(Forbidden):
        service.create_key(ctx, NewKey(name="x", role=Role.OWNER))


def test_the_command_line_makes_keys_before_set_up(writer: Session, settings: Settings) -> None:
    organization = ensure_first_organization(writer)
    system = Actor("system", None, "Command line", Role.OWNER)
    ctx = Context(writer, organization.id, system, settings)

    made = service.create_key(ctx, NewKey(name="First"))

    found = service.find_key(writer, settings.master_key, made.key)
    assert found is not None
    assert (found.slug, found.role) == ("main", Role.ADMIN)


def test_every_wrong_key_is_told_the_same(program: Program, acme: House, other: House) -> None:
    good = program.key
    wrong = [
        "", "x", good[:-1], good + "a", good.upper(), good.replace("dh_live_", "dh_test_"),
        f" {good} ", good[:20] + "A" * 26, service.new_key(), "dh_live_" + "é" * 38, good * 50,
        "Bearer " + good, "dh_live_" + "'" * 38,
    ]  # fmt: skip

    answers = set()
    for key in wrong:
        program.key = (
            key.encode().decode("latin-1")  # as HTTP carries it
        )
        answer = program.get(URL)
        shown = answer.get_json()
        shown.pop("ref")
        answers.add((answer.status_code, repr(shown)))

    # HTTP takes blanks around a header away, so that one is the key itself.
    assert {status for status, _ in answers} <= {200, 401}
    assert len([answer for answer in answers if answer[0] == 401]) == 1


def test_a_wrong_checksum_costs_no_query(app: Flask, program: Program) -> None:
    asked: list[str] = []
    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))

    program.key = "dh_live_" + "A" * 38
    program.get(URL)

    assert asked == []


def test_a_key_that_was_checked_just_now_costs_no_query(app: Flask, program: Program) -> None:
    program.get(URL)
    asked: list[str] = []
    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))

    program.get(URL)

    assert [statement for statement in asked if "api_key" in statement] == []


def test_a_revoked_key_is_out_everywhere_within_a_second(
    app: Flask, program: Program, acme: House, settings: Settings
) -> None:
    elsewhere = create_app(settings)
    elsewhere.register_blueprint(app.blueprints["keys_probe_api"])
    there = Program(elsewhere, elsewhere.response_class, use_cookies=False)
    there.key = program.key
    assert program.get(URL).status_code == there.get(URL).status_code == 200

    with app.app_context(), brief_writing() as session:
        ctx = context(session, acme, settings)
        key = service.list_keys(ctx)[0]
        service.revoke_key(ctx, key.id)
        assert list(service.list_keys(ctx)) == []

    until(
        lambda: {program.get(URL).status_code, there.get(URL).status_code} == {401},
        "no process takes the key",
    )
    with elsewhere.app_context():
        db.engine.dispose()


GONE = "made by somebody who is no more"


@pytest.mark.parametrize(
    "change", ["expired", "made by somebody who left", "another address", GONE]
)
def test_a_key_out_of_use_is_refused(
    app: Flask, program: Program, acme: House, change: str
) -> None:
    with app.app_context(), brief_writing() as session, across_organizations(session, "test"):
        if change == "expired":
            session.execute(update(ApiKey).values(expires_at=now() - timedelta(seconds=1)))
        elif change == "another address":
            session.execute(update(ApiKey).values(allowed_ips=["10.0.0.0/8", "fd00::/8"]))
        elif change == GONE:
            session.execute(delete(User).where(User.id == acme.people[Role.OWNER]))
        else:
            session.query(Membership).where(Membership.user_id == acme.people[Role.OWNER]).delete()

    assert program.get(URL).status_code == 401


def key_of(session: Session, house: House, settings: Settings, key: str) -> Context:
    """Return the context of a program with this key."""
    found = service.find_key(session, settings.master_key, key)
    assert found is not None
    actor = Actor("key", found.id, found.name, found.role)
    return Context(session, house.organization_id, actor, settings)


def test_a_key_that_a_key_makes_speaks_for_the_same_person_and_ends_with_them(
    writer: Session, acme: House, settings: Settings
) -> None:
    first = service.create_key(context(writer, acme, settings), NewKey(name="First"))
    program = key_of(writer, acme, settings, first.key)

    second = service.create_key(program, NewKey(name="Second"))

    assert service.maker_of(program, parse_id("key", second.id)) == acme.people[Role.OWNER]
    assert service.role_of_key(program, parse_id("key", second.id)) is None
    with across_organizations(writer, "the person is deleted"):
        writer.execute(delete(User).where(User.id == acme.people[Role.OWNER]))
    writer.expire_all()
    for made in (first, second):
        assert service.find_key(writer, settings.master_key, made.key) is None
        assert service.role_of_key(program, parse_id("key", made.id)) is None


def test_a_key_of_the_command_line_makes_no_second_voice(
    writer: Session, acme: House, settings: Settings
) -> None:
    system = Actor("system", None, "Command line", Role.ADMIN)
    line = Context(writer, acme.organization_id, system, settings)
    made = service.create_key(line, NewKey(name="Line"))
    program = key_of(writer, acme, settings, made.key)

    with pytest.raises(Forbidden, match="Only people and the command line"):
        service.create_key(program, NewKey(name="Second"))
    assert service.role_of_key(program, parse_id("key", made.id)) is Role.ADMIN


def test_a_key_may_no_more_than_its_maker_now(app: Flask, program: Program, acme: House) -> None:
    assert program.get(URL).get_json() == {"role": "admin"}
    with app.app_context(), brief_writing() as session, across_organizations(session, "test"):
        session.execute(
            update(Membership)
            .where(Membership.user_id == acme.people[Role.OWNER])
            .values(role_name="viewer")
        )
    until(lambda: program.get(URL).get_json() == {"role": "viewer"}, "the key may only look")


def test_another_organization_does_not_see_the_key(
    writer: Session, acme: House, other: House, settings: Settings
) -> None:
    made = service.create_key(context(writer, acme, settings), NewKey(name="x"))
    writer.flush()
    theirs = context(writer, other, settings)

    assert list(service.list_keys(theirs)) == []
    from webapp.kernel.errors import NotFound

    with pytest.raises(NotFound):
        service.revoke_key(theirs, parse_id("key", made.id))


def test_keys_of_both_roles_work_side_by_side(
    program: Program, acme: House, make_key: MakeKey
) -> None:
    program.key = make_key(acme, Role.VIEWER)

    assert program.get(URL).get_json() == {"role": "viewer"}

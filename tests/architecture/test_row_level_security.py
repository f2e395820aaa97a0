"""Isolation that does not depend on our own discipline: PostgreSQL refuses beneath us.

These always run on PostgreSQL, whichever database the pass is for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from tests import services
from tests.conftest import test_settings as settings_for
from webapp import tables
from webapp.access.tenancy import bind_organization, owned_tables
from webapp.commands.db import migrate
from webapp.kernel.db import make_engine, make_sessions
from webapp.kernel.ids import new_id
from webapp.organizations.models import Organization
from webapp.workflows.models import Workflow


@pytest.fixture(scope="module")
def engine(
    postgres: services.Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    tables.load()
    folder: Path = tmp_path_factory.mktemp("rls")
    url = postgres.create()
    migrate(settings_for(folder, url))
    made = make_engine(url)
    yield made
    made.dispose()


@pytest.fixture(scope="module")
def two_organizations(engine: Engine) -> tuple[UUID, UUID]:
    ours, theirs = new_id(), new_id()
    for number, organization in enumerate((ours, theirs)):
        with make_sessions(engine)() as session:
            session.add(Organization(id=organization, slug=f"o{number}", name="Acme"))
            session.flush()
            bind_organization(session, organization)
            session.add(Workflow(name="Weekly report"))
            session.commit()
    return ours, theirs


def see(connection: object, scope: str) -> None:
    connection.execute(  # type: ignore[attr-defined]
        text("SELECT set_config('app.organization_id', :scope, true)"), {"scope": scope}
    )


def test_every_table_of_organizations_is_under_forced_row_level_security(engine: Engine) -> None:
    with engine.connect() as connection:
        forced = set(
            connection.scalars(
                text("SELECT relname FROM pg_class WHERE relforcerowsecurity AND relrowsecurity")
            )
        )
        under_policy = set(connection.scalars(text("SELECT tablename FROM pg_policies")))

    assert set(owned_tables()) <= forced & under_policy


def test_the_tests_themselves_sign_on_as_a_role_that_is_bound(engine: Engine) -> None:
    with engine.connect() as connection:
        role = connection.execute(
            text("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
        ).one()

    assert tuple(role) == (False, False)


def test_a_statement_without_an_organization_finds_nothing_of_anybody(
    engine: Engine, two_organizations: tuple[UUID, UUID]
) -> None:
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM workflow")) == 0


def test_a_statement_that_forgets_its_filter_finds_only_its_own_organization(
    engine: Engine, two_organizations: tuple[UUID, UUID]
) -> None:
    ours, theirs = two_organizations
    with engine.begin() as connection:
        see(connection, str(ours))
        assert connection.scalars(text("SELECT organization_id FROM workflow")).all() == [ours]
        changed = connection.execute(
            text("UPDATE workflow SET name = 'x' WHERE organization_id = :org"), {"org": theirs}
        )
        assert changed.rowcount == 0


def test_a_row_of_another_organization_cannot_be_written(
    engine: Engine, two_organizations: tuple[UUID, UUID]
) -> None:
    ours, theirs = two_organizations
    with engine.connect() as connection, connection.begin():
        see(connection, str(ours))
        with pytest.raises(DBAPIError, match="row-level security"):
            connection.execute(
                text(
                    "INSERT INTO workflow (organization_id, id, name, about, made_at, changed_at)"
                    " VALUES (:org, :id, 'x', '', now(), now())"
                ),
                {"org": theirs, "id": new_id()},
            )


def test_a_pooled_connection_remembers_no_organization(
    engine: Engine, two_organizations: tuple[UUID, UUID]
) -> None:
    with engine.connect() as connection:
        for wanted, found in ((str(two_organizations[0]), 1), ("", 0), ("*", 2)):
            with connection.begin():
                see(connection, wanted)
                assert connection.scalar(text("SELECT count(*) FROM workflow")) == found
            with connection.begin():
                assert connection.scalar(text("SELECT count(*) FROM workflow")) == 0


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'Eve'", "DELETE FROM audit"])
def test_the_audit_record_refuses_to_be_rewritten(
    engine: Engine, two_organizations: tuple[UUID, UUID], statement: str
) -> None:
    with engine.connect() as connection, connection.begin():
        see(connection, "*")
        connection.execute(
            text(
                "INSERT INTO audit (organization_id, seq, at_us, actor, action, object, request_id,"
                " prev, mac) VALUES (:org, 1, 0, 'Ada', 'x', 'y', '', :zero, :zero)"
            ),
            {"org": two_organizations[0], "zero": bytes(32)},
        )
        with pytest.raises(DBAPIError, match="only grows"):
            connection.execute(text(statement))

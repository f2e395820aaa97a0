"""Production doesn't start on parts that would break a promise."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import redis
from sqlalchemy import create_engine, text

from tests import services
from tests.conftest import test_settings
from webapp.commands.boot_checks import database_problems, redis_problems, undeclared_doors
from webapp.commands.db import State, migrate, state_of
from webapp.commands.preflight import surely_newest
from webapp.kernel.settings import Settings


def test_the_usual_database_is_good_enough(settings: Settings) -> None:
    assert database_problems(settings) == []


def test_every_way_in_is_declared(settings: Settings) -> None:
    assert undeclared_doors(settings) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("ALTER ROLE risky SUPERUSER", "is a superuser"),
        ("ALTER ROLE risky NOSUPERUSER BYPASSRLS", "may bypass row-level security"),
        ("ALTER ROLE risky SET synchronous_commit = off", "synchronous_commit=off"),
    ],
)
def test_a_role_that_breaks_promises_is_refused(
    postgres: services.Postgres, tmp_path: Path, change: str, words: str
) -> None:
    admin = create_engine(postgres.url("postgres", "postgres"), isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            connection.execute(text("CREATE ROLE risky LOGIN NOSUPERUSER NOBYPASSRLS"))
            connection.execute(text(change))
            found = database_problems(test_settings(tmp_path, postgres.url("postgres", "risky")))
            connection.execute(text("DROP ROLE risky"))
    finally:
        admin.dispose()

    assert len(found) == 1
    assert words in found[0]


def test_a_redis_that_throws_keys_away_is_refused(settings: Settings) -> None:
    with redis.Redis.from_url(settings.redis_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            found = redis_problems(settings)
        finally:
            client.config_set("maxmemory-policy", "noeviction")

    assert "noeviction" in found[0]
    assert redis_problems(settings) == []


def test_the_quick_look_at_the_schema_agrees_with_the_thorough_one(tmp_path: Path) -> None:
    settings = test_settings(tmp_path, f"sqlite:///{tmp_path / 'd.sqlite3'}")
    assert not surely_newest(settings)  # nothing is there

    migrate(settings)
    assert surely_newest(settings)
    assert state_of(settings) is State.NEWEST

    with closing(sqlite3.connect(tmp_path / "d.sqlite3", isolation_level=None)) as database:
        database.execute("UPDATE alembic_version SET version_num = '0000'")
    assert not surely_newest(settings)

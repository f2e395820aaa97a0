"""Fixtures that every room of tests may use. The database is a fresh copy for each test.

DECKHAND_TEST_DB is `sqlite` (the default) or `postgres`; `make test` runs both.
"""

from __future__ import annotations

import gc
import os
import shutil
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests import services
from webapp.commands.db import migrate
from webapp.kernel.settings import Settings, load_settings
from webapp.live.redis import Line

pytest_plugins = ["tests.fixtures", *(["tests.no_skips"] if os.environ.get("CI") == "true" else [])]

# Every test makes an application of its own, so the garbage is large and young: looking for it as
# often as Python does by itself took a tenth of the time.
gc.set_threshold(30_000, 20, 50)

DIALECT = os.environ.get("DECKHAND_TEST_DB", "sqlite")
KEYS = {name: f"{name.lower()}-of-the-tests-0f1e2d3c4b5a" for name in ("SECRET_KEY", "MASTER_KEY")}
KEYS["AUDIT_KEY"] = "audit-key-of-the-tests-9a8b7c6d5e4f"


@pytest.fixture(scope="session")
def dialect() -> str:
    """Return which database this pass of the suite runs on."""
    return DIALECT


@pytest.fixture(scope="session")
def postgres() -> Iterator[services.Postgres]:
    """A PostgreSQL server of this session's own."""
    if services.postgres_binaries() is None:
        pytest.skip("PostgreSQL is not installed")
    server = services.Postgres()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def empty_database(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Callable[[], str]:
    """Return a function that makes a database without tables and returns its URL."""
    if DIALECT == "postgres":
        server: services.Postgres = request.getfixturevalue("postgres")
        return server.create
    folder = tmp_path_factory.mktemp("empty")
    count = iter(range(1_000_000))
    return lambda: f"sqlite:///{folder / f'{next(count)}.sqlite3'}"


@pytest.fixture(scope="session")
def migrated_database(empty_database: Callable[[], str], tmp_path_factory: Any) -> str:
    """Return the URL of the migrated database that others are copied from: never write to it."""
    url = empty_database()
    migrate(test_settings(tmp_path_factory.mktemp("migrated"), url))
    return url


@pytest.fixture
def database_url(
    migrated_database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[str]:
    """Return the URL of a fresh database at the newest schema."""
    if DIALECT == "postgres":
        server: services.Postgres = request.getfixturevalue("postgres")
        url = server.create(template=services.database_name(migrated_database))
        yield url
        server.drop(url)
    else:
        copy = tmp_path / "deckhand.sqlite3"
        shutil.copyfile(migrated_database.removeprefix("sqlite:///"), copy)
        yield f"sqlite:///{copy}"


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[services.Valkey]:
    """A Valkey server of this session's own."""
    server = services.Valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.kill()


OPEN: weakref.WeakSet[redis.ConnectionPool | Line] = weakref.WeakSet()
"""Ways to Redis of this process: who rings or hears ends with its process, and closes none."""


def _remember(kind: Any) -> None:
    begin = kind.__init__

    def begin_and_remember(self: Any, *args: Any, **more: Any) -> None:
        begin(self, *args, **more)
        OPEN.add(self)

    kind.__init__ = begin_and_remember


_remember(redis.ConnectionPool)
_remember(Line)


def _close_what_is_idle() -> None:
    """Leave alone what a thread listens on; a line that is used once more opens itself."""
    for one in list(OPEN):
        if isinstance(one, Line):
            with one._lock:
                one._connection.disconnect()
        else:
            one.disconnect(inuse_connections=False)


@pytest.fixture
def redis_url(valkey: services.Valkey) -> Iterator[str]:
    """Return the URL of a Valkey; what a test leaves in it is wiped, or open to it is closed."""
    yield valkey.url
    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    _close_what_is_idle()


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """Settings of the profile `testing` on a database of this test's own."""
    return test_settings(tmp_path, database_url, REDIS_URL=redis_url)


def test_settings(data: Path, url: str, **more: str) -> Settings:
    """Return settings for tests; `more` are environment variables."""
    place = {"APP_ENV": "testing", "DATA": str(data), "DATABASE_URL": url}
    return load_settings({**KEYS, **place, "LOG_LEVEL": "warning", **more})


test_settings.__test__ = False  # type: ignore[attr-defined]  # a maker, not a test


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """Tell pytest-playwright to drive this machine's Chromium."""
    path = services.chromium()
    assert path, "Chromium is not installed: apt-get install chromium"
    return {"executable_path": path, "args": services.chromium_flags()}

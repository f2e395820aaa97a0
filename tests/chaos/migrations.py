"""D17: the schema survives a migration that dies inside its transaction, and two at once."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg

from tests.chaos.places import Place, Server
from tests.conftest import KEYS
from tests.services import database_name

ROOT = Path(__file__).parents[2]
UPGRADE: Final = [sys.executable, "-m", "webapp.commands", "db", "upgrade"]
TO_OLD: Final = (
    "import flask_migrate; from webapp.commands.db import migrating\n"
    "with migrating().app_context(): flask_migrate.upgrade(revision='0001')"
)
ATTEMPTS: Final = 40
"""How many kills may miss the transaction for each that falls into it."""


class Databases:
    """Makes databases and looks at them from outside."""

    def __init__(self, folder: Path, server: Server | None) -> None:
        self.folder = folder
        self.server = server
        self._count = 0
        self._old = self.create()
        assert self.run([sys.executable, "-c", TO_OLD], self._old).wait() == 0

    def create(self, begin: str = "nothing") -> str:
        """Return the URL of a new database: with nothing in it, or at the first schema."""
        self._count += 1
        if self.server is not None:
            old = begin == "0001"
            return self.server.create(*([database_name(self._old)] if old else []))
        path = self.folder / f"{self._count}.sqlite3"
        if begin == "0001":
            shutil.copyfile(self._old.removeprefix("sqlite:///"), path)
        return f"sqlite:///{path}"

    def run(self, argv: list[str], url: str) -> subprocess.Popen[bytes]:
        env = {**KEYS, "APP_ENV": "testing", "DATA": str(self.folder), "DATABASE_URL": url}
        pipe = subprocess.PIPE
        return subprocess.Popen(argv, cwd=ROOT, env=env, stdout=pipe, stderr=pipe)

    def in_transaction(self, url: str) -> bool:
        """Whether somebody is inside the transaction of a migration."""
        if self.server is not None:
            held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"
            with self._ask(url) as connection:
                return bool(connection.execute(held).fetchone()[0])
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), 0, isolation_level=None)
        with contextlib.closing(connection):
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                return "locked" in str(error)
            return False

    def schema(self, url: str) -> list[Any]:
        """Return everything that a migration makes, and the revision."""
        if self.server is not None:
            with self._ask(url) as connection:
                return [connection.execute(query).fetchall() for query in _POSTGRESQL]
        found: list[Any] = []
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        with contextlib.closing(connection):
            found += connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name")
            with contextlib.suppress(sqlite3.OperationalError):  # there is none yet
                found += connection.execute("SELECT version_num FROM alembic_version")
        return found

    @contextmanager
    def _ask(self, url: str) -> Iterator[Any]:
        assert self.server is not None
        dsn = f"host={self.server.folder} user=postgres dbname={database_name(url)}"
        with psycopg.connect(dsn, autocommit=True) as connection:
            yield connection


_POSTGRESQL: Final = (
    "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns"
    " WHERE table_schema = 'public' ORDER BY 1, 2",
    "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 2",
    "SELECT tablename, policyname, qual FROM pg_policies ORDER BY 1, 2",
    "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint ORDER BY 1, 2",
)


def killed(place: Place, times: int) -> dict[str, Any]:
    """SIGKILL `deckhand db upgrade` inside its transaction, then let two finish it at once."""
    server = Server() if place.postgres else None
    inside = kills = 0
    broken: list[str] = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            databases = Databases(Path(folder), server)
            for begin in ("nothing", "0001"):
                wanted = _whole(databases, begin)
                for _ in range(times):
                    for _ in range(ATTEMPTS):
                        kills += 1
                        fell, said = _one(databases, begin, wanted)
                        broken += [f"{begin}: {sentence}" for sentence in said]
                        inside += fell
                        if fell:
                            break
    finally:
        if server is not None:
            server.stop()
    if inside < 2 * times:
        broken.append(f"only {inside} kills fell inside the transaction")
    return {"kills": kills, "inside_the_transaction": inside, "broken": broken}


def _whole(databases: Databases, begin: str) -> list[Any]:
    url = databases.create(begin)
    assert databases.run(UPGRADE, url).wait() == 0
    return databases.schema(url)


def _one(databases: Databases, begin: str, wanted: list[Any]) -> tuple[bool, list[str]]:
    """Kill one migration; return whether it was inside its transaction, and what is broken."""
    url = databases.create(begin)
    before = databases.schema(url)
    dying = databases.run(UPGRADE, url)
    while not (inside := databases.in_transaction(url)) and dying.poll() is None:
        time.sleep(0.0005)
    time.sleep(random.choice((0, random.uniform(0, 0.05))))
    inside = inside and databases.in_transaction(url)
    dying.kill()
    dying.communicate()
    while databases.in_transaction(url):  # PostgreSQL notices a moment later
        time.sleep(0.01)
    broken = []
    found = databases.schema(url)
    if found not in (before, wanted):
        broken.append("a migration that died left half of a schema")
    if not inside or found != before:
        return False, broken
    two = [databases.run(UPGRADE, url), databases.run(UPGRADE, url)]
    said = [one.communicate()[1].decode() for one in two]
    if [one.returncode for one in two] != [0, 0]:
        broken.append(f"two at once: {[one[-200:] for one in said]}")
    elif databases.schema(url) != wanted:
        broken.append("another schema than usual")
    return True, broken

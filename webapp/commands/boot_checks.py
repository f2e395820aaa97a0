"""What only the running parts can tell before production starts (SECURITY.md P-22)."""

from __future__ import annotations

import redis
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from webapp.kernel.db import make_engine
from webapp.kernel.settings import Settings
from webapp.live.redis import connect


def database_problems(settings: Settings) -> list[str]:
    """Return why the database would break a promise: rows of others seen, commits forgotten."""
    engine = make_engine(settings.database_url, pool_size=1)
    try:
        with engine.connect() as connection:
            if settings.on_sqlite:
                return _sqlite(connection)
            return _postgres(connection)
    finally:
        engine.dispose()


def _sqlite(connection: Connection) -> list[str]:
    journal = connection.execute(text("PRAGMA journal_mode")).scalar()
    synchronous = connection.execute(text("PRAGMA synchronous")).scalar()
    if (journal, synchronous) == ("wal", 2):
        return []
    return [
        f"SQLite runs with journal_mode={journal} and synchronous={synchronous}, so that a power "
        "cut could lose what was accepted. Put DATA on a local disk that can do WAL."
    ]


def _postgres(connection: Connection) -> list[str]:
    role = connection.execute(
        text("SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
    ).one()
    problems = []
    if role.rolsuper or role.rolbypassrls:
        what = "is a superuser" if role.rolsuper else "may bypass row-level security"
        problems.append(
            f"The database role {role.rolname} {what}, so nothing beneath would keep organizations "
            "apart. Give Deckhand a role of its own: NOSUPERUSER NOBYPASSRLS."
        )
    if connection.execute(text("SHOW synchronous_commit")).scalar() == "off":
        problems.append(
            "PostgreSQL runs with synchronous_commit=off, so that a crash could lose what was "
            "accepted. Set it to on, at least for this role."
        )
    version = int(connection.execute(text("SHOW server_version_num")).scalar_one())
    if version < 150000:
        problems.append("PostgreSQL is older than 15. Deckhand needs 15 or newer.")
    return problems


def redis_problems(settings: Settings) -> list[str]:
    """Return why Redis would forget at a bad moment. One that is away or silent is no problem."""
    if not settings.redis_url:
        return []
    try:
        with connect(settings.redis_url) as client:
            policy = client.config_get("maxmemory-policy").get("maxmemory-policy")
    except (redis.RedisError, OSError):
        return []
    if policy in (None, "noeviction"):
        return []
    return [
        f"Redis throws keys away when it is full (maxmemory-policy {policy}). Set it to noeviction."
    ]


def undeclared_doors(settings: Settings) -> list[str]:
    """Return the ways in that say nothing of who may use them."""
    from webapp.app import create_app
    from webapp.web.doors import policies

    holes = [entry for entry, shown in policies(create_app(settings)).items() if shown is None]
    return [f"Nobody said who may use {entry}. This is a fault of Deckhand." for entry in holes]


def problems(settings: Settings) -> list[str]:
    """Return everything that keeps production from starting."""
    try:
        found = database_problems(settings)
    except DBAPIError as error:
        found = [f"The database can't be asked how it runs: {error.orig}"]
    return found + redis_problems(settings) + undeclared_doors(settings)

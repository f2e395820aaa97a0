"""Runs migrations inside the app's context (`deckhand db upgrade`, `make migration`)."""

from __future__ import annotations

from typing import Any

from alembic import context
from flask import current_app
from sqlalchemy import Connection, text

from webapp import tables
from webapp.kernel.db import Base, Id, Json, UtcDateTime

tables.load()


def render_item(kind: str, item: Any, autogen: Any) -> str | bool:
    """Write our column types by name; without this autogenerate forgets their import."""
    if kind == "type" and isinstance(item, Id | Json | UtcDateTime):
        autogen.imports.add("from webapp.kernel import db")
        return f"db.{type(item).__name__}()"
    return False


def prepare(connection: Connection) -> None:
    """See every organization's rows, take turns with another migration, do not wait for ever."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT set_config('app.organization_id', '*', true)"))
        connection.execute(text("SET LOCAL lock_timeout = '4s'"))
        # Two at once: the second one waits here and then finds nothing left to do.
        connection.execute(text("SELECT pg_advisory_xact_lock(7283109)"))


def run() -> None:
    """Migrate in one transaction; SQLite's turnstile or an advisory lock keeps others out."""
    engine = current_app.extensions["migrate"].db.engine
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            render_as_batch=connection.dialect.name == "sqlite",
            render_item=render_item,
            compare_type=True,
            transaction_per_migration=False,
            transactional_ddl=True,  # Alembic thinks that SQLite can't: it would read, then begin
        )
        with context.begin_transaction():
            prepare(connection)
            context.run_migrations()
        connection.commit()


run()

"""What a command begins with that works on the database: settings, logging, one transaction."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from webapp import tables
from webapp.commands.exits import DATABASE
from webapp.kernel import logs
from webapp.kernel.db import is_away, make_engine, make_sessions, reading, writing
from webapp.kernel.errors import AppError, Invalid
from webapp.kernel.settings import Settings


@contextmanager
def unit(settings: Settings) -> Iterator[Session]:
    """Yield a session whose work is committed at the end; say in words what prevents it."""
    with _engine(settings) as engine, writing(), make_sessions(engine)() as session:
        yield session
        session.commit()


@contextmanager
def snapshot(settings: Settings) -> Iterator[Session]:
    """Yield a session that sees the database as it is now, to the end, and changes nothing."""
    with _engine(settings) as engine, reading():
        if engine.dialect.name == "postgresql":  # a transaction of SQLite is one anyway
            engine = engine.execution_options(isolation_level="REPEATABLE READ")
        with make_sessions(engine)() as session:
            if engine.dialect.name == "postgresql":  # whoever reads it may take his time
                idle = func.set_config("idle_in_transaction_session_timeout", "0", True)
                session.execute(select(idle))
            yield session


@contextmanager
def _engine(settings: Settings) -> Iterator[Engine]:
    logs.configure(settings.log_format, settings.log_level)
    tables.load()
    engine = make_engine(settings.database_url, pool_size=1)
    try:
        yield engine
    except AppError as error:
        wrong = error.errors if isinstance(error, Invalid) else []
        raise click.ClickException(wrong[0].detail if wrong else error.text) from None
    except Exception as error:
        if not is_away(error):
            raise
        click.echo("The database doesn't answer. Check DATABASE_URL, and that it runs.", err=True)
        sys.exit(DATABASE)
    finally:
        engine.dispose()

"""What a command begins with that works on the database: settings, logging, one transaction."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from sqlalchemy.orm import Session

from webapp import tables
from webapp.commands.exits import DATABASE
from webapp.kernel import logs
from webapp.kernel.db import is_away, make_engine, make_sessions, writing
from webapp.kernel.errors import AppError
from webapp.kernel.settings import Settings


@contextmanager
def unit(settings: Settings) -> Iterator[Session]:
    """Yield a session whose work is committed at the end; say in words what prevents it."""
    logs.configure(settings.log_format, settings.log_level)
    tables.load()
    engine = make_engine(settings.database_url, pool_size=1)
    try:
        with writing(), make_sessions(engine)() as session:
            yield session
            session.commit()
    except AppError as error:
        raise click.ClickException(error.text) from None
    except Exception as error:
        if not is_away(error):
            raise
        click.echo("The database doesn't answer. Check DATABASE_URL, and that it runs.", err=True)
        sys.exit(DATABASE)
    finally:
        engine.dispose()

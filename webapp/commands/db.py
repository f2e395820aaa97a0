"""`deckhand db`: is the database at the schema of this version, and bring it there."""

from __future__ import annotations

import sys
from enum import Enum
from typing import TYPE_CHECKING

import click
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError

from webapp.commands.exits import DATABASE, settings_or_end
from webapp.kernel.db import make_engine
from webapp.kernel.settings import Settings
from webapp.kernel.shipped import folder_of

if TYPE_CHECKING:
    from flask import Flask

MIGRATIONS = folder_of("migrations")


class State(Enum):
    """The schema of a database beside the schema of this code; the value says what to do."""

    EMPTY = "The database holds nothing yet. Say `deckhand db upgrade`."
    NEWEST = "The database is at the newest schema."
    BEHIND = "The database is behind this version of Deckhand. Say `deckhand db upgrade`."
    NEWER = (
        "The database was written by a newer version of Deckhand. "
        "Start that version, or bring back a backup."
    )


class WrongDatabase(Exception):
    """The database can't be reached or used, in a sentence."""


def state_of(settings: Settings) -> State:
    """Compare the database's revision with the newest of this code."""
    scripts = ScriptDirectory(str(MIGRATIONS))
    engine = make_engine(settings.database_url)
    try:
        with engine.connect() as connection:
            found = set(MigrationContext.configure(connection).get_current_heads())
    except DBAPIError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise WrongDatabase(
            f"The database can't be used: {reason}. Check DATABASE_URL, and that it runs."
        ) from None
    finally:
        engine.dispose()
    if found == set(scripts.get_heads()):
        return State.NEWEST
    if not found:
        return State.EMPTY
    known = {script.revision for script in scripts.walk_revisions()}
    return State.BEHIND if found <= known else State.NEWER


def at_newest_or_end(settings: Settings) -> None:
    """Make the schema in an empty database; end the process when an old or newer one is there."""
    state = _state(settings)
    if state is State.EMPTY:
        migrate(settings)
    elif state is not State.NEWEST:
        click.echo(state.value, err=True)
        sys.exit(DATABASE)


def newest_or_end(settings: Settings) -> None:
    """End the process unless the schema is there and is this version's; change nothing."""
    state = _state(settings)
    if state is not State.NEWEST:
        click.echo(state.value, err=True)
        sys.exit(DATABASE)


def migrate(settings: Settings) -> None:
    """Bring the database to the newest schema."""
    import flask_migrate

    app = migrating(settings)
    with app.app_context():
        flask_migrate.upgrade()
        app.extensions["migrate"].db.engine.dispose()  # SQLite's log goes into the file


def migrating(settings: Settings | None = None) -> Flask:
    """Return the application with Flask-Migrate, which no serving process needs to load."""
    import flask_migrate

    from webapp.app import create_app
    from webapp.web.database import db as tables

    app = create_app(settings or settings_or_end())
    flask_migrate.Migrate(app, tables, directory=str(MIGRATIONS))
    return app


@click.group()
def db() -> None:
    """Look after the database."""


@db.command()
def upgrade() -> None:
    """Bring the database to the newest schema."""
    settings = settings_or_end()
    state = _state(settings)
    if state is State.NEWER:
        click.echo(state.value, err=True)
        sys.exit(DATABASE)
    if state is not State.NEWEST:
        migrate(settings)
    click.echo(State.NEWEST.value)


@db.command()
def check() -> None:
    """Say whether the database is at the newest schema."""
    state = _state(settings_or_end())
    click.echo(state.value, err=state is not State.NEWEST)
    sys.exit(0 if state is State.NEWEST else DATABASE)


def _state(settings: Settings) -> State:
    try:
        return state_of(settings)
    except WrongDatabase as error:
        click.echo(error, err=True)
        sys.exit(DATABASE)

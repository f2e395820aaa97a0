"""What `deckhand up` has to know before it starts: settings, then the state of the database.

A process of its own, so that the supervisor never loads what this needs. It prints the settings
as one line of JSON, waits for a line that says the data folder is ours, and looks at the database.
"""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from contextlib import closing
from urllib.parse import quote

from webapp.commands.exits import DATABASE, SETTINGS
from webapp.commands.instance import own_name
from webapp.kernel.settings import Settings, SettingsError, load_settings
from webapp.kernel.shipped import folder_of

_REVISION = re.compile(r"^(revision|down_revision)\b[^=]*= *['\"](\w+)['\"]", re.MULTILINE)


def main() -> int:
    try:
        settings = load_settings()
    except SettingsError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return SETTINGS
    print(json.dumps(_facts(settings)), flush=True)
    if not sys.stdin.readline():
        return 0
    return _look_at_database(settings) or _look_at_promises(settings)


def _facts(settings: Settings) -> dict[str, object]:
    return {
        "data": str(settings.data),
        "host": settings.host,
        "port": settings.port,
        "workers": settings.workers,
        "web_threads": settings.web_threads,
        "name": own_name(settings),
        "own_redis": not settings.redis_url,
    }


def surely_newest(settings: Settings) -> bool:
    """Whether an SQLite database is at the newest schema, without Alembic's half second.

    In doubt the answer is no, and Alembic has the last word.
    """
    files = folder_of("migrations").glob("versions/*.py")
    ids = [dict(_REVISION.findall(file.read_text())) for file in files]
    newest = {one.get("revision") for one in ids} - {one.get("down_revision") for one in ids}
    path = settings.database_url.removeprefix("sqlite:///")
    try:
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=rw", uri=True)) as database:
            found = {row[0] for row in database.execute("SELECT version_num FROM alembic_version")}
    except sqlite3.Error:
        return False
    return found == newest


def _look_at_database(settings: Settings) -> int:
    if settings.on_sqlite and surely_newest(settings):
        return 0
    from webapp.commands.db import State, WrongDatabase, migrate, state_of

    try:
        state = state_of(settings)
        if state in {State.BEHIND, State.EMPTY} and settings.on_sqlite:
            migrate(settings)
        elif state is not State.NEWEST:
            print(state.value, file=sys.stderr)
            return DATABASE
    except WrongDatabase as error:
        print(error, file=sys.stderr)
        return DATABASE
    return 0


def _look_at_promises(settings: Settings) -> int:
    """Refuse production on parts that would break a promise; elsewhere only say so."""
    from webapp.commands.boot_checks import database_problems, problems

    found = problems(settings) if settings.production else []
    if not settings.production and not settings.on_sqlite:
        found = database_problems(settings)
    for problem in found:
        print(problem, file=sys.stderr)
    return SETTINGS if found and settings.production else 0


if __name__ == "__main__":
    sys.exit(main())

"""Count what a page asks the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from webapp.web.database import db


@contextmanager
def counted(app: Any) -> Iterator[list[str]]:
    """Collect the statements that reach the database."""
    with app.app_context():
        engine = db.engine
    seen: list[str] = []

    def see(_: Any, __: Any, statement: str, *___: Any) -> None:
        if "set_config(" not in statement:  # PostgreSQL is told who asks, once a transaction
            seen.append(statement)

    event.listen(engine, "before_cursor_execute", see)
    yield seen
    event.remove(engine, "before_cursor_execute", see)

"""The web's own handle on the database: one session per request, engine by Flask-SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from flask import Flask, g, has_request_context
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.orm import Session

from webapp.kernel.db import Base, database_url, engine_options, reading, writing

db = SQLAlchemy(metadata=Base.metadata)


def init_app(app: Flask, url: str) -> None:
    app.config["SQLALCHEMY_DATABASE_URI"] = database_url(url)
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(url)
    db.init_app(app)
    with app.app_context():
        event.listen(db.engine, "before_cursor_execute", _start_clock)
        event.listen(db.engine, "after_cursor_execute", _stop_clock)


@contextmanager
def brief_reading() -> Iterator[Session]:
    """Yield a session beside the request's own, for checks before its transaction begins."""
    with reading(), Session(db.engine) as session:
        yield session


@contextmanager
def brief_writing() -> Iterator[Session]:
    """Yield a session that commits at the end, for notes that outlive the request's rollback."""
    with writing(), Session(db.engine, expire_on_commit=False) as session:
        yield session
        session.commit()


def _start_clock(connection: Any, *_: Any) -> None:
    if has_request_context():
        connection.info["began"] = perf_counter()


def _stop_clock(connection: Any, *_: Any) -> None:
    began = connection.info.pop("began", None)
    if began is not None and has_request_context():
        g.db_ms = g.get("db_ms", 0.0) + (perf_counter() - began) * 1000

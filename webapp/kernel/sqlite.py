"""SQLite for several processes: a turnstile in front of every write transaction.

SQLite's own busy handler lets whoever commits back to back starve all others; one busy worker
kept a web process waiting 10 s. Here a writer takes the lock `next`, then `main`, then lets go
of `next`. A waiter holds `next`, so the one that leaves `main` cannot overtake it. The locks are
flocks and die with their process (RULINGS.md 2.1.1, measured there).

Transactions begin as `BEGIN IMMEDIATE` when they may write (a read that is upgraded later fails
at once with SQLITE_BUSY_SNAPSHOT) and as query-only when they may not (2.1.5).
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from webapp.kernel.clock import boot_ms
from webapp.kernel.flocks import lock, make_waits_end

LOCK_WAIT_S = 20.0

_reading: ContextVar[bool] = ContextVar("reading", default=False)


def is_reading() -> bool:
    """Whether transactions that begin here promise to change nothing."""
    return _reading.get()


@contextmanager
def reading() -> Iterator[None]:
    """Let transactions that begin inside change nothing; the database refuses if they try."""
    token = _reading.set(True)
    try:
        yield
    finally:
        _reading.reset(token)


@contextmanager
def writing() -> Iterator[None]:
    """Let transactions that begin inside write, the state outside of any `reading`."""
    token = _reading.set(False)
    try:
        yield
    finally:
        _reading.reset(token)


class TurnstileBusy(RuntimeError):
    """The writer's place was not free for `LOCK_WAIT_S`; nothing was begun.

    Whoever has it is stopped or hangs: a transaction takes milliseconds.
    """


class Turnstile:
    """The queue of writers of one database file, over threads and processes."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._thread = threading.Lock()  # flock is per open file, so threads need their own
        self._pid = 0
        self._next = self._main = -1

    def enter(self) -> None:
        until = time.monotonic() + LOCK_WAIT_S
        if not self._thread.acquire(timeout=LOCK_WAIT_S):
            raise TurnstileBusy
        try:
            self._open()
            lock(self._next, until)
            try:
                lock(self._main, until)
            finally:
                fcntl.flock(self._next, fcntl.LOCK_UN)
        except TimeoutError:
            self._thread.release()
            raise TurnstileBusy from None
        except BaseException:
            self._thread.release()
            raise

    def leave(self) -> None:
        fcntl.flock(self._main, fcntl.LOCK_UN)
        self._thread.release()

    def _open(self) -> None:
        """Open the lock files once a process: descriptors of a parent would share its locks."""
        if self._pid == os.getpid():
            return
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._next = os.open(f"{self._database}.next", flags, 0o600)
        self._main = os.open(f"{self._database}.main", flags, 0o600)
        self._pid = os.getpid()


_turnstiles: dict[str, Turnstile] = {}
_turnstiles_lock = threading.Lock()


def turnstile(database: str) -> Turnstile:
    """Return this process's turnstile of the database file."""
    path = os.path.realpath(database)
    with _turnstiles_lock:
        return _turnstiles.setdefault(path, Turnstile(path))


@dataclass(slots=True)
class _Place:
    """One connection's place at the turnstile, and what its next transaction may do."""

    turnstile: Turnstile
    inside: bool = False
    query_only: bool = False

    def only_reads(self, connection: Any, wanted: bool) -> None:
        if wanted != self.query_only:
            connection.execute(f"PRAGMA query_only={int(wanted)}").close()
            self.query_only = wanted


class SqliteDialect(SQLiteDialect_pysqlite):
    """pysqlite with explicit transactions, the turnstile and safe settings."""

    supports_statement_cache = True

    def on_connect_url(self, url: Any) -> Any:
        make_waits_end()
        inherited = super().on_connect()
        database = url.database

        def connect(connection: Any) -> None:
            inherited(connection)
            connection.isolation_level = None  # we begin, the driver must not
            for pragma in (
                "journal_mode=WAL",
                "synchronous=FULL",
                "foreign_keys=ON",
                "busy_timeout=5000",
                "cache_size=-8000",
                "temp_store=MEMORY",
            ):
                connection.execute(f"PRAGMA {pragma}").close()
            connection.create_function("now_ms", 0, boot_ms)
            self._places()[id(connection)] = _Place(turnstile(database))

        return connect

    def _places(self) -> dict[int, _Place]:
        places: dict[int, _Place] = self.__dict__.setdefault("_held", {})
        return places

    @contextmanager
    def writing_on(self, connection: Any) -> Iterator[None]:
        """Write on a driver's connection that nobody else uses, without anybody's bookkeeping.

        Commits at the end, or rolls back when something is raised.
        """
        place = self._places()[id(connection)]
        place.turnstile.enter()
        try:
            place.only_reads(connection, False)
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                connection.commit()
            except BaseException:
                connection.rollback()
                raise
        finally:
            place.turnstile.leave()

    def do_begin(self, dbapi_connection: Any) -> None:
        place = self._places()[_key(dbapi_connection)]
        if is_reading():
            place.only_reads(dbapi_connection, True)
            dbapi_connection.execute("BEGIN").close()
            return
        place.turnstile.enter()
        try:
            place.only_reads(dbapi_connection, False)
            dbapi_connection.execute("BEGIN IMMEDIATE").close()
        except BaseException:
            place.turnstile.leave()
            raise
        place.inside = True

    def do_commit(self, dbapi_connection: Any) -> None:
        super().do_commit(dbapi_connection)
        self._leave(dbapi_connection)

    def do_rollback(self, dbapi_connection: Any) -> None:
        try:
            super().do_rollback(dbapi_connection)
        finally:
            self._leave(dbapi_connection)

    def do_close(self, dbapi_connection: Any) -> None:
        self._leave(dbapi_connection)
        self._places().pop(_key(dbapi_connection), None)
        super().do_close(dbapi_connection)

    def do_terminate(self, dbapi_connection: Any) -> None:
        self.do_close(dbapi_connection)

    def _leave(self, dbapi_connection: Any) -> None:
        place = self._places().get(_key(dbapi_connection))
        if place is not None and place.inside:
            place.inside = False
            place.turnstile.leave()


def _key(connection: Any) -> int:
    return id(getattr(connection, "driver_connection", None) or connection)


registry.register("sqlite.deckhand", "webapp.kernel.sqlite", "SqliteDialect")

"""Kept answers in a file of their own, for all processes of this machine."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

from webapp.kernel.caches.stores import Entry, StoreAway, boot_s
from webapp.kernel.clock import boot_id

T = TypeVar("T")
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS answer (
  key TEXT PRIMARY KEY, value BLOB NOT NULL, kept_at REAL NOT NULL, life_s REAL NOT NULL,
  turn INTEGER NOT NULL, uses INTEGER NOT NULL, looks INTEGER NOT NULL,
  changes INTEGER NOT NULL, watched_s REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS answer_turn ON answer (turn);
CREATE TABLE IF NOT EXISTS boot (id TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_USE: Final = """
UPDATE answer SET uses = ?, turn = (SELECT COALESCE(MAX(turn), 0) + 1 FROM answer) WHERE key = ?"""
_MOVE_UP: Final = """
UPDATE answer SET turn = (SELECT COALESCE(MAX(turn), 0) + 1 FROM answer) WHERE key = ?"""
_PUT: Final = """
INSERT OR REPLACE INTO answer VALUES
  (?, ?, ?, ?, (SELECT COALESCE(MAX(turn), 0) + 1 FROM answer), ?, ?, ?, ?)"""


class SqliteStore:
    """Losing the file loses nothing but time, so it is written without waiting for the disk.

    Its clock counts from the machine's start, so that no change of the wall clock makes an
    answer younger; after a new start the file begins empty.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = boot_s) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def find(self, key: str, *, use: bool = True) -> Entry | None:
        return self._do(lambda connection: self._find(connection, key, use))

    def _find(self, connection: sqlite3.Connection, key: str, use: bool) -> Entry | None:
        row = connection.execute(
            "SELECT value, life_s, uses, looks, changes, watched_s, ? - kept_at FROM answer"
            " WHERE key = ?",
            (self._clock(), key),
        ).fetchone()
        if row is None:
            return None
        entry = Entry(*row)
        if use:
            entry.uses += entry.is_fresh
            connection.execute(_USE, (entry.uses, key))
        return entry

    def put(self, key: str, entry: Entry) -> None:
        one = (key, entry.value, self._clock(), entry.life_s)
        known = (entry.uses, entry.looks, entry.changes, entry.watched_s)
        self._do(lambda connection: connection.execute(_PUT, one + known))

    def drop(self, keys: Iterable[str]) -> None:
        gone = [(key,) for key in keys]
        self._do(
            lambda connection: connection.executemany("DELETE FROM answer WHERE key = ?", gone)
        )

    def oldest(self, most: int) -> list[tuple[str, bool]]:
        rows = self._do(
            lambda connection: connection.execute(
                "SELECT key, ? - kept_at < life_s FROM answer ORDER BY turn LIMIT ?",
                (self._clock(), most),
            ).fetchall()
        )
        return [(key, bool(fresh)) for key, fresh in rows]

    def move_up(self, keys: Iterable[str]) -> None:
        moved = [(key,) for key in keys]
        self._do(lambda connection: connection.executemany(_MOVE_UP, moved))

    def __len__(self) -> int:
        count: int = self._do(
            lambda connection: connection.execute("SELECT COUNT(*) FROM answer").fetchone()
        )[0]
        return count

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _do(self, act: Callable[[sqlite3.Connection], T]) -> T:
        try:
            with self._lock, self._open() as connection:
                connection.execute("BEGIN IMMEDIATE")
                return act(connection)
        except sqlite3.Error as error:
            self.close()
            raise StoreAway(str(error)) from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = _connected(self._path)
        return self._connection


def _connected(path: Path) -> sqlite3.Connection:
    options: dict[str, Any] = {"timeout": 1.0, "check_same_thread": False}
    connection = sqlite3.connect(path, isolation_level=None, **options)
    try:
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = OFF")
    connection.executescript(_TABLES)
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("SELECT 1 FROM boot WHERE id = ?", (boot_id(),)).fetchone() is None:
            connection.execute("DELETE FROM boot")
            connection.execute("DELETE FROM answer")
            connection.execute("INSERT INTO boot VALUES (?)", (boot_id(),))

"""SQLite shared by several processes, as `deckhand up` uses it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from webapp.kernel import sqlite
from webapp.kernel.db import is_away, make_engine, reading, writing
from webapp.kernel.sqlite import TurnstileBusy, turnstile

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shared.sqlite3"


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    made = make_engine(f"sqlite:///{path}")
    with made.begin() as connection:
        connection.execute(text("CREATE TABLE count (n INTEGER)"))
        connection.execute(text("INSERT INTO count VALUES (0)"))
    yield made
    made.dispose()


def test_every_commit_is_on_the_disk_before_it_is_answered(engine: Engine) -> None:
    with engine.connect() as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA synchronous")) == 2
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1


def test_what_promised_to_read_is_refused_when_it_writes(engine: Engine) -> None:
    with reading(), engine.connect() as connection:
        assert connection.scalar(text("SELECT n FROM count")) == 0
        with pytest.raises(OperationalError, match="readonly") as refused:
            connection.execute(text("UPDATE count SET n = 1"))

    assert not is_away(refused.value)
    with writing(), engine.begin() as connection:
        connection.execute(text("UPDATE count SET n = 1"))


def add_many(path: str, times: int) -> None:
    """Read, think, write: without a turnstile this loses updates or is refused."""
    engine = make_engine(f"sqlite:///{path}")
    for _ in range(times):
        with engine.begin() as connection:
            n = connection.scalar(text("SELECT n FROM count"))
            connection.execute(text("UPDATE count SET n = :n"), {"n": n + 1})
    engine.dispose()


def test_processes_that_read_and_then_write_lose_nothing(engine: Engine, path: Path) -> None:
    processes = [SPAWN.Process(target=add_many, args=(str(path), 50)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0, 0, 0]
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT n FROM count")) == 150


def hold(path: str, told: object) -> None:
    engine = make_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.execute(text("UPDATE count SET n = 100"))
        told.set()  # type: ignore[attr-defined]
        time.sleep(60)  # until it is killed


def test_a_writer_that_is_killed_frees_its_place_and_leaves_nothing(
    engine: Engine, path: Path
) -> None:
    told = SPAWN.Event()
    holder = SPAWN.Process(target=hold, args=(str(path), told))
    holder.start()
    assert told.wait(20)

    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    with engine.begin() as connection:
        n = connection.scalar(text("SELECT n FROM count"))
    holder.join()

    assert n == 0


def test_a_stopped_writer_lets_nobody_wait_for_ever(
    engine: Engine, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = SPAWN.Event()
    holder = SPAWN.Process(target=hold, args=(str(path), told))
    holder.start()
    assert told.wait(20)
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGSTOP)
    monkeypatch.setattr(sqlite, "LOCK_WAIT_S", 0.3)
    refused: list[BaseException] = []

    def write(connect: Engine) -> None:
        try:
            with connect.begin():
                pass
        except TurnstileBusy as error:
            refused.append(error)

    elsewhere = make_engine(f"sqlite:///{path}")
    threads = [threading.Thread(target=write, args=(one,)) for one in (engine, elsewhere)]
    for thread in threads:
        thread.start()
    write(engine)
    for thread in threads:
        thread.join(timeout=10)

    assert len(refused) == 3
    assert all(is_away(error) for error in refused)
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    write(engine)  # nobody who gave up left a lock behind
    elsewhere.dispose()
    assert len(refused) == 3


def test_a_waiting_writer_is_not_overtaken_by_the_one_that_leaves(path: Path) -> None:
    gate, order = turnstile(str(path)), []
    gate.enter()
    waiting = threading.Thread(target=lambda: (gate.enter(), order.append("waiter"), gate.leave()))
    waiting.start()
    gate.leave()
    waiting.join(timeout=10)
    gate.enter()
    order.append("first again")
    gate.leave()

    assert order == ["waiter", "first again"]


def test_a_lock_held_from_outside_is_an_absence_and_no_bug(engine: Engine, path: Path) -> None:
    import sqlite3

    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.execute("PRAGMA busy_timeout=50")
            with pytest.raises(OperationalError) as refused:
                connection.execute(text("UPDATE count SET n = 2"))
    finally:
        other.close()

    assert is_away(refused.value)
    with engine.begin() as connection:
        connection.execute(text("UPDATE count SET n = 3"))

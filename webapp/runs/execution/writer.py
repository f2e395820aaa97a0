"""One thread per worker writes the journals of all its runs, many in one commit.

The asyncio loop never waits for a lock or a disk itself: another process that holds the writer's
place would freeze every stream, cancel and heartbeat of this worker (RULINGS.md 2.1.4). What has
queued up while one commit was on its way goes into the next one together.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from webapp.engine.journal import CancelRequested, End, LostLease, PauseRequested
from webapp.kernel.clock import boot_ms, now
from webapp.kernel.crashpoints import crashpoint
from webapp.kernel.db import is_away
from webapp.kernel.rawsql import sql_for
from webapp.runs.execution import statements as st
from webapp.runs.execution.readings import alone
from webapp.runs.execution.settling import Settling
from webapp.runs.execution.writes import Totals, Write
from webapp.spending import entries

log = logging.getLogger(__name__)

_MOST_IN_ONE_COMMIT = 256


class JournalWriter:
    """Group commit: `submit` from the loop, one thread, one connection, one transaction."""

    def __init__(
        self, engine: Engine, worker: str, told: Callable[[list[Write]], None] | None = None
    ) -> None:
        self._engine = engine
        self._sql = sql_for(engine.dialect.name)
        self._settling = Settling(self._sql)
        self._worker = worker
        self._told = told or (lambda _: None)
        self._waiting: SimpleQueue[Write | None] = SimpleQueue()
        self._closing = self._given_up = False
        self._connection: Connection | None = None
        self._driver: Any = None
        self._thread = threading.Thread(target=self._work, name="journal-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, write: Write) -> None:
        self._waiting.put(write)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def close(self, seconds: float = 10.0) -> None:
        """Write what waits, if the database takes it in time, then end the thread."""
        self._closing = True
        self._waiting.put(None)
        self._thread.join(timeout=seconds)
        self._given_up = True  # what is refused now is found by the next owner of the run

    def _work(self) -> None:
        while not (self._closing and self._waiting.empty()):
            batch = [write for write in self._queued() if write is not None]
            if batch:
                self._write(batch)
        if self._connection is not None:
            self._connection.close()

    def _queued(self) -> Iterator[Write | None]:
        """Wait for something, then yield it and what has queued up behind it."""
        yield self._waiting.get()
        for _ in range(_MOST_IN_ONE_COMMIT - 1):
            if self._waiting.empty():  # nobody else takes from it
                return
            yield self._waiting.get()

    def _write(self, batch: list[Write]) -> None:
        """Commit `batch`; while the database is away, keep trying: nothing accepted is lost."""
        pause = 0.05
        while True:
            try:
                self._commit(batch)
                break
            except Exception as error:  # noqa: BLE001  # every failure must reach its run
                if is_away(error) and not self._given_up:
                    log.warning("journal waits for the database: %s", type(error).__name__)
                    for write in batch:
                        write.doubtful = True
                    time.sleep(pause)  # a back-off of this thread, which has nothing else to do
                    pause = min(pause * 2, 2.0)
                elif len(batch) > 1:
                    for write in batch:  # one bad write must not take the others with it
                        self._write([write])
                    return
                else:
                    batch[0].refused = error
                    break
        _answer(batch)  # first: the runs go on while pages are told
        self._tell([write for write in batch if write.refused is None])

    def _tell(self, written: list[Write]) -> None:
        try:
            self._told(written)
        except Exception:  # hints may be lost; this thread may not
            log.exception("hints were lost")

    def _commit(self, batch: list[Write]) -> None:
        batch.sort(key=lambda write: write.run)  # leases are locked in one order by all
        for write in batch:
            write.refused = None
        driver = self._connected()
        try:
            if self._sql.postgresql:
                if all(write.is_plain for write in batch) and self._commit_in_one(driver, batch):
                    return
                with driver.transaction():
                    self._commit_pipelined(driver, batch)
            else:
                with self._engine.dialect.writing_on(driver):  # type: ignore[attr-defined]
                    self._commit_here(driver.cursor(), batch)
        except BaseException:
            self._disconnect()
            raise

    def _connected(self) -> Any:
        """Return the driver's connection, the thread's own: asking a pool for each commit costs
        more than the commit's statements.
        """
        if self._connection is None:
            self._connection = self._engine.connect()
            self._driver = alone(self._sql, self._connection)
        return self._driver

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.invalidate()
                connection.close()

    def _commit_here(self, cursor: Any, batch: list[Write]) -> None:
        for write in batch:
            if write.doubtful and self._is_written(cursor, write):
                continue
            row = cursor.execute(self._sql(st.ADVANCE), self._advance(write)).fetchone()
            if row is None:
                write.refused = self._why_not(cursor, write)
                continue
            self._write_rest(cursor, write, row)

    def _commit_in_one(self, driver: Any, batch: list[Write]) -> bool:
        """Send the whole batch in one round trip; it is one transaction, since nothing is asked
        in between (PostgreSQL's manual, section 34.5, "Pipeline Mode").

        False: nothing of it is written, mostly since more has happened to a run than its worker
        knew. What was wrong is found by doing it step by step.
        """
        sent = False
        try:
            with driver.pipeline(), suppress(Exception):  # the pipeline's end fails, too
                self._send(driver.cursor(), batch)
                sent = True
        except Exception as error:
            if is_away(error):
                raise
            sent = False
        return sent

    def _send(self, cursor: Any, batch: list[Write]) -> None:
        for write in batch:
            seq = write.after + len(write.events)
            as_expected = self._advance(write) | {"expected": seq}
            cursor.execute(self._sql(st.ADVANCE_AS_EXPECTED), as_expected)
            self._write_rest(cursor, write, (seq,))

    def _commit_pipelined(self, driver: Any, batch: list[Write]) -> None:
        """Two round trips for the whole batch: all fences, then all rows."""
        with driver.pipeline() as pipeline:
            self._lock_families(driver, batch)
            cursors = [
                driver.cursor().execute(self._sql(st.ADVANCE), self._advance(write))
                for write in batch
                if not write.doubtful
            ]
            pipeline.sync()
            answers = iter([cursor.fetchone() for cursor in cursors])
            for write in batch:
                if write.doubtful:
                    if self._is_written(driver.cursor(), write):
                        continue
                    row = (
                        driver.cursor()
                        .execute(self._sql(st.ADVANCE), self._advance(write))
                        .fetchone()
                    )
                else:
                    row = next(answers)
                if row is None:
                    write.refused = self._why_not(driver.cursor(), write)
                else:
                    self._write_rest(driver.cursor(), write, row)

    def _lock_families(self, driver: Any, batch: list[Write]) -> None:
        """Lock the runs above and below those that end, and all others of the batch with them."""
        ends = [write for write in batch if isinstance(write.ending, End)]
        told = [write.parent[0] for write in ends if write.parent is not None]
        above = [write.run for write in ends if write.may_have_children]
        above += [write.run for write in batch if write.ended]
        if told or above:
            runs = [write.run for write in batch] + told
            driver.execute(self._sql(st.LOCK_FAMILIES), {"runs": runs, "above": above})

    def _advance(self, write: Write) -> dict[str, Any]:
        write.renewed_ms = boot_ms()
        return {
            "run": self._sql.id(write.run),
            "fence": write.fence,
            "events": len(write.events),
            "done": write.done,
            "cost": write.cost,
            "ran_ms": write.ran_ms,
            "lease_ms": write.lease_ms,
            "begins": int(write.begins),
        }

    def _is_written(self, cursor: Any, write: Write) -> bool:
        """Whether a try whose answer was lost had been committed all the same."""
        if not write.rows:
            return bool(write.ledger) and self._is_entered(cursor, write)
        names = ("run", "path", "attempt", "state", "fence")
        first = {name: write.rows[0][name] for name in names}
        cursor.execute(self._sql(st.WRITTEN), first | {"after": write.after})
        row = cursor.fetchone()
        if row is None:
            return False
        write.seq = row[0]
        return True

    def _is_entered(self, cursor: Any, write: Write) -> bool:
        cursor.execute(self._sql(entries.ENTERED), {"id": write.ledger[0]["id"]})
        row = cursor.fetchone()
        if row is not None:
            write.seq = row[0]
        return row is not None

    def _why_not(self, cursor: Any, write: Write) -> BaseException:
        cursor.execute(self._sql(st.WHY_NOT), {"run": self._sql.id(write.run)})
        row = cursor.fetchone()
        if row is not None and row[0] == write.fence and row[1] is not None:
            return CancelRequested()
        if row is not None and row[0] == write.fence and row[2] is not None:
            return PauseRequested()
        return LostLease()

    def _write_rest(self, cursor: Any, write: Write, row: Any) -> None:
        """Write the rows, the events and the end behind the fence update that returned `row`."""
        write.seq, *totals = row
        for values in write.rows:
            values["seq"] = write.seq
        if write.ledger:
            cursor.executemany(self._sql(entries.ENTER), write.ledger)
        if write.cost or any(values["tokens_in"] for values in write.rows):
            crashpoint("worker.in_budget_settle")
        if write.rows:
            cursor.executemany(self._sql(st.WRITE_STEP), write.rows)
        for statement, values in write.beside:
            cursor.execute(self._sql(statement), values)
        if write.events:
            self._write_events(cursor, write)
        for path in write.ended:
            cursor.execute(
                self._sql(st.CANCEL_CHILD), {"run": self._sql.id(write.run), "path": path}
            )
            write.wakes = cursor.fetchone() is not None or write.wakes
        if write.ending is not None:
            self._settling.settle(cursor, write, Totals(*totals))

    def _write_events(self, cursor: Any, write: Write) -> None:
        same = {
            "run": self._sql.id(write.run),
            "org": self._sql.id(write.organization),
            "at": self._sql.moment(now()),
        }
        first = write.seq - len(write.events) + 1
        rows = [
            same | {"seq": seq, "type": event.type, "data": self._sql.json(event.data)}
            for seq, event in enumerate(write.events, first)
        ]
        cursor.executemany(self._sql(st.WRITE_EVENT), rows)


def _answer(batch: list[Write]) -> None:
    """Wake the futures, once per loop."""
    loops: dict[asyncio.AbstractEventLoop, list[Write]] = {}
    for write in batch:
        loops.setdefault(write.loop, []).append(write)
    for loop, writes in loops.items():
        try:
            loop.call_soon_threadsafe(_set_results, writes)
        except RuntimeError:  # the loop has ended: nobody waits any more
            log.debug("the loop ended before its answer")


def _set_results(writes: list[Write]) -> None:
    for write in writes:
        if write.future.done():
            continue
        if write.refused is None:
            write.future.set_result(write.seq)
        else:
            write.future.set_exception(write.refused)

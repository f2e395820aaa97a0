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
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from webapp.engine.journal import (
    CancelRequested,
    End,
    Event,
    HandBack,
    LostLease,
    Park,
    PauseRequested,
    Record,
)
from webapp.kernel.clock import boot_ms, now
from webapp.kernel.crashpoints import crashpoint
from webapp.kernel.db import is_away
from webapp.kernel.ids import new_id
from webapp.kernel.rawsql import sql_for
from webapp.runs.execution import statements as st
from webapp.spending import entries

log = logging.getLogger(__name__)

_MOST_IN_ONE_COMMIT = 256


@dataclass(slots=True, eq=False)
class Write:
    """What one run wants durable, and the future that hears of it.

    Attributes:
        rows: parameters of `WRITE_STEP` but for `seq`.
        after: number of the last event that this journal knows to be committed.
        seq: number of its last event, known after the commit.
    """

    run: UUID
    organization: UUID
    fence: int
    lease_ms: int
    rows: list[dict[str, Any]]
    events: list[Event]
    done: int
    cost: int
    ran_ms: int
    begins: bool
    ending: End | Park | HandBack | None
    after: int
    started_at: datetime
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[int]
    result_file: str | None = None
    parent: tuple[UUID, str] | None = None
    """The run and the step that hear of its end."""
    may_have_children: bool = False
    ended: Sequence[str] = ()
    """Paths of steps that end before what they started: it ends with them."""
    part: dict[str, Any] | None = None
    """Which items of a list of its parent the run does."""
    wakes: bool = False
    """The commit made a run ready that nobody works on."""
    beside: Sequence[tuple[str, dict[str, Any]]] = ()
    """Statements of the same commit about other tables."""
    ledger: Sequence[dict[str, Any]] = ()
    """Parameters of `entries.ENTER`."""
    seq: int = 0
    refused: Exception | None = None
    renewed_ms: int = 0
    """When the lease was renewed with it, by this machine's boot clock, at the earliest."""
    doubtful: bool = field(default=False)
    """An earlier try may have been committed before the connection broke."""


class JournalWriter:
    """Group commit: `submit` from the loop, one thread, one connection, one transaction."""

    def __init__(
        self, engine: Engine, worker: str, told: Callable[[list[Write]], None] | None = None
    ) -> None:
        self._engine = engine
        self._sql = sql_for(engine.dialect.name)
        self._worker = worker
        self._told = told or (lambda _: None)
        self._waiting: SimpleQueue[Write | None] = SimpleQueue()
        self._closing = self._given_up = False
        self._connection: Connection | None = None
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
        with suppress(Empty):
            for _ in range(_MOST_IN_ONE_COMMIT - 1):
                yield self._waiting.get_nowait()

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
        connection = self._connected()
        try:
            driver: Any = connection.connection.driver_connection
            if self._sql.postgresql:
                with connection.begin():
                    self._commit_pipelined(driver, batch)
            else:
                with self._engine.dialect.writing_on(driver):  # type: ignore[attr-defined]
                    self._commit_here(driver.cursor(), batch)
        except BaseException:
            self._disconnect()
            raise

    def _connected(self) -> Connection:
        """Return the thread's own connection: asking a pool for each commit costs more than it."""
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

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

    def _commit_pipelined(self, driver: Any, batch: list[Write]) -> None:
        """Two round trips for the whole batch: all fences, then all rows."""
        with driver.pipeline() as pipeline:
            driver.execute(st.SEE_EVERYTHING)
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

    def _why_not(self, cursor: Any, write: Write) -> Exception:
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
            self._settle(cursor, write, Totals(*totals))

    def _write_events(self, cursor: Any, write: Write) -> None:
        run, org, at = self._sql.id(write.run), self._sql.id(write.organization), now()
        first = write.seq - len(write.events) + 1
        cursor.executemany(
            self._sql(st.WRITE_EVENT),
            [
                {
                    "run": run,
                    "org": org,
                    "seq": first + place,
                    "at": self._sql.moment(at),
                    "type": event.type,
                    "data": self._sql.json(event.data),
                }
                for place, event in enumerate(write.events)
            ],
        )

    def _settle(self, cursor: Any, write: Write, totals: Totals) -> None:
        run = self._sql.id(write.run)
        fenced = {"run": run, "fence": write.fence}
        ending = write.ending
        if isinstance(ending, HandBack):
            lease = cursor.execute(self._sql(st.HAND_BACK), fenced).fetchone()
            parked = {"state": "queued", "reason": ending.cause}
            if lease[0] == "paused":
                parked = {"state": "paused", "reason": lease[1]}
            cursor.execute(self._sql(st.PARK_RUN), {"run": run, **parked})
        elif isinstance(ending, Park) or (
            isinstance(ending, End) and ending.state == "needs_review"
        ):
            reason = ending.reason if isinstance(ending, Park) else "review"
            due_ms = _due_ms(ending) if isinstance(ending, Park) else -1
            cursor.execute(self._sql(st.PARK_LEASE), fenced | {"reason": reason, "due_ms": due_ms})
            state = "waiting" if isinstance(ending, Park) else "needs_review"
            if isinstance(ending, Park) and self._is_unheard(cursor, run, ending.heard):
                write.wakes, state, reason = True, "queued", "signal"
            cursor.execute(self._sql(st.PARK_RUN), {"run": run, "state": state, "reason": reason})
        elif isinstance(ending, End):
            self._end(cursor, write, ending, totals)

    def _is_unheard(self, cursor: Any, run: Any, heard: int) -> bool:
        """Make a run ready again for which more has come than its worker knew."""
        cursor.execute(self._sql(st.UNHEARD), {"run": run, "heard": heard})
        return cursor.fetchone() is not None

    def _end(self, cursor: Any, write: Write, end: End, totals: Totals) -> None:
        at = now()
        cursor.execute(
            self._sql(st.END_RUN),
            {
                "run": self._sql.id(write.run),
                "state": end.state,
                "reason": (end.error or {}).get("code"),
                "problems": end.problems,
                "result": None if write.result_file else self._sql.json(end.result),
                "result_file": write.result_file,
                "error": self._sql.json(end.error),
                "at": self._sql.moment(at),
                "took_ms": max(0, round((at - write.started_at).total_seconds() * 1000)),
                "cost": totals.cost_nano,
                "below": totals.below_nano,
                "done": totals.done,
                "seq": write.seq,
            },
        )
        cursor.execute(
            self._sql(st.DROP_LEASE), {"run": self._sql.id(write.run), "fence": write.fence}
        )
        if write.may_have_children:
            cursor.execute(self._sql(st.CANCEL_CHILDREN), {"run": self._sql.id(write.run)})
            write.wakes = cursor.fetchone() is not None or write.wakes
        if write.parent is not None:
            self._tell_parent(cursor, write, end, write.parent, totals)

    def _tell_parent(
        self, cursor: Any, write: Write, end: End, parent: tuple[UUID, str], totals: Totals
    ) -> None:
        run, at = self._sql.id(parent[0]), self._sql.moment(now())
        cost = totals.cost_nano + totals.below_nano
        cursor.execute(self._sql(st.CALL_RUN), {"run": run, "cost": cost, **counted(write, totals)})
        row = cursor.fetchone()
        if row is None:  # it is over: nobody waits
            self._cost_above(cursor, run, cost)
            return
        seq, state, reason, org = row
        told: dict[str, Any] = {"state": end.state, "error": end.error, "problems": end.problems}
        told |= {"result_file": write.result_file, "cost": cost, "steps": totals.done}
        if write.result_file is None:
            told["result"] = end.result
        signal = {"run": run, "org": org, "id": self._sql.id(new_id()), "kind": "child", "at": at}
        data = {"key": parent[1], "data": self._sql.json(told), "by": "run"}
        cursor.execute(self._sql(st.NEW_SIGNAL), signal | data)
        event = {"run": run, "org": org, "seq": seq, "at": at, "type": "signal.received"}
        facts = {"kind": "child", "key": parent[1][:200]}
        cursor.execute(self._sql(st.WRITE_EVENT), event | {"data": self._sql.json(facts)})
        if state == "waiting" and reason != "review":
            cursor.execute(self._sql(st.WAKE_RUN), {"run": run})
            cursor.execute(
                self._sql(st.PARK_RUN), {"run": run, "state": "queued", "reason": "signal"}
            )
            write.wakes = True

    def _cost_above(self, cursor: Any, run: Any, cost: int) -> None:
        """Count what a run has cost for those above it that are over already."""
        while cost and run is not None:
            cursor.execute(self._sql(st.COST_BELOW), {"run": run, "cost": cost})
            above = cursor.fetchone()
            run = None if above is None else above[0]
            if run is not None:
                cursor.execute(self._sql(st.COST_BELOW_LIVE), {"run": run, "cost": cost})
                run = run if cursor.fetchone() is None else None


@dataclass(frozen=True, slots=True)
class Totals:
    """What a run has come to: steps, own cost, working time, and cost of the runs below it."""

    done: int
    cost_nano: int
    ran_ms: int
    below_nano: int


def counted(write: Write, totals: Totals) -> dict[str, int]:
    """Return what a part adds to the figures of the run it belongs to.

    As much of its working time as the whole list has worked meanwhile: some parts do so beside
    each other.
    """
    if write.part is None:
        return {"done": 0, "ran_ms": 0}
    return {"done": totals.done, "ran_ms": totals.ran_ms // max(1, write.part["beside"])}


def _due_ms(park: Park) -> int:
    """Return milliseconds until the sooner of the two due times; -1 for "until told"."""
    waits = []
    if park.due_in_s is not None:
        waits.append(park.due_in_s)
    if park.due_at is not None:
        waits.append((park.due_at - now()).total_seconds())
    return max(0, round(min(waits) * 1000)) if waits else -1


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


__all__ = ["JournalWriter", "Record", "Write"]

"""Where what happens to a run is written down and made durable."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from webapp.engine.journal import (
    CancelRequested,
    End,
    Park,
    PauseRequested,
    Record,
)
from webapp.engine.ledger import Entry, catch_up
from webapp.engine.orders import Orders
from webapp.engine.pen import Pen
from webapp.engine.ports import Journal
from webapp.engine.recovery import CALL


class Desk:
    """The rows, events and ledger entries of the next commit, and who waits for it.

    Args:
        records: rows of earlier executions; what the ledger has of them is counted in.
        journal: where batches go.
        orders: set when the journal says that the run is to be cancelled, or to pause.
        crash: a crash point's port.
        wake: called when there is something to commit.
    """

    def __init__(
        self,
        records: list[Record],
        journal: Journal,
        orders: Orders,
        crash: Callable[[str], None],
        wake: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._journal = journal
        self._orders = orders
        self._crash = crash
        self._wake = wake
        interrupted = catch_up(records)
        self._pen = Pen(records, self._loop.time())
        self._pen.entries += interrupted
        self._requests: dict[str, Record] = {}
        """Intents by path, with their frozen bytes, until the path is settled."""
        self._went_in: dict[str, bytes] = {}
        self._waiting: list[tuple[Record | Entry, asyncio.Future[None]]] = []
        """Rows of tool calls and reservations that wait for the next commit."""
        self.stuck: set[str] = set()
        """Agents that can't go on because nothing new may begin."""
        self.unpriced: set[str] = set()
        self._unrecorded = False
        self._calls_of: Counter[tuple[str, int]] = Counter()
        """Calls of models by path and attempt, as the ledger numbers them."""
        for record in records:
            for entry in record.entries:
                place = (entry.path, entry.attempt)
                self._calls_of[place] = max(self._calls_of[place], entry.n)

    # Steps

    @property
    def quick(self) -> int:
        """How many rows of the next commit are of steps that never had an intent."""
        return self._pen.quick

    def keep_input(self, path: str, request: bytes) -> None:
        """Show with the row at `path`, which gets no intent, what the step went by."""
        self._went_in[path] = request

    def write(self, record: Record) -> None:
        """Put a row into the next commit."""
        intent = self._requests.get(record.path)
        if intent is not None:
            record.idem_key = intent.idem_key
            if record.ends_path:
                del self._requests[record.path]
        record.request = self._went_in.pop(record.path, record.request)
        self._pen.write(record, self._loop.time())

    def intend(self, record: Record, *, resumed: bool) -> None:
        """Put an intent into the next commit."""
        self._requests[record.path] = record
        self._pen.write(record, self._loop.time(), resumed=resumed)

    def intent(self, path: str) -> Record | None:
        """Return the intent at a path that is not settled."""
        return self._requests.get(path)

    def drop(self, record: Record) -> None:
        """Unwrite an intent that was not committed and shall not be."""
        self._pen.drop(record)

    def note_landing(self) -> None:
        """An effect has come back that no commit tells of yet."""
        self._unrecorded = True

    # Tool calls of agents

    @property
    def stopping(self) -> bool:
        return self._orders.stopping

    async def commit_call(self, path: str, record: Record, phase: str, tool: str) -> None:
        """Write the row of a tool call and return when it is durable."""
        durable: asyncio.Future[None] = self._loop.create_future()
        if record.state == "intent" and self._orders.begins_nothing:
            await self._get_stuck(path, durable)
        self.leave_call(record)
        self._pen.say_tool(record, phase, tool)
        self._waiting.append((record, durable))
        self._wake()
        await durable

    def leave_call(self, record: Record) -> None:
        """Write the row of a tool call without waiting for it."""
        self._pen.put_call(record)

    async def _get_stuck(self, path: str, durable: asyncio.Future[None]) -> None:
        self.stuck.add(path)
        self._wake()
        await durable  # never: this attempt is about to be cancelled

    # Calls of models

    def next_call(self, path: str, attempt: int) -> int:
        """Return the number of the next call of a model in this attempt."""
        self._calls_of[path, attempt] += 1
        return self._calls_of[path, attempt]

    async def commit_entry(self, entry: Entry) -> None:
        """Write a reservation and return when it is durable."""
        durable: asyncio.Future[None] = self._loop.create_future()
        if self._orders.begins_nothing:
            await self._get_stuck(entry.path, durable)
        self.leave_entry(entry)
        self._waiting.append((entry, durable))
        try:
            await durable
        except BaseException:
            if not self._pen.drop_entry(entry) and (
                self._pen.is_on_its_way(entry) or not durable.cancelled()
            ):
                self.leave_entry(entry.released())
            raise

    def leave_entry(self, entry: Entry) -> None:
        """Write an entry of the ledger with the next commit."""
        self._pen.entries.append(entry)
        self._wake()

    # The commit

    @property
    def is_empty(self) -> bool:
        return self._pen.is_empty

    @property
    def is_awaited(self) -> bool:
        return bool(self._waiting)

    async def commit(
        self, end: End | None = None, park: Park | None = None, *, begins: bool = False
    ) -> bool:
        """Make everything written so far durable; False: the run is to do something else first.

        Args:
            end: settles the run with it.
            park: gives the run's lease back with it.
            begins: intents of steps are among it.
        """
        self._crash_before(end, begins=begins)
        awaited, self._waiting = self._waiting, []
        try:
            await self._journal.commit(self._pen.batch(self._loop.time(), end, park))
        except CancelRequested:
            self._take_back(awaited)
            self._orders.end()
            return False
        except PauseRequested:
            self.stuck |= self._take_back(awaited)
            self._orders.pause()
            return False
        for _, durable in awaited:
            if not durable.done():
                durable.set_result(None)
        self._crash(
            "worker.after_record_before_next" if end is None else "worker.after_terminal_before_ack"
        )
        return True

    def _crash_before(self, end: End | None, *, begins: bool) -> None:
        if self._unrecorded:
            self._unrecorded = False
            self._crash("worker.after_effect_before_record")
        if begins:
            self._crash("worker.before_intent")
        if end is not None:
            self._crash("worker.before_terminal")

    def _take_back(self, awaited: list[tuple[Record | Entry, asyncio.Future[None]]]) -> set[str]:
        """Keep what was done of a refused batch for the next one, and begin nothing.

        Returns:
            The agents that don't go on.
        """
        self._pen.take_back()
        stuck = set()
        for record, durable in awaited:
            if isinstance(record, Entry):
                self._pen.drop_entry(record)
                stuck.add(record.path)
            elif record.state == "intent":
                self._pen.drop(record)  # its attempt is cancelled and never gets an answer
                stuck.add(record.path[: record.path.rindex(CALL)])
            else:
                self._waiting.append((record, durable))
        return stuck

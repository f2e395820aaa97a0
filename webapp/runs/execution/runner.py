"""One worker's runs: an asyncio loop in a thread of its own, up to RUNS_PER_WORKER at once.

The loop drives plans. A claims thread asks the database for work, the journal writer makes
commits, and the keeper renews the leases.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from uuid import UUID

from sqlalchemy import Engine

from webapp.engine.journal import End
from webapp.files.shelf import results_shelf
from webapp.kernel.crashpoints import crashpoint
from webapp.kernel.db import is_away, make_engine, make_sessions
from webapp.kernel.hints import Bell, Hints, Ring, Tell
from webapp.kernel.ids import new_id, public_id
from webapp.kernel.jitter import jittered
from webapp.kernel.outbound_pools import look_before_sending
from webapp.kernel.rawsql import sql_for
from webapp.kernel.settings import Settings
from webapp.runs.execution.claims import Claimed, Claims
from webapp.runs.execution.driving import Active, Driving
from webapp.runs.execution.journal import RunJournal
from webapp.runs.execution.keeper import BEAT_S, Keeper
from webapp.runs.execution.outside import Outside
from webapp.runs.execution.readings import Readings
from webapp.runs.execution.writer import JournalWriter
from webapp.runs.execution.writes import Write

log = logging.getLogger(__name__)

QUEUE: Final = "runs"
AWAKE_S: Final = 0.1
"""How long a worker that just claimed looks by itself before it wants to be rung again."""
LOOK_S: Final = 0.005
AT_A_TIME: Final = 2
"""The most runs of one claim: whoever comes while it is made waits for its end."""
NEWCOMERS: Final = 8
"""One place more for each so many is kept for organizations that have nothing at work here."""
LATE_LOOP_S: Final = 5.0

T = TypeVar("T")


@dataclass(slots=True)
class Runner:
    """See the module. `start`, then `wake` for every ring, `drain` at the end."""

    settings: Settings
    engine: Engine
    claims: Claims
    readings: Readings
    writer: JournalWriter
    outside: Outside
    bell: Bell
    answer: Callable[[], None]
    """Takes note of a ring, so that the next start rings again."""
    name: str
    dialect: str
    active: dict[UUID, Active] = field(default_factory=dict)
    ticked: float = field(default_factory=time.monotonic)
    _loop: asyncio.AbstractEventLoop | None = None
    _ring: asyncio.Event = field(default_factory=asyncio.Event)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _ready: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _asking: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(3, thread_name_prefix="claims")
    )
    keeper: Keeper = field(init=False)
    _driving: Driving = field(init=False)

    def __post_init__(self) -> None:
        self.keeper = Keeper(
            name=self.name,
            lease_s=self.settings.lease_s,
            claims=self.claims,
            readings=self.readings,
            outside=self.outside,
            bell=self.bell,
            active=self.active,
            is_alive=self.is_alive,
            wake=self.wake,
            on_loop=self._on_loop,
        )
        self._driving = Driving(
            self.readings, self.outside, self._in_thread, self._stop, self.settings.each_split
        )

    # From other threads

    def start(self) -> None:
        """Begin to work; returns when the loop turns."""
        self.writer.start()
        self._thread = threading.Thread(target=self._turn, name="runner", daemon=True)
        self._thread.start()
        self._ready.wait()
        self.keeper.start()

    def wake(self) -> None:
        """Look for work now."""
        self._on_loop(self._ring.set)

    def is_alive(self) -> bool:
        """Whether the loop turned lately and can write; the supervisor is told so."""
        return time.monotonic() - self.ticked < LATE_LOOP_S and self.writer.is_alive

    def drain(self, seconds: float) -> None:
        """Begin nothing new; finish what runs or hand it back within `seconds`."""
        end = time.monotonic() + seconds
        self._on_loop(self._stop.set)
        self._on_loop(self._ring.set)
        if self._thread is not None:
            self._thread.join(timeout=seconds)
        self.keeper.closing.set()  # leases are kept up to here
        self.writer.close(max(0.5, end - time.monotonic()))
        self._leave_database(max(0.5, end - time.monotonic()))
        self.engine.dispose()

    def _leave_database(self, seconds: float) -> None:
        """Wait for the threads that may be asking; one that hangs is left to the process's end."""
        ask_no_more = threading.Thread(
            target=lambda: self._asking.shutdown(cancel_futures=True), daemon=True
        )
        ask_no_more.start()
        ask_no_more.join(timeout=seconds / 2)
        self.keeper.join(seconds / 2)
        if not ask_no_more.is_alive():
            self.claims.close()

    def _on_loop(self, act: Callable[[], object]) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended: nothing is left to tell
                self._loop.call_soon_threadsafe(act)

    # The loop

    def _turn(self) -> None:
        asyncio.run(self._work())

    async def _work(self) -> None:
        self._loop = asyncio.get_running_loop()
        ticking = asyncio.create_task(self._tick())
        self._ready.set()
        awake_until = 0.0
        while not self._stop.is_set():
            free = self.settings.runs_per_worker - len(self.active)
            self._ring.clear()
            resting = time.monotonic() > awake_until
            claimed = await self._claim(free, awake_until)
            for run in claimed:
                self._begin(run)
            if claimed:
                awake_until = time.monotonic() + AWAKE_S
            elif (resting or free <= 0) and not self._stop.is_set():
                await self._rest(BEAT_S)
        await self._finish()
        ticking.cancel()
        await self.outside.close()

    async def _claim(self, free: int, awake_until: float) -> list[Claimed]:
        more = free + max(1, self.settings.runs_per_worker // NEWCOMERS)
        try:
            if free > 0:
                return await self._in_thread(lambda: self._ask(free, awake_until))
            if more > 0:
                here = {active.claimed.organization_id for active in self.active.values()}
                return await self._in_thread(lambda: self._ask_newcomers(more, here))
            return []
        except Exception as error:
            if not is_away(error):
                log.exception("claiming failed")
            return []

    def _ask(self, free: int, awake_until: float) -> list[Claimed]:
        if time.monotonic() > awake_until:
            self.answer()  # from now on a start has to ring again; the ones before are found now
        crashpoint("worker.after_dequeue")
        hints = Hints()
        claimed = self.claims.claim(free, hints, AT_A_TIME)
        while not claimed and time.monotonic() < awake_until and not self._stop.is_set():
            time.sleep(LOOK_S)  # the rate of looking, not a wait for anything
            claimed = self.claims.claim(free, hints, AT_A_TIME)
        crashpoint("worker.after_lease")
        hints.flush(self.bell)
        return claimed

    def _ask_newcomers(self, most: int, here: set[UUID]) -> list[Claimed]:
        """Look for runs of organizations that have none here, when every place is taken."""
        self.answer()
        hints = Hints()
        claimed = self.claims.claim_newcomers(most, here, hints)
        hints.flush(self.bell)
        return claimed

    async def _rest(self, seconds: float) -> None:
        """Wait for a ring, or for the next look."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ring.wait(), jittered(seconds))

    async def _finish(self) -> None:
        """Wait for the drivers, which have heard `stop`."""
        tasks = [active.task for active in self.active.values() if active.task is not None]
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _tick(self) -> None:
        while True:
            self.ticked = time.monotonic()
            await asyncio.sleep(0.5)

    async def _in_thread(self, act: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._asking, act)

    # One run

    def _begin(self, claimed: Claimed) -> None:
        earlier = self.active.get(claimed.run_id)
        if earlier is not None and earlier.task is not None:
            earlier.task.cancel()  # it lost the run, which has come back to this very worker
        active = Active(claimed, asyncio.Event())
        if claimed.cancelling:
            active.cancel.set()
        self.active[claimed.run_id] = active
        active.task = asyncio.create_task(self._run(active), name=claimed.public)

    async def _run(self, active: Active) -> None:
        claimed = active.claimed
        journal = RunJournal(
            claimed,
            self.writer,
            sql_for(self.dialect),
            self.outside.shelf,
            self.name,
            self.settings.lease_s * 1000,
        )
        active.journal = journal
        look_before_sending.set(journal.check_held)
        try:
            await self._driving.run(active, journal)
        finally:
            if self.active.get(claimed.run_id) is active:
                del self.active[claimed.run_id]
            self._ring.set()


def make_runner(settings: Settings, bell: Bell, answer: Callable[[], None]) -> Runner:
    """Put a worker together from the settings; nothing is opened yet.

    Args:
        bell: sends hints without making a commit wait.
        answer: takes note of a ring.
    """
    engine = make_engine(settings.database_url, pool_size=4, max_overflow=8)
    shelf = results_shelf(settings.data)
    name = f"{socket.gethostname()[:20]}-{os.getpid()}-{new_id().hex[-6:]}"
    return Runner(
        settings=settings,
        engine=engine,
        claims=Claims(engine, name, settings.lease_s, QUEUE),
        readings=Readings(engine, shelf),
        writer=JournalWriter(engine, name, lambda writes: _tell(bell, writes)),
        outside=Outside(settings, make_sessions(engine), shelf, bell),
        bell=bell,
        answer=answer,
        name=name,
        dialect=engine.dialect.name,
    )


def _tell(bell: Bell, writes: list[Write]) -> None:
    """Say what a commit changed, in the rooms of its runs."""
    hints: list[Any] = []
    for write in writes:
        room = f"run:{write.public}"
        first = write.seq - len(write.events) + 1
        for seq, event in enumerate(write.events, first):
            hints.append(Tell(room, event.type, seq, event.data))
        if write.wakes:
            hints.append(Ring(QUEUE))
        if isinstance(write.ending, End) and write.events:
            room = f"runs:{public_id('org', write.organization)}"
            hints.append(Tell(room, write.events[-1].type, 0, {"run": write.public}))
    if hints:
        bell.send(hints)

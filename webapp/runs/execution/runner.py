"""One worker's runs: an asyncio loop in a thread of its own, up to RUNS_PER_WORKER at once.

The loop drives plans. A claims thread asks the database for work, the journal writer makes
commits, and a keeper thread renews the leases - only while the loop still turns, or a hung loop
would keep its runs for ever (RULINGS.md 2.1.3).
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID

from sqlalchemy import Engine

from webapp.engine.compiled import nano
from webapp.engine.driver import drive
from webapp.engine.errors import StepError
from webapp.engine.journal import (
    Batch,
    CancelRequested,
    End,
    Event,
    HandBack,
    LostLease,
    Park,
)
from webapp.engine.mailbox import Mailbox
from webapp.engine.parts import Part, read_part
from webapp.engine.plan import Limits, Plan, PlanTooNew
from webapp.files.shelf import results_shelf
from webapp.kernel.clock import boot_id, now
from webapp.kernel.crashpoints import crashpoint
from webapp.kernel.db import is_away, make_engine, make_sessions
from webapp.kernel.hints import Bell, Hints, Ring, Tell
from webapp.kernel.ids import new_id, public_id
from webapp.kernel.rawsql import sql_for
from webapp.kernel.settings import Settings
from webapp.kernel.shipped import release
from webapp.runs.execution.claims import Claimed, Claims, Held
from webapp.runs.execution.journal import RunJournal
from webapp.runs.execution.outside import Outside
from webapp.runs.execution.readings import MOST_LOSSES, Readings
from webapp.runs.execution.writer import JournalWriter
from webapp.runs.execution.writes import Write
from webapp.runs.plans import KnownPlan, known_plan, learn_plan

log = logging.getLogger(__name__)

QUEUE: Final = "runs"
BEAT_S: Final = 2.0
AWAKE_S: Final = 0.1
"""How long a worker that just claimed looks by itself before it wants to be rung again."""
LOOK_S: Final = 0.005
NEWCOMERS: Final = 8
"""One place more for each so many is kept for organizations that have nothing at work here."""
LATE_LOOP_S: Final = 5.0
_NEWER_WORKER_S: Final = 30.0
_SEEN_S: Final = 10.0

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Active:
    """A run this worker works on."""

    claimed: Claimed
    cancel: asyncio.Event
    pause: asyncio.Event = field(default_factory=asyncio.Event)
    mailbox: Mailbox = field(default_factory=Mailbox)
    task: asyncio.Task[None] | None = None


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
    _closing: threading.Event = field(default_factory=threading.Event)
    _ready: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _keeper: threading.Thread | None = None
    _slugs: dict[UUID, str] = field(default_factory=dict)
    _idle: set[tuple[UUID, int]] = field(default_factory=set)
    _asking: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(3, thread_name_prefix="claims")
    )

    # From other threads

    def start(self) -> None:
        """Begin to work; returns when the loop turns."""
        self.writer.start()
        self._thread = threading.Thread(target=self._turn, name="runner", daemon=True)
        self._thread.start()
        self._ready.wait()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._keeper.start()

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
        self._closing.set()  # leases are kept up to here
        self.writer.close(max(0.5, end - time.monotonic()))
        self._leave_database(max(0.5, end - time.monotonic()))
        self.engine.dispose()

    def _leave_database(self, seconds: float) -> None:
        """Wait for the threads that may be asking; one that hangs is left to the process's end."""
        ask_no_more = threading.Thread(
            target=lambda: self._asking.shutdown(cancel_futures=True), daemon=True
        )
        ask_no_more.start()
        for thread in (ask_no_more, self._keeper):
            if thread is not None:
                thread.join(timeout=seconds / 2)
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
        claimed = self.claims.claim(free, hints)
        while not claimed and time.monotonic() < awake_until and not self._stop.is_set():
            time.sleep(LOOK_S)  # the rate of looking, not a wait for anything
            claimed = self.claims.claim(free, hints)
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
            pause = seconds * random.uniform(0.8, 1.2)  # noqa: S311  jitter
            await asyncio.wait_for(self._ring.wait(), pause)

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
        try:
            await self._bring_on(active, journal)
        except LostLease:
            log.info("run %s went to another worker", claimed.public)
        except CancelRequested:
            log.info("run %s is to be cancelled, and this worker can't read it", claimed.public)
        except Exception as error:
            if is_away(error):
                log.warning("run %s waits for the database", claimed.public)
            else:
                log.exception("run %s is given back", claimed.public)
        finally:
            if self.active.get(claimed.run_id) is active:
                del self.active[claimed.run_id]
            self._ring.set()

    async def _bring_on(self, active: Active, journal: RunJournal) -> None:
        """Drive the run and settle it; what is raised leaves it to whoever claims it next."""
        claimed = active.claimed
        try:
            outcome = await self._drive(active, journal)
            if isinstance(outcome, HandBack):
                await journal.hand_back(outcome)
        except PlanTooNew:
            log.warning("run %s needs a newer worker", claimed.public)
            await journal.commit(Batch(park=Park("time", due_in_s=_NEWER_WORKER_S)))
        except LostLease:
            raise
        except Exception as error:
            if is_away(error):
                raise
            await self._fail(claimed, journal, error)

    async def _drive(self, active: Active, journal: RunJournal) -> Any:
        claimed = active.claimed
        known, slug = await self._plan(claimed)
        journal.may_have_children = known.starts_runs
        records, losses, part = [], 0, None
        if claimed.part is not None:
            part = await self._in_thread(lambda: self._part(claimed, known.plan))
            claimed = replace(claimed, inputs=dict(part.seen.get("start") or {}))
        if claimed.has_journal:
            active.mailbox.put(await self._in_thread(lambda: self.readings.signals(claimed)))
            records = await self._in_thread(lambda: self.readings.records(claimed))
            losses = await self._in_thread(lambda: self.readings.losses(claimed))
        return await drive(
            known.plan,
            claimed.inputs,
            await self._facts(claimed, known.number, slug),
            records,
            journal,
            self.outside.ports(claimed),
            _limits(claimed, known.plan, part),
            spent_s=claimed.ran_s,
            stop=self._stop,
            cancel=active.cancel,
            pause=active.pause,
            refused=_lost_too_often(losses) if losses >= MOST_LOSSES else None,
            mailbox=active.mailbox,
            part=part,
            each_split=self.settings.each_split,
        )

    def _part(self, claimed: Claimed, plan: Plan) -> Part:
        """Fetch what a run does that is a part of another."""
        about, shelf = claimed.part or {}, self.outside.shelf
        return read_part(about, shelf.get(about["items"]), shelf.get(about["seen"]), plan.limits)

    async def _facts(self, claimed: Claimed, number: int | None, slug: str) -> dict[str, Any]:
        """Return the run's facts; only those of files have to be asked for."""
        if not any(isinstance(value, dict) for value in claimed.inputs.values()):
            return self.outside.facts(claimed, number, slug)
        return await self._in_thread(lambda: self.outside.facts(claimed, number, slug))

    async def _plan(self, claimed: Claimed) -> tuple[KnownPlan, str]:
        """Return the run's version and its organization's slug, asked once a worker."""
        known = known_plan(claimed.version_id)
        slug = self._slugs.get(claimed.organization_id)
        if known is not None and slug is not None:
            return known, slug
        document, number, found = await self._in_thread(lambda: self.readings.plan(claimed))
        slug = self._slugs[claimed.organization_id] = found
        return learn_plan(claimed.version_id, claimed.workflow_id, number, document), slug

    async def _fail(self, claimed: Claimed, journal: RunJournal, cause: Exception) -> None:
        """End a run that met a bug of ours, with a reference that the log explains."""
        ref = public_id("err", new_id())[-8:]
        log.error("run %s failed on our side, %s", claimed.public, ref, exc_info=cause)
        error = {
            "code": "E-OURS",
            "text": f"Something went wrong on our side. The code {ref} stands in the log.",
            "ref": ref,
        }
        await journal.commit(
            Batch(
                events=[Event("run.failed", {"code": "E-OURS"})],
                end=End("failed", error=error),
            )
        )

    # The keeper

    def _keep(self) -> None:
        """Renew leases, hear of cancels, take back what others lost, say that we live."""
        seen = 0.0
        started_at = now()
        pause = min(BEAT_S, self.settings.lease_s / 4)
        while not self._closing.wait(pause * random.uniform(0.8, 1.2)):  # noqa: S311  jitter
            try:
                if self.is_alive():
                    crashpoint("worker.in_heartbeat")
                    self._renew()
                hints = Hints()
                if self.claims.take_back(hints):
                    self.wake()
                hints.flush(self.bell)
                if time.monotonic() - seen > _SEEN_S:
                    seen = time.monotonic()
                    self.claims.see(self._mark(started_at))
            except Exception as error:
                if not is_away(error):
                    log.exception("keeping failed")

    def _renew(self) -> None:
        before = dict(self.active)
        held = self.claims.beat()
        self.claims.streamed(self.outside.take_spoken())
        for run_id, active in before.items():
            found = held.get(run_id)
            if found is None or found.fence != active.claimed.fence:
                if active.task is not None and not active.task.done():
                    log.info("run %s is lost", active.claimed.public)
                    self._on_loop(active.task.cancel)
            elif found.cancelling:
                crashpoint("worker.in_cancel")
                self._on_loop(active.cancel.set)
            elif found.pausing:
                self._on_loop(active.pause.set)
        self._release_idle(held)
        if any(active.mailbox.wanted for active in before.values()):
            for run, arrivals in self.readings.signals_held(self.name).items():
                if run in before:
                    self._on_loop(partial(before[run].mailbox.put, arrivals))

    def _release_idle(self, held: dict[UUID, Held]) -> None:
        """Give back runs that are ours by the database and that nobody here works on.

        They are released at the second sight, since a claim may be on its way to the loop.
        """
        idle = {(run, found.fence) for run, found in held.items() if run not in self.active}
        hints = Hints()
        for run, fence in idle & self._idle:
            self.claims.release(run, fence, hints)
        self._idle = idle
        hints.flush(self.bell)

    def _mark(self, started_at: Any) -> dict[str, Any]:
        return {
            "id": self.name,
            "host": socket.gethostname()[:120],
            "pid": os.getpid(),
            "boot": boot_id()[:40],
            "version": release()[:20],
            "started_at": started_at,
            "seen_at": now(),
            "running": len(self.active),
        }


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


def _limits(claimed: Claimed, plan: Plan, part: Part | None) -> Limits:
    """Return the limits of a run: its plan's, or less by those around the step that started it."""
    limits = plan.limits if part is None else part.limits
    own, handed = nano(limits.cost_usd), claimed.limit_nano
    if handed is None or (own is not None and own <= handed):
        return limits
    return limits.model_copy(update={"cost_usd": f"{Decimal(handed).scaleb(-9):f}"})


def _lost_too_often(losses: int) -> StepError:
    text = f"{losses} workers stopped one after the other while they worked on this run."
    return StepError("E-RUN-LOST", text, proven=True, retryable=False, facts={"count": losses})


def _tell(bell: Bell, writes: list[Write]) -> None:
    """Say what a commit changed, in the rooms of its runs."""
    hints: list[Any] = []
    for write in writes:
        run = public_id("run", write.run)
        first = write.seq - len(write.events) + 1
        for place, event in enumerate(write.events):
            hints.append(Tell(f"run:{run}", event.type, first + place, event.data))
        if write.wakes:
            hints.append(Ring(QUEUE))
        if isinstance(write.ending, End) and write.events:
            room = f"runs:{public_id('org', write.organization)}"
            hints.append(Tell(room, write.events[-1].type, 0, {"run": run}))
    if hints:
        bell.send(hints)

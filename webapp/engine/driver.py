"""Runs a plan: does what the scheduler says, and writes down what happened.

One loop per run. Each turn takes all outcomes that have come in, asks the scheduler what follows,
settles what needs no outside at once, makes one durable commit of it all ("finished N, started
N+1"), and only then starts what was written as an intent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from webapp.engine import waiting
from webapp.engine.allowance import run_too_large, too_long
from webapp.engine.attempts import compute
from webapp.engine.commands import (
    Cancel,
    Command,
    Due,
    Failed,
    Finish,
    Outcome,
    RetryLater,
    Settle,
    Start,
    Stopped,
    Succeeded,
    Wait,
    Waits,
)
from webapp.engine.desk import Desk
from webapp.engine.errors import StepError
from webapp.engine.flights import Flights
from webapp.engine.journal import End, HandBack, Park, Record, idem_key
from webapp.engine.mailbox import Mailbox
from webapp.engine.moments import now_values
from webapp.engine.orders import Orders
from webapp.engine.parts import Part
from webapp.engine.plan import Limits, Plan
from webapp.engine.ports import Journal, Ports
from webapp.engine.recovery import held_s
from webapp.engine.scheduler import Scheduler
from webapp.engine.timers import Timers

QUICK = 32
"""Steps without intent in one commit."""
SLICE_S = 0.25
"""After so long the loop turns, so that other runs, heartbeats and cancels are heard."""
SHORT_S = 1.0
"""A shorter wait is waited here; for a longer one the lease is given back."""


async def drive(
    plan: Plan,
    inputs: Mapping[str, Any],
    facts: Mapping[str, Any],
    records: Iterable[Record],
    journal: Journal,
    ports: Ports,
    limits: Limits | None = None,
    *,
    spent_s: float = 0.0,
    stop: asyncio.Event | None = None,
    cancel: asyncio.Event | None = None,
    pause: asyncio.Event | None = None,
    grace_s: float = 8.0,
    refused: StepError | None = None,
    mailbox: Mailbox | None = None,
    part: Part | None = None,
    each_split: int = 0,
) -> End | Park | HandBack:
    """Run `plan` from where `records` leave it until it ends, waits, or is handed back.

    What is returned has been committed already, except a HandBack, which the caller writes.

    Args:
        plan: a live plan, best one that is kept between runs: it is compiled once.
        inputs: by name, complete with defaults.
        facts: `run` (with `id`), `zone`; handed to values, tools and providers.
        records: rows of earlier executions of this run; see `journal.Record`.
        journal: where batches go.
        ports: everything outside.
        limits: instead of the plan's.
        spent_s: running time of earlier executions, of `limits.seconds`.
        stop: set when the worker is to go: nothing new is started, and what runs has `grace_s`.
        cancel: set when the run is to be cancelled.
        pause: set when the run is to pause: nothing new is started, and what runs may finish.
        grace_s: see `stop`.
        refused: why the run is to fail before anything begins.
        mailbox: what has come and comes from outside, to be filled from this loop's thread.
        part: what the run does instead of the whole plan; it brings its own limits.
        each_split: longer lists are done in parts of so many items; 0: none is.

    Raises:
        LostLease: another worker owns the run. Everything was stopped, nothing written.
        asyncio.CancelledError: likewise.
    """
    found = list(records)
    scheduled = partial(Scheduler, plan, inputs, facts, found, limits, part, each_split)
    driver = Driver(scheduled, facts, found, journal, ports, mailbox)
    driver.orders.cancel = cancel is not None and cancel.is_set()
    driver.orders.stopping = stop is not None and stop.is_set()
    driver.left_s = driver.scheduler.limits.seconds - spent_s
    if refused is not None:
        driver.todo.extend(driver.scheduler.fail(refused))
    return await driver.run(stop, cancel, pause, grace_s)


class Driver:
    """One run at work: hears what comes in, does what the scheduler says, and sees when to rest."""

    def __init__(
        self,
        make_scheduler: Callable[[], Scheduler],
        facts: Mapping[str, Any],
        records: list[Record],
        journal: Journal,
        ports: Ports,
        mailbox: Mailbox | None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.facts = facts
        self.run_id = str(facts["run"]["id"])
        self.rehearses = bool(facts["run"].get("rehearsal"))
        self.ports = ports
        self.orders = Orders()
        # First, since the scheduler counts what the ledger has of the rows.
        self.desk = Desk(records, journal, self.orders, ports.crash, self.wake)
        self.scheduler = make_scheduler()
        self.timers = Timers(self.loop, ports.clock, self.wake)
        self.mailbox = mailbox or Mailbox()
        self.mailbox.forget_taken(records)
        self.mailbox.on_arrival(self.wake)
        self.flights = Flights(ports, facts, self.desk, self.wake)
        self.todo: deque[Command] = deque()
        self.launching: dict[str, tuple[Start, Record]] = {}
        """Intents of the next commit."""
        self.overfull = False
        self.left_s = float(self.scheduler.limits.seconds)
        self.end: End | None = None
        self.waiter: asyncio.Future[None] | None = None

    async def run(
        self,
        stop: asyncio.Event | None,
        cancel: asyncio.Event | None,
        pause: asyncio.Event | None,
        grace_s: float,
    ) -> End | Park | HandBack:
        self.orders.watch(stop, self.orders.stop, partial(self._hurry, grace_s), self.wake)
        self.orders.watch(cancel, self.orders.end, self.wake)
        self.orders.watch(pause, self.orders.pause, self.wake)
        try:
            self.timers.limit_run(self.left_s)
            self._tick()  # what ends the run is told before anything begins
            self.todo.extend(self.scheduler.begin())
            return await self._loop()
        finally:
            self.timers.close()
            self.orders.close()
            await self.flights.close()

    async def _loop(self) -> End | Park | HandBack:
        while True:
            await self._look_beside()
            self._work_off()
            if self.todo and self.desk.is_empty:
                await asyncio.sleep(0)  # no commit lets others have their turn
            await self._commit()
            if self.end is not None:
                return self.end
            if not self._has_news:
                verdict = self._rest()
                if verdict is None:
                    await self._sleep()
                elif await self._settle(verdict) is not None:
                    return verdict
            self._tick()

    # What has come in

    def _tick(self) -> None:
        """Hear everything that has come in since the last turn."""
        if self.orders.cancel and not self.orders.cancelling:
            self.orders.cancelling = True
            self.ports.crash("worker.in_cancel")
            self.todo.extend(self.scheduler.cancel())
        self.scheduler.set_now(now_values(self.ports.clock.now(), self.facts.get("zone")))
        for path, outcome in self.flights.fetch():
            self._land(path, outcome)
        if self.mailbox.fresh:
            self.mailbox.fresh = False
            self._hear()
        for path in self.timers.due():
            self._due(path)
        if self.timers.run_is_over and not self.scheduler.ended:
            self.timers.run_is_over = False
            self.todo.extend(self.scheduler.fail(too_long(self.scheduler.limits.seconds)))

    def _land(self, path: str, outcome: Outcome) -> None:
        self.desk.note_landing()
        self.desk.stuck.discard(path)
        if isinstance(outcome, Stopped) and self.orders.stopping and not self.orders.cancelling:
            return  # the row stays an intent, for the worker that comes next
        if isinstance(outcome, Succeeded):
            self.scheduler.allowance.hold(outcome.result)
        self._tell(path, outcome)

    def _due(self, path: str) -> None:
        record = self.timers.take_wait(path)
        if record is None or held_s(record) is not None:
            outcome: Outcome = Due()
        else:
            outcome = waiting.late(record, str(self.scheduler.now["time"]))
        self.todo.extend(self.scheduler.take(path, outcome))

    def _hear(self) -> None:
        """Give what has come from outside to the steps that wait for it."""
        for path, (kind, key) in self.timers.awaited():
            arrival = self.mailbox.take(kind, key)
            record = self.timers.take_wait(path) if arrival is not None else None
            if arrival is not None and record is not None:
                self.desk.note_landing()
                self._tell(path, waiting.heard(record, arrival))
        self.mailbox.wanted = bool(self.timers.awaited())

    # What the scheduler says

    def _work_off(self) -> None:
        """Do the scheduler's commands; stop when the next commit is big enough."""
        until = self.loop.time() + SLICE_S
        while self.todo and self.desk.quick < QUICK and self.loop.time() < until:
            if self._must_look:
                return
            command = self.todo.popleft()
            match command:
                case Settle(record):
                    self.desk.write(record)
                case Start():
                    if not self.orders.stopping:
                        self._start(command)
                case Cancel(path):
                    self._stop_path(path)
                case RetryLater(path, after_s, pause):
                    self.timers.set(path, after_s, pause=pause)
                case Wait(path, record):
                    self.timers.wait(path, record)
                    self.mailbox.fresh = True  # what it waits for may be there already
                case Finish(end):
                    self.end = end
                    self.todo.clear()

    def _start(self, start: Start) -> None:
        try:
            if not start.step.instant:
                self._intend(start)
                return
            outcome = self._at_once(start)
        except StepError as error:
            error.proven, error.retryable = True, False  # nothing was sent, and nothing changes
            outcome = Failed(error)
        self._tell(start.path, outcome)

    def _at_once(self, start: Start) -> Outcome:
        """Do a step that needs nothing from outside.

        Raises:
            StepError: it failed.
        """
        if start.step.compute is not None:
            if start.step.kind.prepare is not None:
                self.desk.keep_input(start.path, compute(start, start.step.kind.prepare))
            return Succeeded(compute(start, start.step.compute))
        assert start.step.kind.waits is not None
        waits = compute(start, start.step.kind.waits)
        if self.rehearses:
            return waiting.rehearsed(start, waits, str(self.scheduler.now["time"]))
        return Waits(waits)

    def _intend(self, start: Start) -> None:
        """Write what will be done, with the bytes it will be done with.

        Raises:
            StepError: the settings can't be made into a request.
        """
        step, found = start.step, start.found
        earlier = self.desk.intent(start.path) or found
        request = earlier.request if earlier is not None else None
        if request is None:
            assert step.kind.prepare is not None
            request = compute(start, step.kind.prepare)
        key = earlier.idem_key if earlier is not None and earlier.idem_key else ""
        record = Record(
            start.path, start.attempt, step.id, step.kind_name, "intent", step.effect,
            key or idem_key(self.run_id, start.path), request,
        )  # fmt: skip
        resumed = found is not None and found.state in {"intent", "waiting"}
        self.desk.intend(record, resumed=resumed)
        self.launching[start.path] = (start, record)

    def _tell(self, path: str, outcome: Outcome) -> None:
        # Behind what is still to be done: the scheduler's commands hold in their order only.
        self.todo.extend(self.scheduler.take(path, outcome))
        if self.scheduler.allowance.is_used_up and not (self.overfull or self.scheduler.ended):
            self.overfull = True
            self.todo.extend(self.scheduler.fail(run_too_large()))

    def _stop_path(self, path: str) -> None:
        self.timers.drop(path)
        intent = self.desk.intent(path)
        if self.launching.pop(path, None) is not None:
            self._tell(path, Stopped(begun=False))
        elif intent is not None:
            self.flights.cancel(path, intent.effect)

    @property
    def _must_look(self) -> bool:
        return self.scheduler.must_look and self.ports.runs is not None

    async def _look_beside(self) -> None:
        """Hear how far the limit of steps is used up by parts of the run that others work on."""
        if self._must_look:
            assert self.ports.runs is not None
            part = self.scheduler.part
            found = await self.ports.runs.steps_beside(part.open_parts if part else ())
            self.scheduler.look(self.scheduler.beside if found is None else found)

    # The journal

    async def _commit(self) -> None:
        """Make everything written so far durable, then start what was intended."""
        if self.orders.stopping:
            self._unlaunch()
        if self.desk.is_empty and self.end is None:
            return
        if not await self.desk.commit(self.end, begins=bool(self.launching)):
            return
        if self.launching and not self.orders.cancel:
            self.ports.crash("worker.after_intent_before_effect")
            for path, (start, intent) in self.launching.items():
                self.flights.launch(start, intent, partial(self.scheduler.found.calls, path))
            self.launching.clear()

    def _unlaunch(self) -> None:
        """Leave what was not written as an intent to the worker that comes next."""
        for _, record in self.launching.values():
            self.desk.drop(record)
        self.launching.clear()

    async def _settle(self, verdict: End | Park | HandBack) -> End | Park | HandBack | None:
        """Make the verdict durable; None: the run is to be cancelled or to pause instead."""
        if isinstance(verdict, End):
            self.end = verdict
            await self._commit()
        elif isinstance(verdict, Park):
            verdict = replace(verdict, heard=self.mailbox.heard)
            return verdict if await self.desk.commit(park=verdict) else None
        return verdict

    # Rest

    @property
    def _has_news(self) -> bool:
        waits_for_cancel = self.orders.cancel and not self.orders.cancelling
        refused = self.orders.pausing and not self.desk.is_empty  # what was done is to be kept
        return bool(self.todo or self.flights.has_landed or self.desk.is_awaited) or (
            self.timers.ready or waits_for_cancel or refused or self.mailbox.fresh
        )

    def _rest(self) -> End | Park | HandBack | None:
        """Return how to leave the run when nothing is at work; None: stay."""
        if self.orders.stopping and self.flights.only(self.desk.stuck):
            return HandBack("paused" if self.orders.pausing else "stopping")
        if self.flights:
            return None
        soon = self.timers.next_s()
        if soon is not None and soon <= SHORT_S:
            return None
        park = self.timers.park()
        if park is not None:
            return park
        if not self.scheduler.unknown:
            raise RuntimeError("nothing is open, and the run has not ended")
        return End("needs_review", problems=self.scheduler.problems)

    async def _sleep(self) -> None:
        self.timers.arm()
        self.waiter = self.loop.create_future()
        await self.waiter
        self.waiter = None

    def wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def _hurry(self, grace_s: float) -> None:
        self.loop.call_later(grace_s, self.flights.cancel_all)

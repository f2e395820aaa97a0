"""Runs a plan: does what the scheduler says, and writes down what happened.

One loop per run. Each turn takes all outcomes that have come in, asks the scheduler what follows,
settles what needs no outside at once, makes one durable commit of it all ("finished N, started
N+1"), and only then starts what was written as an intent.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from webapp.engine.allowance import run_too_large
from webapp.engine.attempts import compute, span
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
from webapp.engine.errors import StepError
from webapp.engine.flights import Flights
from webapp.engine.journal import (
    CancelRequested,
    End,
    HandBack,
    Park,
    PauseRequested,
    Record,
    idem_key,
)
from webapp.engine.ledger import Entry, catch_up
from webapp.engine.mailbox import Arrival, Mailbox, frozen_of
from webapp.engine.moments import now_values
from webapp.engine.pen import Pen
from webapp.engine.plan import Limits, Plan
from webapp.engine.ports import Journal, Ports, WaitFor
from webapp.engine.recovery import CALL, held_s
from webapp.engine.scheduler import Scheduler
from webapp.engine.steps import KINDS
from webapp.engine.timers import Timers

Waiting = tuple[Record | Entry, asyncio.Future[None]]

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

    Raises:
        LostLease: another worker owns the run. Everything was stopped, nothing written.
        asyncio.CancelledError: likewise.
    """
    driver = Driver(plan, inputs, facts, list(records), journal, ports, limits, mailbox)
    driver.cancel_asked = cancel is not None and cancel.is_set()
    driver.stopping = stop is not None and stop.is_set()
    driver.left_s = driver.scheduler.limits.seconds - spent_s
    if refused is not None:
        driver.todo.extend(driver.scheduler.fail(refused))
    return await driver.run(stop, cancel, pause, grace_s)


class Driver:
    def __init__(
        self,
        plan: Plan,
        inputs: Mapping[str, Any],
        facts: Mapping[str, Any],
        records: list[Record],
        journal: Journal,
        ports: Ports,
        limits: Limits | None,
        mailbox: Mailbox | None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.facts = facts
        self.run_id = str(facts["run"]["id"])
        self.rehearses = bool(facts["run"].get("rehearsal"))
        self.journal = journal
        self.ports = ports
        interrupted = catch_up(records)  # first: the scheduler counts what they cost
        self.scheduler = Scheduler(plan, inputs, facts, records, limits)
        self.pen = Pen(records, self.loop.time())
        self.pen.entries += interrupted
        self.unpriced: set[str] = set()
        self.calls_of: Counter[tuple[str, int]] = Counter()
        """Calls of models by path and attempt, as the ledger numbers them."""
        for record in records:
            for entry in record.entries:
                place = (entry.path, entry.attempt)
                self.calls_of[place] = max(self.calls_of[place], entry.n)
        self.timers = Timers(self.loop, ports.clock, self.wake)
        self.mailbox = mailbox or Mailbox()
        self.mailbox.forget_taken(records)
        self.mailbox.on_arrival(self.wake)
        self.todo: deque[Command] = deque()
        self.launching: dict[str, tuple[Start, Record]] = {}
        """Intents of the next commit."""
        self.requests: dict[str, Record] = {}
        """Intents by path, with their frozen bytes, until the path is settled."""
        self.went_in: dict[str, bytes] = {}
        """What steps without intent went by, for the people who look."""
        self.flights = Flights(ports, facts, self, self.wake)
        self.commits: list[Waiting] = []
        """Rows of tool calls and reservations that wait for the next commit."""
        self.stuck: set[str] = set()
        """Agents that can't go on because the worker is to go."""
        self.overfull = False
        self.unrecorded = False
        """An effect has come back that no commit tells of yet."""
        self.left_s = float(self.scheduler.limits.seconds)
        self.end: End | None = None
        self.stopping = self.pausing = False
        self.cancel_asked = False
        self.cancelling = False
        self.waiter: asyncio.Future[None] | None = None

    async def run(
        self,
        stop: asyncio.Event | None,
        cancel: asyncio.Event | None,
        pause: asyncio.Event | None,
        grace_s: float,
    ) -> End | Park | HandBack:
        told = (
            (stop, partial(self._stop, grace_s)),
            (cancel, self._ask_cancel),
            (pause, self._rest_soon),
        )
        watchers = [
            self.loop.create_task(self._watch(event, act))
            for event, act in told
            if event is not None
        ]
        try:
            self.timers.limit_run(self.left_s)
            self._tick()  # what ends the run is told before anything begins
            self.todo.extend(self.scheduler.begin())
            return await self._loop()
        finally:
            self.timers.close()
            for watcher in watchers:
                watcher.cancel()
            await self.flights.close()

    async def _loop(self) -> End | Park | HandBack:
        while True:
            self._work_off()
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

    # What the scheduler says

    def _tick(self) -> None:
        """Hear everything that has come in since the last turn."""
        if self.cancel_asked and not self.cancelling:
            self.cancelling = True
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

    def _work_off(self) -> None:
        """Do the scheduler's commands; stop when the next commit is big enough."""
        until = self.loop.time() + SLICE_S
        while self.todo and self.pen.quick < QUICK and self.loop.time() < until:
            command = self.todo.popleft()
            match command:
                case Settle(record):
                    self._write(record)
                case Start():
                    if not self.stopping:
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

    def _write(self, record: Record) -> None:
        request = self.requests.get(record.path)
        if request is not None:
            record.idem_key = request.idem_key
            if record.ends_path:
                del self.requests[record.path]
        record.request = self.went_in.pop(record.path, record.request)
        self.pen.write(record, self.loop.time())

    def _start(self, start: Start) -> None:
        try:
            if start.step.compute is not None:
                if start.step.kind.prepare is not None:
                    self.went_in[start.path] = compute(start, start.step.kind.prepare)
                result = compute(start, start.step.compute)
                outcome: Outcome = Succeeded(result)
            elif start.step.instant:
                assert start.step.kind.waits is not None
                waits = compute(start, start.step.kind.waits)
                rehearsed = self.rehearses
                outcome = Succeeded(self._unwaited(start, waits)) if rehearsed else Waits(waits)
            else:
                self._intend(start)
                return
        except StepError as error:
            error.proven, error.retryable = True, False  # nothing was sent, and nothing changes
            outcome = Failed(error)
        self._tell(start.path, outcome)

    def _unwaited(self, start: Start, waits: WaitFor) -> dict[str, Any]:
        """What a step that waits gives in a rehearsal, which asks nobody and waits for nothing."""
        rehearse = start.step.kind.rehearsed
        given = rehearse(waits.frozen) if rehearse is not None else {}
        return {"rehearsal": True, "at": str(self.scheduler.now["time"]), **given}

    def _tell(self, path: str, outcome: Outcome) -> None:
        # Behind what is still to be done: the scheduler's commands hold in their order only.
        self.todo.extend(self.scheduler.take(path, outcome))
        if self.scheduler.allowance.is_used_up and not (self.overfull or self.scheduler.ended):
            self.overfull = True
            self.todo.extend(self.scheduler.fail(run_too_large()))

    def _intend(self, start: Start) -> None:
        """Write what will be done, with the bytes it will be done with.

        Raises:
            StepError: the settings can't be made into a request.
        """
        step, found = start.step, start.found
        earlier = self.requests.get(start.path) or found
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
        self.requests[start.path] = record
        self.pen.write(record, self.loop.time(), resumed=resumed)
        self.launching[start.path] = (start, record)

    def _stop_path(self, path: str) -> None:
        waiting = self.timers.drop(path)
        if waiting is not None and self.ports.runs is not None:
            child = frozen_of(waiting).get("child")
            if child is not None:
                self.ports.runs.cancel(str(child))
        if self.launching.pop(path, None) is not None:
            self._tell(path, Stopped(begun=False))
        elif path in self.requests:
            self.flights.cancel(path, self.requests[path].effect)

    # What has come in

    def _land(self, path: str, outcome: Outcome) -> None:
        self.unrecorded = True
        self.stuck.discard(path)
        if isinstance(outcome, Stopped) and self.stopping and not self.cancelling:
            return  # the row stays an intent, for the worker that comes next
        if isinstance(outcome, Succeeded):
            self.scheduler.allowance.hold(outcome.result)
        self._tell(path, outcome)

    def _due(self, path: str) -> None:
        record = self.timers.take_wait(path)
        now = str(self.scheduler.now["time"])
        if record is None or held_s(record) is not None:
            outcome: Outcome = Due()
        else:
            outcome = waited(record, now)
        self.todo.extend(self.scheduler.take(path, outcome))

    def _hear(self) -> None:
        """Give what has come from outside to the steps that wait for it."""
        for path, (kind, key) in self.timers.awaited():
            arrival = self.mailbox.take(kind, key)
            record = self.timers.take_wait(path) if arrival is not None else None
            if arrival is not None and record is not None:
                self.unrecorded = True
                self.todo.extend(self.scheduler.take(path, heard(record, arrival)))
        self.mailbox.wanted = bool(self.timers.awaited())

    # Tool calls of agents

    async def commit_call(self, path: str, record: Record, phase: str, tool: str) -> None:
        """Write the row of a tool call and return when it is durable."""
        durable: asyncio.Future[None] = self.loop.create_future()
        if record.state == "intent" and (self.stopping or self.cancel_asked):
            self.stuck.add(path)
            self.wake()
            await durable  # never: this attempt is about to be cancelled
        self.leave_call(record)
        self.pen.say_tool(record, phase, tool)
        self.commits.append((record, durable))
        self.wake()
        await durable

    def leave_call(self, record: Record) -> None:
        """Write the row of a tool call without waiting for it."""
        self.pen.put_call(record)

    # Calls of models

    def next_call(self, path: str, attempt: int) -> int:
        self.calls_of[path, attempt] += 1
        return self.calls_of[path, attempt]

    async def commit_entry(self, entry: Entry) -> None:
        """Write a reservation and return when it is durable."""
        durable: asyncio.Future[None] = self.loop.create_future()
        if self.stopping or self.cancel_asked:
            self.stuck.add(entry.path)
            self.wake()
            await durable  # never: this attempt is about to be cancelled
        self.leave_entry(entry)
        self.commits.append((entry, durable))
        try:
            await durable
        except BaseException:
            if not self.pen.drop_entry(entry) and (
                self.pen.is_on_its_way(entry) or not durable.cancelled()
            ):
                self.leave_entry(entry.released())
            raise

    def leave_entry(self, entry: Entry) -> None:
        """Write an entry of the ledger with the next commit."""
        self.pen.entries.append(entry)
        self.wake()

    # The journal

    async def _commit(self) -> None:
        """Make everything written so far durable, then start what was intended."""
        if self.stopping:
            self._unlaunch()
        if self.pen.is_empty and self.end is None:
            return
        self._crash_before()
        calls, self.commits = self.commits, []
        batch = self.pen.batch(self.loop.time(), self.end)
        try:
            await self.journal.commit(batch)
        except CancelRequested:
            self._refused(calls)
            return
        except PauseRequested:
            self._held(calls)
            return
        for _, durable in calls:
            if not durable.done():
                durable.set_result(None)
        self.ports.crash(
            "worker.after_record_before_next"
            if self.end is None
            else "worker.after_terminal_before_ack"
        )
        if self.launching and not self.cancel_asked:
            self.ports.crash("worker.after_intent_before_effect")
            for path, (start, intent) in self.launching.items():
                self.flights.launch(start, intent, partial(self.scheduler.found.calls, path))
            self.launching.clear()

    def _crash_before(self) -> None:
        if self.unrecorded:
            self.unrecorded = False
            self.ports.crash("worker.after_effect_before_record")
        if self.launching:
            self.ports.crash("worker.before_intent")
        if self.end is not None:
            self.ports.crash("worker.before_terminal")

    def _refused(self, calls: list[Waiting]) -> None:
        """The run is to be cancelled: keep what was done, begin nothing."""
        self._keep_done(calls)
        self.cancel_asked = True

    def _held(self, calls: list[Waiting]) -> None:
        """The run is to pause: keep what was done, let what is at work finish."""
        self.stuck |= self._keep_done(calls)
        self._rest_soon()

    def _keep_done(self, calls: list[Waiting]) -> set[str]:
        """Take a refused batch back; return the agents that don't go on."""
        self.pen.take_back()
        stuck = set()
        for record, durable in calls:
            if isinstance(record, Entry):
                self.pen.drop_entry(record)
                stuck.add(record.path)
            elif record.state == "intent":
                self.pen.drop(record)  # its attempt is cancelled and never gets an answer
                stuck.add(record.path[: record.path.rindex(CALL)])
            else:
                self.commits.append((record, durable))
        return stuck

    def _unlaunch(self) -> None:
        """The worker is to go: leave what was not written as an intent to the next one."""
        for _, record in self.launching.values():
            self.pen.drop(record)
        self.launching.clear()

    async def _settle(self, verdict: End | Park | HandBack) -> End | Park | HandBack | None:
        """Make the verdict durable; None: the run is to be cancelled instead."""
        if isinstance(verdict, End):
            self.end = verdict
            await self._commit()
        elif isinstance(verdict, Park):
            try:
                verdict = replace(verdict, heard=self.mailbox.heard)
                await self.journal.commit(self.pen.batch(self.loop.time(), park=verdict))
            except CancelRequested:
                self._refused([])
                return None
            except PauseRequested:
                self._held([])
                return None
        return verdict

    # Rest

    @property
    def _has_news(self) -> bool:
        waits_for_cancel = self.cancel_asked and not self.cancelling
        refused = self.pausing and not self.pen.is_empty  # what was done is still to be kept
        return bool(self.todo or self.flights.has_landed or self.commits) or (
            self.timers.ready or waits_for_cancel or refused or self.mailbox.fresh
        )

    def _rest(self) -> End | Park | HandBack | None:
        """Return how to leave the run when nothing is at work; None: stay."""
        if self.stopping and self.flights.only(self.stuck):
            return HandBack("paused" if self.pausing else "stopping")
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

    async def _watch(self, event: asyncio.Event, act: Callable[[], None]) -> None:
        await event.wait()
        act()
        self.wake()

    def _stop(self, grace_s: float) -> None:
        self.stopping = True
        self.loop.call_later(grace_s, self.flights.cancel_all)

    def _ask_cancel(self) -> None:
        self.cancel_asked = True

    def _rest_soon(self) -> None:
        self.stopping = self.pausing = True


def too_long(seconds: int) -> StepError:
    limit = span(seconds)
    text = f"This run worked longer than {limit}, so we stopped it."
    return StepError("E-RUN-TIME", text, proven=True, facts={"limit": limit})


def waited(record: Record, now: str) -> Outcome:
    """What a wait has come to when its time is over."""
    late = KINDS[record.kind].late
    if late is None:
        return Succeeded({"at": now})
    return _outcome(lambda: late(frozen_of(record), now))


def heard(record: Record, arrival: Arrival) -> Outcome:
    """What a wait has come to when what it waited for is there."""
    hear = KINDS[record.kind].heard
    assert hear is not None
    return _outcome(lambda: hear(frozen_of(record), arrival.data))


def _outcome(act: Callable[[], dict[str, Any]]) -> Outcome:
    try:
        return Succeeded(act())
    except StepError as error:
        error.proven, error.retryable = True, False  # it waited; nothing was sent
        return Failed(error)

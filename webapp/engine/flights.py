"""The attempts that are at work right now."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Protocol

from webapp.engine.attempts import attempt, spent
from webapp.engine.calls import CallHost, Calls
from webapp.engine.commands import Outcome, Start, Stopped, Succeeded
from webapp.engine.journal import Record
from webapp.engine.ports import Ports, Work
from webapp.engine.purse import Purse, PurseHost
from webapp.engine.recovery import any_failed

GRACE_S = 5.0
"""How long an effect that must not be in doubt may still finish when it isn't wanted any more."""


class FlightHost(CallHost, PurseHost, Protocol):
    """The desk."""


class Flights:
    """Attempts by path, from their start until their outcome is fetched.

    Args:
        ports: everything outside.
        facts: what tools and providers may know; `run` has the run's `id`.
        host: commits the rows of agents' tool calls, and what goes into the ledger.
        wake: called when an outcome has come.
    """

    def __init__(
        self, ports: Ports, facts: Mapping[str, Any], host: FlightHost, wake: Callable[[], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._ports = ports
        self._facts = facts
        self._run_id = str(facts["run"]["id"])
        self._host = host
        self._wake = wake
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._works: dict[str, Work] = {}
        self._landed: deque[tuple[str, Outcome | BaseException]] = deque()
        self._calls: dict[str, list[Record]] = {}

    def launch(self, start: Start, intent: Record, earlier: Callable[[], list[Record]]) -> None:
        """Begin an attempt whose intent is durable.

        Args:
            start: the attempt.
            intent: its row.
            earlier: an agent's tool calls of an earlier execution.
        """
        path, limit_s = start.path, start.step.timeout_s
        deadline = None if limit_s is None else self._ports.clock.monotonic() + limit_s
        work = Work(
            self._run_id, path, start.attempt, intent.idem_key, deadline,
            self._ports, start.meter, self._facts,
        )  # fmt: skip
        if start.step.kind_name == "agent":
            self._give_purse(work, start.found)
            work.caller = Calls(self._host, start, work, self._calls.pop(path, []) or earlier())
        assert intent.request is not None
        task = self._loop.create_task(self._fly(start, intent.request, work))
        self._tasks[path] = task
        self._works[path] = work
        task.add_done_callback(partial(self._give_up, path))

    def _give_purse(self, work: Work, found: Record | None) -> None:
        """Let the attempt pay, and know what it has spent before its worker was lost."""
        work.purse = Purse(self._host, work)
        if found is None or found.attempt != work.attempt:
            return
        work.cost_nano = found.cost_nano
        work.tokens_in, work.tokens_out = found.tokens_in, found.tokens_out

    async def _fly(self, start: Start, request: bytes, work: Work) -> None:
        self._land(start.path, await attempt(start, request, work))

    def __bool__(self) -> bool:
        return bool(self._tasks)

    def only(self, paths: set[str]) -> bool:
        """Whether nothing but what is at these paths is at work."""
        return self._tasks.keys() <= paths

    @property
    def has_landed(self) -> bool:
        return bool(self._landed)

    def fetch(self) -> Iterator[tuple[str, Outcome]]:
        """Yield and forget the outcomes that have come in."""
        while self._landed:
            path, outcome = self._landed.popleft()
            del self._tasks[path]
            work = self._works.pop(path)
            if isinstance(outcome, BaseException):
                raise outcome
            if isinstance(work.caller, Calls):
                made = self._calls[path] = work.caller.made + work.caller.earlier
                if isinstance(outcome, Succeeded):
                    outcome.spent.problems = any_failed(made)
            yield path, outcome

    def cancel(self, path: str, effect: str) -> bool:
        """Stop the attempt at `path`; tell whether there is one."""
        task = self._tasks.get(path)
        if task is None:
            return False
        caller = self._works[path].caller
        if effect == "at_most_once" or (isinstance(caller, Calls) and caller.holding):
            self._loop.call_later(GRACE_S, task.cancel)
        else:
            task.cancel()
        return True

    def cancel_all(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    async def close(self) -> None:
        """Stop everything and wait until it has stopped."""
        self.cancel_all()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _land(self, path: str, outcome: Outcome | BaseException) -> None:
        self._landed.append((path, outcome))
        self._wake()

    def _give_up(self, path: str, task: asyncio.Task[None]) -> None:
        """Land what never came to an outcome: it was cancelled, or the worker itself is ending."""
        if task.cancelled():
            self._land(path, Stopped(spent=spent(self._works[path])))
        elif (end := task.exception()) is not None:
            self._land(path, end)

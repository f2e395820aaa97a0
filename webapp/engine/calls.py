"""Tool calls of agents: steps of their own, with intent and result, below the agent's path.

An agent that is tried again, or that goes on after a crash, may ask for the same call again: the
same bytes get the journaled answer instead of a second effect.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from webapp.engine.attempts import Doubt, would_send
from webapp.engine.commands import Start
from webapp.engine.errors import StepError
from webapp.engine.journal import Record, idem_key
from webapp.engine.ports import Perform, Work
from webapp.engine.recovery import CALL, in_doubt

STOPPED = "A tool call was stopped while it was at work. It may have had its effect."


class CallHost(Protocol):
    """Keeps the rows of calls: the desk."""

    @property
    def stopping(self) -> bool:
        """Whether the worker is to go, or the run to pause."""
        ...

    async def commit_call(self, path: str, record: Record, phase: str, tool: str) -> None:
        """Write the row of a tool call and return when it is durable."""
        ...

    def leave_call(self, record: Record) -> None:
        """Write the row of a tool call without waiting for it."""
        ...


class Calls:
    """The tool calls of one attempt of one agent step."""

    def __init__(self, host: CallHost, start: Start, work: Work, earlier: list[Record]) -> None:
        self.host = host
        self.start = start
        self.work = work
        self.earlier = _latest(earlier)
        self.count = max((_number(record) for record in earlier), default=0)
        self.made: list[Record] = []
        self.holding = 0
        """Calls at work whose effect must not be in doubt."""

    async def __call__(self, tool: str, effect: str, request: bytes, perform: Perform) -> Any:
        """Make the call, or return what it gave before.

        Raises:
            StepError: it failed.
            Doubt: it may have happened, and must not happen twice.
        """
        record = self._row(effect, request)
        self.made.append(record)
        if record.state in {"succeeded", "reused"}:
            return record.result
        if record.state == "unknown" or (record.request is not None and in_doubt(record)):
            record.state = "unknown"
            record.error = {"code": "E-DOUBT", "text": "It may have had its effect."}
            await self._tell(record, "unknown", tool)
            raise Doubt(StepError("E-DOUBT", "A tool call may have had its effect.", proven=False))
        record.request, record.state = request, "intent"
        try:
            await self._tell(record, "started", tool)
        except asyncio.CancelledError:
            record.state = "cancelled"
            self.host.leave_call(record)
            raise
        return await self._perform(record, tool, perform)

    def _row(self, effect: str, request: bytes) -> Record:
        for n, record in enumerate(self.earlier):
            if record.request != request:
                continue
            del self.earlier[n]
            if record.state in {"failed", "cancelled"}:
                return self._new(record.path, record.attempt + 1, effect)
            return record
        self.count += 1
        return self._new(f"{self.start.path}{CALL}{self.count}", 1, effect)

    def _new(self, path: str, attempt: int, effect: str) -> Record:
        key = idem_key(self.work.run_id, path)
        return Record(path, attempt, self.start.step.id, "tool", "intent", effect, key)

    async def _perform(self, record: Record, tool: str, perform: Perform) -> Any:
        inner = Work(
            self.work.run_id, record.path, record.attempt, record.idem_key,
            self.work.deadline, self.work.ports, self.work.meter, self.work.facts,
        )  # fmt: skip
        assert record.request is not None
        once = record.effect == "at_most_once"
        self.holding += once
        try:
            if inner.rehearses and record.effect != "none":
                record.result = would_send(record.request)
            else:
                record.result = await perform(record.request, inner)
        except StepError as error:
            await self._failed(record, inner, tool, error)
            raise
        except asyncio.CancelledError as stopped:
            if not once or self.host.stopping:
                raise  # the row stays an intent; who finds it knows what to do
            record.state = "unknown"
            record.error = {"code": "E-DOUBT", "text": STOPPED, "attempts": record.attempt}
            self.host.leave_call(record)
            raise Doubt(StepError("E-DOUBT", STOPPED, proven=False)) from stopped
        finally:
            self.holding -= once
        record.state = "succeeded"
        self.work.notes.extend(f"{tool}: {note}" for note in inner.notes)
        self._count(record, inner)
        await self._tell(record, "done", tool)
        return record.result

    async def _failed(self, record: Record, inner: Work, tool: str, error: StepError) -> None:
        unsure = record.effect == "at_most_once" and not error.proven
        record.state = "unknown" if unsure else "failed"
        record.error = {"code": error.code, "text": error.text, "attempts": record.attempt}
        self._count(record, inner)
        await self._tell(record, record.state, tool)
        if unsure:
            raise Doubt(error)

    def _count(self, record: Record, inner: Work) -> None:
        record.cost_nano = inner.cost_nano
        record.tokens_in, record.tokens_out = inner.tokens_in, inner.tokens_out

    async def _tell(self, record: Record, phase: str, tool: str) -> None:
        """Write the row as it is now, and return when that is durable."""
        await self.host.commit_call(self.start.path, record, phase, tool)


def _latest(records: list[Record]) -> list[Record]:
    last: dict[str, Record] = {}
    for record in records:
        if record.path not in last or record.attempt > last[record.path].attempt:
            last[record.path] = record
    return sorted(last.values(), key=_number)


def _number(record: Record) -> int:
    return int(record.path[record.path.rindex(CALL) + len(CALL) :])

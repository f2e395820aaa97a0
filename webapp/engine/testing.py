"""Scripted stand-ins for everything outside, so that every test uses the same ones."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from time import monotonic
from typing import Any

from webapp.engine.canonical import from_bytes, to_bytes
from webapp.engine.errors import StepError
from webapp.engine.journal import (
    Batch,
    CancelRequested,
    End,
    Event,
    LostLease,
    Park,
    PauseRequested,
    Record,
)
from webapp.engine.ledger import Entry, Rates, Usage
from webapp.engine.ports import Emit, HttpAnswer, Ports
from webapp.engine.providers import Answer, Ask, Hooks
from webapp.engine.recovery import CALL

TUESDAY = datetime(2026, 3, 3, 14, 0, tzinfo=UTC)


class Died(BaseException):
    """The process was killed. Not an Exception: nothing may clean up after it."""


class MemoryJournal:
    """Keeps batches in memory, through the same JSON that a database would keep.

    Attributes:
        rows: by (path, attempt).
        dies_at: number of the commit at which the process dies.
        dies_after: it dies when the commit is durable already, before anybody hears of it.
        cancelled: refuse intents, as a journal does whose run is to be cancelled.
        paused: likewise, as a journal does whose run is to pause.
        lost: another worker owns the run.
    """

    def __init__(self) -> None:
        self.rows: dict[tuple[str, int], Record] = {}
        self.events: list[Event] = []
        self.batches: list[Batch] = []
        self.commits = 0
        self.done = 0
        self.cost_nano = 0
        self.entries: list[Entry] = []
        self.end: End | None = None
        self.park: Park | None = None
        self.dies_at: int | None = None
        self.dies_after = False
        self.cancelled = False
        self.paused = False
        self.lost = False

    async def commit(self, batch: Batch) -> None:
        await asyncio.sleep(0)
        self.commits += 1
        dies = self.commits == self.dies_at
        if dies and not self.dies_after:
            raise Died
        if self.lost:
            raise LostLease
        if self.cancelled and batch.has_intents:
            raise CancelRequested
        if self.paused and batch.has_intents:
            raise PauseRequested
        self._keep(batch)
        if dies:
            raise Died

    def _keep(self, batch: Batch) -> None:
        for record in batch.records:
            self._keep_row(record)
        for entry in batch.entries:
            self._keep_entry(entry)
        for event in batch.events:
            assert len(json.dumps(event.data)) <= 2048
        self.batches.append(batch)
        self.events += batch.events
        self.done += batch.done_delta
        self.cost_nano += batch.cost_nano
        self.end, self.park = batch.end, batch.park

    def _keep_row(self, record: Record) -> None:
        key = (record.path, record.attempt)
        kept = self.rows.get(key)
        assert record.new == (kept is None), f"{key} is {'old' if kept else 'new'}"
        if kept is not None:
            assert not kept.ends_path, f"{key} was final: {kept} -> {record}"
            if record.request is None:
                record = replace(record, request=kept.request)
        self.rows[key] = replace(record)

    def _keep_entry(self, entry: Entry) -> None:
        kinds = [kept.kind for kept in self.entries if kept.is_same_call(entry)]
        is_first = entry.kind == "reserve"
        assert kinds == ([] if is_first else ["reserve"]), f"{kinds} before {entry}"
        self.entries.append(entry)

    def ledger(self) -> list[tuple[str, int, str, int | None]]:
        """Return path, number, kind and amount of each entry, in the order of writing."""
        return [(one.path, one.n, one.kind, one.amount_nano) for one in self.entries]

    def records(self) -> list[Record]:
        """Return the rows as a claim reads them."""
        return [self._read(record) for record in self.rows.values()]

    def _read(self, record: Record) -> Record:
        open_ended = not record.ends_path or CALL in record.path
        return replace(
            record,
            result=from_bytes(to_bytes(record.result)),
            error=from_bytes(to_bytes(record.error)),
            request=record.request if open_ended else None,
            entries=[
                entry
                for entry in self.entries
                if (entry.path, entry.attempt) == (record.path, record.attempt)
            ],
        )

    def states(self) -> dict[str, str]:
        """Return the state of each path's last attempt."""
        return {path: record.state for (path, _), record in sorted(self.rows.items())}


class SpeedyJournal(MemoryJournal):
    """Keeps nothing and checks nothing: to measure everything else."""

    async def commit(self, batch: Batch) -> None:
        await asyncio.sleep(0)
        self.commits += 1
        self.done += batch.done_delta
        self.end = batch.end


@dataclass
class FakeClock:
    """A wall clock that stands still until it is moved; spans are real."""

    moment: datetime = TUESDAY

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return monotonic()


Reply = Callable[[str, str], Awaitable[HttpAnswer | None]]


@dataclass
class FakeHttp:
    """Counts what arrives, by Idempotency-Key, and answers by script.

    Attributes:
        reply: gets method and URL; None as answer means 200 with the URL as text. May raise,
            sleep or wait.
        seen: (method, url) in the order of arrival.
        keys: how often each Idempotency-Key arrived.
        bodies: all bodies by key, to compare repeats.
        most_at_once: the highest number of requests in flight together.
    """

    reply: Reply | None = None
    seen: list[tuple[str, str]] = field(default_factory=list)
    keys: Counter[str] = field(default_factory=Counter)
    bodies: dict[str, set[bytes | None]] = field(default_factory=dict)
    in_flight: int = 0
    most_at_once: int = 0

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout_s: float,
        max_bytes: int,
    ) -> HttpAnswer:
        self.seen.append((method, url))
        key = headers.get("Idempotency-Key", url)
        self.keys[key] += 1
        self.bodies.setdefault(key, set()).add(body)
        self.in_flight += 1
        self.most_at_once = max(self.most_at_once, self.in_flight)
        try:
            await asyncio.sleep(0)  # so that others that start in this turn are in flight, too
            answer = await self.reply(method, url) if self.reply else None
        finally:
            self.in_flight -= 1
        return answer or answered(url)


def answered(text: str, status: int = 200) -> HttpAnswer:
    """An HTTP answer of plain text."""
    return HttpAnswer(status, {"content-type": "text/plain"}, text.encode(), "http://test")


@dataclass
class ScriptedModels:
    """Answers from a list, and remembers what it was asked.

    An answer is a text, an exception to raise, or a function that gets the question and the
    hooks (to call tools, to stream).
    """

    answers: list[Any]
    asked: list[Ask] = field(default_factory=list)

    async def answer(self, ask: Ask, hooks: Hooks) -> Answer:
        self.asked.append(ask)
        said = self.answers.pop(0)
        if isinstance(said, BaseException):
            raise said
        if callable(said):
            said = await said(ask, hooks)
        return said if isinstance(said, Answer) else Answer(model="scripted", text=str(said))


class Till:
    """Money that is only counted: (what, tokens in, tokens out, cached) of each call.

    Attributes: refuses: nothing is left to spend.
    """

    def __init__(self, *, refuses: bool = False) -> None:
        self.told: list[tuple[str, int, int, int]] = []
        self.refuses = refuses

    def may_spend(self) -> None:
        if self.refuses:
            raise StepError("E-COST-RUN", "The limit is reached.", proven=True)

    async def reserve(self, model: str, tokens_in: int, most_out: int | None) -> int | None:
        self.may_spend()
        return most_out

    def settle(self, usage: Usage, *, estimate: bool = False) -> None:
        self._tell("settle", usage)

    def interrupt(self, usage: Usage) -> None:
        self._tell("interrupted", usage)

    def release(self) -> None:
        self._tell("release", Usage())

    def count(self, usage: Usage) -> None:
        self._tell("count", usage)

    def _tell(self, what: str, usage: Usage) -> None:
        self.told.append((what, usage.tokens_in, usage.tokens_out, usage.tokens_cached))


def priced(tokens_in: int, tokens_out: int) -> Callable[[str], Awaitable[Rates]]:
    """Return prices, in nano-dollars a token, that are the same for every model."""

    async def prices(model: str) -> Rates:
        return Rates(Decimal(tokens_in), Decimal(tokens_out), Decimal(tokens_in))

    return prices


class FakeFiles:
    """Files in memory."""

    def __init__(self, contents: Mapping[str, bytes] | None = None) -> None:
        self.contents = dict(contents or {})

    async def read(self, file_id: str) -> bytes:
        return self.contents[file_id]

    async def write(self, content: bytes, name: str, media_type: str) -> str:
        file_id = f"file_{len(self.contents) + 1}"
        self.contents[file_id] = content
        return file_id


class CrashAt:
    """Dies when a crash point is passed for the n-th time.

    Attributes: passed: how often each was passed.
    """

    def __init__(self, name: str = "", nth: int = 1) -> None:
        self.name = name
        self.nth = nth
        self.passed: Counter[str] = Counter()

    def __call__(self, name: str) -> None:
        self.passed[name] += 1
        if name == self.name and self.passed[name] == self.nth:
            raise Died


def fake_ports(
    http: FakeHttp | None = None,
    models: Any = None,
    *,
    tools: Any = None,
    files: FakeFiles | None = None,
    crash: Callable[[str], None] | None = None,
    clock: FakeClock | None = None,
    emit: Emit | None = None,
    prices: Callable[[str], Awaitable[Rates | None]] | None = None,
) -> Ports:
    made = Ports(
        clock=clock or FakeClock(),
        http=http or FakeHttp(),
        models=models,
        tools=tools,
        files=files or FakeFiles(),
        crash=crash or (lambda name: None),
        prices=prices,
    )
    return made if emit is None else replace(made, emit=emit)


def facts_of(run_id: str = "run_1", zone: str = "Europe/Berlin") -> dict[str, Any]:
    return {"run": {"id": run_id, "link": f"http://test/{run_id}"}, "zone": zone}

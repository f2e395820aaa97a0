"""What the engine needs from outside, and nothing more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from webapp.engine.journal import Batch
from webapp.engine.ledger import Rates

if TYPE_CHECKING:
    from webapp.engine.parts import PartOrder


class Journal(Protocol):
    """Keeps batches of one run."""

    async def commit(self, batch: Batch) -> None:
        """Return when the batch is durable.

        Raises:
            LostLease: another worker owns the run; nothing was written.
            CancelRequested: the run is to be cancelled and the batch holds a new intent;
                nothing was written. A batch without intents is still taken.
        """
        ...


class Clock(Protocol):
    def now(self) -> datetime:
        """The time people see, aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that no change of the wall clock touches, as `time.monotonic` counts them."""
        ...


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """Attributes: headers: lower-case names; url: where redirects ended."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str = ""
    truncated: bool = False


class Http(Protocol):
    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout_s: float,
        max_bytes: int,
    ) -> HttpAnswer:
        """Send, following the outbound rules.

        Raises:
            StepError: with `proven` when it is certain that nothing was sent.
        """
        ...


class Files(Protocol):
    async def read(self, file_id: str) -> bytes: ...

    async def write(self, content: bytes, name: str, media_type: str) -> str:
        """Keep `content` and return its file id."""
        ...


class Secrets(Protocol):
    async def reveal(self, name: str) -> str:
        """Return a secret, at the last moment before the socket; never journaled."""
        ...


class Models(Protocol):
    """Language models: the engine hands it through to the agent step (`engine/providers`)."""


class Tools(Protocol):
    """Tools by name: the engine hands it through to the tool step (`engine/tools`)."""


class Runs(Protocol):
    """Other runs of the same organization.

    What a step has started ends when the step's row is closed before it: whoever keeps the
    journal sees to that, in the same commit.
    """

    async def start(
        self,
        path: str,
        workflow: str,
        version: str | int,
        inputs: Mapping[str, Any],
        limit_nano: int | None,
    ) -> tuple[str, int]:
        """Start a run for the step at `path`, once however often it is asked.

        What a rehearsal starts is a rehearsal.

        Args:
            limit_nano: what it may cost at most, by the limits around the step.

        Returns:
            Its id, and how much of `limit_nano` it may spend.

        Raises:
            StepError: proven; the workflow can't be started, or not with these inputs.
        """
        ...

    async def start_part(self, path: str, order: PartOrder) -> str:
        """Start a run that does some items of the list around `path`; likewise."""
        ...

    async def steps_beside(self, open_parts: Collection[str]) -> int | None:
        """Return how many steps the parts of the whole run have done that this run has not counted.

        Args:
            open_parts: paths of those that were open when this one, a part itself, was ordered.

        Returns:
            None when that can't be said now.
        """
        ...


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    result: dict[str, Any]
    age_s: float


class Answers(Protocol):
    """Answers of one organization that may be given again for a while."""

    async def find(self, group: str, request: bytes) -> KeptAnswer | None:
        """Return an answer to these bytes that is still declared fresh."""
        ...

    async def keep(
        self, group: str, request: bytes, result: dict[str, Any], fresh_s: float
    ) -> None:
        """Keep an answer that was just got; may decide not to.

        Args:
            group: whose answers change alike: one tool, one model.
        """
        ...


class Emit(Protocol):
    def __call__(self, path: str, attempt: int, offset: int, text: str) -> None:
        """Show a piece of streaming text. May be lost, is never journaled, must not block.

        Args:
            path: journal path of the step that speaks.
            attempt: with a new attempt the text starts again at offset 0.
            offset: characters of this attempt's text that came before.
            text: what comes next.
        """
        ...


def _keep_quiet(path: str, attempt: int, offset: int, text: str) -> None:
    return None


def _go_on(name: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything outside, for one run."""

    clock: Clock
    http: Http | None = None
    models: Any = None
    tools: Any = None
    files: Files | None = None
    secrets: Secrets | None = None
    runs: Runs | None = None
    answers: Answers | None = None
    emit: Emit = _keep_quiet
    prices: Callable[[str], Awaitable[Rates | None]] | None = None
    """What a model costs at this moment; None: that is unknown."""
    crash: Callable[[str], None] = _go_on
    """Called at durable boundaries with a crash point's name; a test may die there."""


@dataclass(frozen=True, slots=True)
class WaitFor:
    """What a step waits for: a time, something from outside, or the sooner of the two.

    Attributes:
        frozen: what the waiting row keeps, and the kind's `heard` and `late` get again.
            `{"signal": name}` waits for that signal, `{"approval": ...}` and `{"child": run}` for
            what is sent to the path of the step.
    """

    due_s: float | None = None
    due_at: datetime | None = None
    frozen: dict[str, Any] = field(default_factory=dict)


ToolCall = Callable[[str, str, bytes, "Perform"], Awaitable[Any]]
Perform = Callable[[bytes, "Work"], Awaitable[dict[str, Any] | WaitFor]]


class Meter:
    """Money: what a step and everything inside it may cost, has cost, and has reserved."""

    __slots__ = ("_waiting", "held_nano", "limit_nano", "parent", "spent_nano")

    def __init__(self, limit_nano: int | None = None, parent: Meter | None = None) -> None:
        self.limit_nano = limit_nano
        self.parent = parent
        self.spent_nano = 0
        self.held_nano = 0
        self._waiting: list[asyncio.Future[None]] = []

    def _around(self) -> Iterator[Meter]:
        meter: Meter | None = self
        while meter is not None:
            yield meter
            meter = meter.parent

    def add(self, nano: int) -> None:
        for meter in self._around():
            meter.spent_nano += nano

    def hold(self, nano: int) -> None:
        """Reserve what is about to be spent."""
        for meter in self._around():
            meter.held_nano += nano

    def free(self, nano: int) -> None:
        """Give back what was reserved, whatever was spent of it."""
        for meter in self._around():
            meter.held_nano -= nano
            waiting, meter._waiting = meter._waiting, []
            for one in waiting:
                if not one.done():
                    one.set_result(None)

    async def change(self) -> None:
        """Wait until something that was reserved under a limit around comes back."""
        told = asyncio.get_running_loop().create_future()
        for meter in self._around():
            meter._waiting.append(told)
        await told

    @property
    def left_nano(self) -> int | None:
        """What may still be reserved under the smallest limit around; None: no limit."""
        return min(
            (
                meter.limit_nano - meter.spent_nano - meter.held_nano
                for meter in self._around()
                if meter.limit_nano is not None
            ),
            default=None,
        )

    @property
    def unspent_nano(self) -> int | None:
        """The same, if everything that is reserved came back."""
        return min(
            (
                meter.limit_nano - meter.spent_nano
                for meter in self._around()
                if meter.limit_nano is not None
            ),
            default=None,
        )


@dataclass(slots=True)
class Work:
    """What one attempt of one step may use and tell."""

    run_id: str
    path: str
    attempt: int
    idem_key: str
    deadline: float | None
    """On the monotonic clock; None: no time limit."""
    ports: Ports
    meter: Meter
    facts: Mapping[str, Any]
    """`run`, `zone`, and what execution adds for tools and providers."""
    caller: ToolCall | None = None
    purse: Any = None
    """Pays for what it asks of models: `purse.Purse`."""
    cost_nano: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    _emitted: int = 0
    notes: list[str] = field(default_factory=list)
    """Sentences for the details pane; kept with the result's event."""

    def emit(self, text: str) -> None:
        """Stream `text` to whoever looks; "" says that something came that is not shown."""
        self.ports.crash("worker.in_llm_stream")
        if text:
            self.ports.emit(self.path, self.attempt, self._emitted, text)
            self._emitted += len(text)

    def spend(self, nano: int, tokens_in: int = 0, tokens_out: int = 0) -> None:
        """Count money and tokens as spent, whether or not the step succeeds later."""
        self.cost_nano += nano
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        self.meter.add(nano)

    @property
    def rehearses(self) -> bool:
        """Whether what changes something outside is only written down."""
        return bool(self.facts.get("run", {}).get("rehearsal"))

    def left_s(self) -> float | None:
        """Seconds until the attempt is stopped."""
        return None if self.deadline is None else self.deadline - self.ports.clock.monotonic()

    async def call(self, tool: str, effect: str, request: bytes, perform: Perform) -> Any:
        """Make a tool call of an agent: a step of its own, with intent and result.

        Args:
            tool: name of the tool, shown on the page.
            effect: what repeating the call may do.
            request: frozen bytes; the n-th call of a repeated attempt with the same bytes
                gets the journaled result of the first time instead of a second effect.
            perform: does it.

        Raises:
            StepError: the call failed; the agent may go on and tell its model so.
        """
        assert self.caller is not None
        return await self.caller(tool, effect, request, perform)

"""What is asked of a model, what comes back, and what it may do meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from webapp.engine.errors import StepError
from webapp.engine.grammar import Field
from webapp.engine.ledger import Usage


@dataclass(frozen=True, slots=True)
class ToolOffer:
    """A tool that the model may call. `schema` is the JSON Schema of its arguments."""

    name: str
    description: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to a model, with everything it needs to answer.

    Attributes: model: "practice", "default", or a name that the provider knows; gives: the
    fields to answer with, empty for a text; most_calls: tool calls the answer may take.
    """

    model: str
    instructions: str
    message: str
    gives: tuple[Field, ...] = ()
    tools: tuple[ToolOffer, ...] = ()
    temperature: float | int | Decimal | None = None
    answer_tokens: int | None = None
    most_calls: int = 10


@dataclass(slots=True)
class Answer:
    """Attributes: fields: by name, when fields were wanted; model: the one that answered."""

    text: str
    model: str
    fields: dict[str, Any] | None = None
    calls: int = 0
    notes: list[str] = field(default_factory=list)


def _quiet(text: str) -> None:
    return None


class Money(Protocol):
    """What a provider says about what its calls cost; one call is open at a time."""

    def may_spend(self) -> None:
        """Raise E-COST-RUN when nothing is left to spend."""
        ...

    async def reserve(self, model: str, tokens_in: int, most_out: int | None) -> int | None:
        """Return, before a call is sent, how many tokens its answer may have.

        Args:
            model: its name at the server.
            tokens_in: of the question, by length.
            most_out: what the answer may have by its own setting.

        Raises:
            StepError: E-COST-RUN, it could cost more than is left.
        """
        ...

    def settle(self, usage: Usage, *, estimate: bool = False) -> None:
        """The call was answered."""
        ...

    def interrupt(self, usage: Usage) -> None:
        """Nobody knows what the call cost: it ended before the server said so."""
        ...

    def release(self) -> None:
        """The call cost nothing: it was refused, or never sent."""
        ...

    def count(self, usage: Usage) -> None:
        """Tokens that nobody pays for."""
        ...


class Free:
    """Money for whoever pays for nothing."""

    def may_spend(self) -> None:
        pass

    async def reserve(self, model: str, tokens_in: int, most_out: int | None) -> int | None:
        return most_out

    def settle(self, usage: Usage, *, estimate: bool = False) -> None:
        pass

    def interrupt(self, usage: Usage) -> None:
        pass

    def release(self) -> None:
        pass

    def count(self, usage: Usage) -> None:
        pass


async def _no_tools(name: str, args: dict[str, Any]) -> dict[str, Any]:
    raise StepError("E-TOOL-UNKNOWN", f"There is no tool called “{name}”.", proven=True)


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a provider may do while it answers.

    Attributes: emit: show a piece of the answer, "" for one that is not shown; call: use a tool;
    money: asked before each request, and told how it ended.
    """

    emit: Callable[[str], None] = _quiet
    call: Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]] = _no_tools
    money: Money = field(default_factory=Free)


class Provider(Protocol):
    async def answer(self, ask: Ask, hooks: Hooks) -> Answer:
        """Answer `ask`.

        Raises:
            StepError: E-PROVIDER-KEY, -CREDIT, -BUSY, -DOWN, E-ANSWER-FORMAT, E-ANSWER-BLOCKED,
                E-TOO-LONG-IN, or what a hook raised.
        """
        ...


def format_error(problems: dict[str, str], tries: int) -> StepError:
    """Make the error for an answer without the fields it should have."""
    missing = " ".join(problems.values())[:500]
    times = "1 time" if tries == 1 else f"{tries} times"
    return StepError(
        "E-ANSWER-FORMAT",
        f"The agent's answer did not have the fields it should have. {missing} It tried {times}.",
        proven=True,
        facts={"problems": problems, "tries": tries},
    )

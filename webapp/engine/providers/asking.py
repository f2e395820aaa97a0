"""What is asked of a model, what comes back, and what it may do meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from webapp.engine.errors import StepError
from webapp.engine.grammar import Field


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


def _free(tokens_in: int, tokens_out: int, model: str) -> None:
    return None


async def _no_tools(name: str, args: dict[str, Any]) -> dict[str, Any]:
    raise StepError("E-TOOL-UNKNOWN", f"There is no tool called “{name}”.", proven=True)


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a provider may do while it answers.

    Attributes: emit: show a piece of the answer; call: use a tool; spent: count tokens of one
    request, also when the answer fails later; may_spend: raises E-COST-RUN when the limit is
    reached, and is asked before each request.
    """

    emit: Callable[[str], None] = _quiet
    call: Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]] = _no_tools
    spent: Callable[[int, int, str], None] = _free
    may_spend: Callable[[], None] = lambda: None


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

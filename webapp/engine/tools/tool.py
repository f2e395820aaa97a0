"""What a tool is: a name, what it needs, what it gives, and how repeating it acts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from webapp.engine.effects import Effect
from webapp.engine.errors import StepError
from webapp.engine.grammar import Field
from webapp.engine.ports import Ports


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that a step or an agent may use: it has `run` or `compute`.

    `args` is checked before either is called; its titles and descriptions are the form's labels
    and what a model is told.

    Attributes:
        compute: needs nothing from outside and little time, so that a step that uses the tool is
            settled in place, without an intent.
        fresh_s: for so long an answer stays right, so that the same call needs not be made
            again. Counts only for tools without effect.
    """

    name: str
    label: str
    description: str
    args: type[BaseModel]
    gives: tuple[Field, ...]
    effect: Effect
    run: Callable[[Any, Ports], Awaitable[dict[str, Any]]] | None = None
    compute: Callable[[Any], dict[str, Any]] | None = None
    fresh_s: float | None = None

    async def use(self, args: BaseModel, ports: Ports) -> dict[str, Any]:
        """Return what the tool gives for checked arguments."""
        if self.compute is not None:
            return self.compute(args)
        assert self.run is not None
        return await self.run(args, ports)


def checked(tool: Tool, args: dict[str, Any]) -> BaseModel:
    """Return the arguments as the tool takes them.

    Raises:
        StepError: E-TOOL-INPUT, with the first thing that is wrong.
    """
    try:
        return tool.args.model_validate(args)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise input_error(tool, f"“{place}”: {first['msg'].lower()}", {"field": place}) from None


def input_error(tool: Tool, reason: str, facts: dict[str, Any] | None = None) -> StepError:
    """Make the error for something that the tool can't work with; nothing was done."""
    return StepError(
        "E-TOOL-INPUT",
        f"{tool.label} can't work with what it was given. {reason}",
        proven=True,
        retryable=False,
        facts={"tool": tool.name, **(facts or {})},
    )

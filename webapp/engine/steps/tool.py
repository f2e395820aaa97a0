"""Use a tool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import pydantic

from webapp.engine.answers import kept_or_asked
from webapp.engine.canonical import from_bytes, to_bytes
from webapp.engine.effects import Effect
from webapp.engine.errors import StepError
from webapp.engine.grammar import Field, Strict, Value
from webapp.engine.ports import Work
from webapp.engine.steps.kind import Compute, StepKind
from webapp.engine.tools import TOOLS
from webapp.engine.tools.tool import Tool, checked
from webapp.engine.values import Scope, render


class Config(Strict):
    tool: Annotated[
        str, pydantic.Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+){0,2}$", max_length=100)
    ] = pydantic.Field(title="Tool")
    connection: Annotated[str, pydantic.Field(pattern=r"^cn_[0-9a-z]{1,40}$")] | None = (
        pydantic.Field(default=None, title="Connection")
    )
    args: Annotated[dict[str, Value], pydantic.Field(max_length=50)] = pydantic.Field(
        default={}, title="What it gets"
    )


def effect(config: Config) -> Effect:
    tool = TOOLS.get(config.tool)
    return tool.effect if tool else Effect.AT_MOST_ONCE


def prepare(config: Config, scope: Scope) -> bytes:
    """Return the tool's name and arguments as canonical JSON.

    Raises:
        StepError: E-TOOL-UNKNOWN, E-TOOL-INPUT.
    """
    args = rendered(config, scope)
    checked(known(TOOLS, config.tool), args)
    through = {"connection": config.connection} if config.connection else {}
    return to_bytes({"tool": config.tool, "args": args, **through})


def rendered(config: Config, scope: Scope) -> dict[str, Any]:
    return {name: render(value, scope) for name, value in config.args.items()}


def computes(config: Config) -> Compute | None:
    """Return how to use a tool in place, if it needs nothing from outside."""
    tool = TOOLS.get(config.tool)
    if tool is None or tool.compute is None:
        return None
    act = tool.compute
    return lambda config, scope: act(checked(tool, rendered(config, scope)))


async def perform(request: bytes, work: Work) -> dict[str, Any]:
    frozen = from_bytes(request)
    tool = known(work.ports.tools or TOOLS, frozen["tool"])
    fresh_s = tool.fresh_s if tool.effect is Effect.NONE else None
    return await kept_or_asked(
        f"tool:{tool.name}",
        request,
        fresh_s,
        work,
        lambda: tool.use(checked(tool, frozen["args"]), work.ports),
    )


def known(tools: Mapping[str, Tool], name: str) -> Tool:
    """Return the tool, or raise E-TOOL-UNKNOWN."""
    if name not in tools:
        raise StepError(
            "E-TOOL-UNKNOWN",
            f"There is no tool called “{name}”. Choose another.",
            proven=True,
            retryable=False,
            facts={"tool": name},
        )
    return tools[name]


def gives(config: Config) -> list[Field]:
    tool = TOOLS.get(config.tool)
    return list(tool.gives) if tool else []


KIND = StepKind(
    name="tool",
    label="Use a tool",
    about="Calculates, reads a file, or does something with another service.",
    icon="tool",
    group="Your connections",
    config=Config,
    effect=effect,
    gives=gives,
    computes=computes,
    prepare=prepare,
    perform=perform,
)

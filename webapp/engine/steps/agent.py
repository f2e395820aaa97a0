"""Ask an agent: a model with instructions, tools and an answer format."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

import pydantic
from pydantic import model_validator

from webapp.engine.answers import kept_or_asked
from webapp.engine.canonical import from_bytes, to_bytes
from webapp.engine.errors import StepError
from webapp.engine.grammar import Field, Strict, Value, refuse, unfinished
from webapp.engine.ports import Work
from webapp.engine.providers.asking import Answer, Ask, Hooks, ToolOffer
from webapp.engine.readings import as_text
from webapp.engine.steps import tool as tool_step
from webapp.engine.steps.kind import StepKind
from webapp.engine.tools import TOOLS
from webapp.engine.tools.tool import checked
from webapp.engine.values import CHANGES, Scope, render, render_text

MOST_FILE_BYTES = 400_000
ToolName = Annotated[str, pydantic.Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+){0,2}$")]


class Inline(Strict):
    instructions: Annotated[str, pydantic.Field(max_length=20_000)] = pydantic.Field(
        default="", title="Instructions", description="What the agent is told, once and for all."
    )
    model: Annotated[str, pydantic.Field(min_length=1, max_length=200)] = pydantic.Field(
        default="default",
        title="Model",
        description="“default” is the one set up here; “practice” is built in and free.",
    )
    tools: Annotated[list[ToolName], pydantic.Field(max_length=20)] = pydantic.Field(
        default=[], title="Tools it may use"
    )
    temperature: Annotated[float | int | Decimal, pydantic.Field(ge=0, le=2)] | None = (
        pydantic.Field(
            default=None, title="How varied", description="0 gives the same answer every time."
        )
    )
    answer_tokens: Annotated[int, pydantic.Field(ge=1, le=200_000)] | None = pydantic.Field(
        default=None, title="Longest answer", description="In tokens; one is about 4 letters."
    )


class Config(Strict):
    agent: Annotated[str, pydantic.Field(pattern=r"^ag_[0-9a-z]{1,40}$")] | None = pydantic.Field(
        default=None, title="Agent"
    )
    version: Literal["live"] | Annotated[int, pydantic.Field(ge=1)] = pydantic.Field(
        default="live", title="Version"
    )
    inline: Inline | None = pydantic.Field(default=None, title="Agent of this step only")
    message: Value = pydantic.Field(title="Message", description="What the agent gets this time.")
    files: Annotated[list[Value], pydantic.Field(max_length=10)] = pydantic.Field(
        default=[], title="Files", description="Text files that are added to the message."
    )
    gives: Literal["text"] | Annotated[list[Field], pydantic.Field(min_length=1, max_length=50)] = (
        pydantic.Field(default="text", title="Gives back", description="One text, or named fields.")
    )
    most_calls: Annotated[int, pydantic.Field(ge=0, le=100)] = pydantic.Field(
        default=10, title="At most this many tool calls"
    )
    fresh_s: Annotated[int, pydantic.Field(ge=1, le=2_592_000)] | None = pydantic.Field(
        default=None,
        title="Use an earlier answer for",
        description="To exactly the same question, in seconds. Empty: always ask.",
    )

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Config:
        if self.agent and self.inline:
            raise refuse("Choose an agent or describe one here, not both")
        if not self.agent and not self.inline:
            raise unfinished("Choose an agent or describe one here")
        if self.fresh_s and self.inline and self.inline.tools:
            raise refuse("An agent that uses tools always has to be asked")
        if isinstance(self.gives, list) and any(field.name is None for field in self.gives):
            raise unfinished("Name each field of the answer")
        return self


def prepare(config: Config, scope: Scope) -> bytes:
    """Return the question as canonical JSON.

    Raises:
        StepError: E-AGENT-GONE, the step names an agent that doesn't exist.
    """
    if config.inline is None:
        raise StepError(
            "E-AGENT-GONE",
            "The agent of this step does not exist. Choose another.",
            proven=True,
            retryable=False,
            facts={"agent": config.agent},
        )
    wanted = [] if isinstance(config.gives, str) else config.gives
    return to_bytes(
        {
            **config.inline.model_dump(),
            "message": render_text(config.message, scope) + _changes_in(scope),
            "files": [render(file, scope) for file in config.files],
            "gives": [field.model_dump(exclude_defaults=True) for field in wanted],
            "most_calls": config.most_calls,
            **({"fresh_s": config.fresh_s} if config.fresh_s else {}),
        }
    )


def _changes_in(scope: Scope) -> str:
    """Return what a person wants changed about what the agent gave, itself or with the steps
    around it; mostly "".
    """
    told = scope.lookup([CHANGES])
    if told is None:
        return ""
    newest = told["before"][-1]
    read = "your last answer" if "answer" in told else "what came of this and of the steps around"
    parts = [f"Round {told['round']}: a person has read {read} and asks for changes."]
    if answer := _last_answer(told.get("answer")):
        parts.append(f"Your last answer:\n{answer}")
    parts.append(f"What is to be changed:\n{newest['note'] or ''}")
    return "\n\n".join(["", *parts, "Answer anew and whole, with these changes."])


def _last_answer(result: Any) -> str:
    """Return what the agent gave, as it gave it."""
    if not isinstance(result, dict) or "failed" in result:
        return ""
    given = {name: value for name, value in result.items() if name != "talk"}
    return as_text(given["text"] if given.keys() == {"text"} else given)


async def perform(request: bytes, work: Work) -> dict[str, Any]:
    frozen = from_bytes(request)
    group = f"agent:{frozen['model']}"
    return await kept_or_asked(
        group, request, frozen.get("fresh_s"), work, lambda: _asked(frozen, work)
    )


async def _asked(frozen: dict[str, Any], work: Work) -> dict[str, Any]:
    ask = Ask(
        model=frozen["model"],
        instructions=frozen["instructions"],
        message=frozen["message"] + await _texts_of(frozen["files"], work),
        gives=tuple(Field.model_validate(field) for field in frozen["gives"]),
        tools=tuple(_offer(name, work) for name in frozen["tools"]),
        temperature=frozen["temperature"],
        answer_tokens=frozen["answer_tokens"],
        most_calls=frozen["most_calls"],
    )
    try:
        answer: Answer = await work.ports.models.answer(ask, _hooks(work))
    finally:
        work.purse.end()
    work.ports.crash("worker.after_llm_before_record")
    work.notes.extend(answer.notes)
    talk = {"model": answer.model, "calls": answer.calls, "text": answer.text}
    return (
        {"talk": talk, **(answer.fields or {})}
        if ask.gives
        else {"talk": talk, "text": answer.text}
    )


async def _texts_of(files: list[Any], work: Work) -> str:
    return "".join([await _text_of(file, work) for file in files if file])


async def _text_of(file: Any, work: Work) -> str:
    name = str(file.get("name") or "file") if isinstance(file, dict) else "file"
    why = "is no file"
    if isinstance(file, dict) and isinstance(file.get("file"), str) and work.ports.files:
        content = await work.ports.files.read(file["file"])
        try:
            if len(content) <= MOST_FILE_BYTES and b"\x00" not in content:
                return f"\n\nFile {name}:\n{content.decode()}"
            why = "is no text, or has more than 400 kB"
        except UnicodeDecodeError:
            why = "is no text in UTF-8"
    raise StepError(
        "E-FILE",
        f"“{name}” cannot be read by an agent: it {why}.",
        proven=True,
        retryable=False,
        facts={"file": name},
    )


def _offer(name: str, work: Work) -> ToolOffer:
    tool = tool_step.known(work.ports.tools or TOOLS, name)
    return ToolOffer(tool.name, tool.description, tool.args.model_json_schema())


def _hooks(work: Work) -> Hooks:
    tools = work.ports.tools or TOOLS

    async def call(name: str, args: dict[str, Any]) -> dict[str, Any]:
        tool = tool_step.known(tools, name)
        checked(tool, args)  # before the journal knows of it: a wrong call is no call
        request = to_bytes({"tool": name, "args": args})
        result: dict[str, Any] = await work.call(
            name, tool.effect.value, request, tool_step.perform
        )
        return result

    return Hooks(emit=work.emit, call=call, money=work.purse)


def gives(config: Config) -> list[Field]:
    if isinstance(config.gives, str):
        return [Field(name="text", label="Answer", type="text")]
    return list(config.gives)


KIND = StepKind(
    name="agent",
    label="Ask an agent",
    about="Lets an AI helper read, decide or write something.",
    icon="agent",
    group="AI",
    config=Config,
    gives=gives,
    prepare=prepare,
    perform=perform,
    timeout_s=300,
)

"""One question to a server of OpenAI's protocol, turn by turn.

Imported without the SDK; its classes are taken when the first question is asked.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from webapp.engine.canonical import from_bytes, to_bytes
from webapp.engine.errors import StepError
from webapp.engine.fields import fit, schema_of
from webapp.engine.ledger import Usage
from webapp.engine.providers.asking import Answer, Ask, Hooks, format_error
from webapp.engine.providers.openai_errors import cost_nothing, step_error

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.models.openai import OpenAIChatModel

log = logging.getLogger(__name__)

UNREADABLE = (ValueError, TypeError, AttributeError, LookupError)
"""What the SDK raises for a stream that is no JSON, or JSON of another shape."""
MOST_CHARACTERS = 4 * 1024 * 1024
MOST_CALLS_A_TURN = 128
MOST_TRIES = 2
"""How often an answer may lack the wanted fields."""
ANSWER_TOOL = "give_answer"
CHARACTERS_A_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Patience:
    """How long we wait: for a connection, the first event, the next one, and in all."""

    connect_s: float = 5.0
    first_event_s: float = 60.0
    idle_s: float = 30.0
    total_s: float = 600.0


class Talk:
    """One question with its turns: the model speaks, tools answer, until it is done."""

    def __init__(
        self, model: OpenAIChatModel, ask: Ask, hooks: Hooks, name: str, patience: Patience
    ) -> None:
        self.patience = patience
        self.model = model
        self.ask = ask
        self.hooks = hooks
        self.name = name
        self.messages: list[ModelMessage] = []
        self.seen_ids: set[str] = set()
        self.calls = 0
        self.tries = 0
        self.heard = (
            len(ask.instructions)
            + len(ask.message)
            + sum(len(tool.description) + len(str(tool.schema)) for tool in ask.tools)
        )
        """Characters that the model reads in the next turn."""
        self.said = 0
        """Characters of the answer under way."""
        # Their names allow no dots.
        self.tool_names = {tool.name.replace(".", "__"): tool.name for tool in ask.tools}

    async def run(self) -> Answer:
        from pydantic_ai.messages import ModelRequest, SystemPromptPart, UserPromptPart

        parts: list[Any] = [UserPromptPart(self.ask.message)]
        if self.ask.instructions:
            parts.insert(0, SystemPromptPart(self.ask.instructions))
        self.messages.append(ModelRequest(parts=parts))
        try:
            async with asyncio.timeout(self.patience.total_s):
                while True:
                    answer = self._read(await self._turn())
                    if answer is not None:
                        return answer
                    await self._call_tools()
        except TimeoutError:
            raise StepError(
                "E-PROVIDER-DOWN",
                "The AI provider took too long to answer. Try again, or use another model.",
                proven=True,
            ) from None

    async def _turn(self) -> ModelResponse:
        """Ask once more, and pay for it however it ends."""
        money, asked = self.hooks.money, self.heard // CHARACTERS_A_TOKEN
        most_out = await money.reserve(self.name, asked, self.ask.answer_tokens)
        self.said = 0
        try:
            response = await self._streamed(most_out)
        except BaseException as error:
            if not self.said and cost_nothing(error):
                money.release()
            else:
                money.interrupt(Usage(asked, self.said // CHARACTERS_A_TOKEN))
            raise
        self._settle(response, asked)
        if response.finish_reason == "content_filter":
            raise _blocked()
        self.heard += self.said
        self.messages.append(self._with_own_ids(response))
        return response

    async def _streamed(self, most_out: int | None) -> ModelResponse:
        """Take the answer piece by piece."""
        from pydantic_ai.direct import model_request_stream
        from pydantic_ai.exceptions import AgentRunError

        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.patience.first_event_s) as clock:
                async with model_request_stream(
                    self.model,
                    self.messages,
                    model_settings=self._settings(most_out),
                    model_request_parameters=self._parameters(),
                ) as stream:
                    async for piece, size in _pieces(stream):
                        clock.reschedule(loop.time() + self.patience.idle_s)
                        self.said += size
                        if self.said > MOST_CHARACTERS:
                            raise _too_much()
                        if size:
                            self.hooks.emit("" if self.ask.gives else piece)
            return stream.get()
        except AgentRunError as error:
            raise step_error(error, self.name) from error
        except UNREADABLE as error:
            log.warning("an answer of model %s cannot be read", self.name, exc_info=True)
            raise _garbled() from error

    def _settings(self, most_out: int | None) -> Any:
        from pydantic_ai.settings import ModelSettings

        settings = ModelSettings(parallel_tool_calls=True) if self.ask.tools else ModelSettings()
        if self.ask.temperature is not None:
            settings["temperature"] = float(self.ask.temperature)
        if most_out is not None:
            settings["max_tokens"] = most_out
        return settings

    def _parameters(self) -> ModelRequestParameters:
        from pydantic_ai.models import ModelRequestParameters
        from pydantic_ai.tools import ToolDefinition

        offered = [
            ToolDefinition(
                name=name.replace(".", "__"), description=words, parameters_json_schema=schema
            )
            for name, words, schema in (
                (tool.name, tool.description, tool.schema) for tool in self.ask.tools
            )
        ]
        if not self.ask.gives:
            return ModelRequestParameters(function_tools=offered)
        final = ToolDefinition(
            name=ANSWER_TOOL,
            description="Give the final answer with these fields.",
            parameters_json_schema=schema_of(self.ask.gives),
            kind="output",
        )
        return ModelRequestParameters(
            function_tools=offered,
            output_mode="tool",
            output_tools=[final],
            allow_text_output=False,
        )

    def _settle(self, response: ModelResponse, asked: int) -> None:
        """Pay for the tokens that the server counted, or by length where it is silent."""
        said = response.usage
        tokens_in, tokens_out = max(said.input_tokens, 0), max(said.output_tokens, 0)
        usage = Usage(
            tokens_in or asked,
            tokens_out or self.said // CHARACTERS_A_TOKEN,
            max(said.cache_read_tokens, 0),
        )
        self.hooks.money.settle(usage, estimate=not (tokens_in and tokens_out))

    def _with_own_ids(self, response: ModelResponse) -> ModelResponse:
        """Some servers number their tool calls from 0 in each turn; ours are unique."""
        parts: list[Any] = list(response.parts)
        for place, part in enumerate(parts):
            if part.part_kind != "tool-call":
                continue
            if not part.tool_call_id or part.tool_call_id in self.seen_ids:
                parts[place] = replace(part, tool_call_id=f"call_{len(self.seen_ids)}_{place}")
            self.seen_ids.add(parts[place].tool_call_id)
        return replace(response, parts=parts)

    def _read(self, response: ModelResponse) -> Answer | None:
        """Return the answer, or None when there is more to do before."""
        if not self.ask.gives:
            if response.tool_calls:
                return None
            return self._answer(response.text or "", None)
        given = self._given(response)
        if given is None and response.tool_calls:
            return None
        values, problems = fit(self.ask.gives, given)
        if not problems:
            return self._answer(to_bytes(values).decode(), values)
        self.tries += 1
        if self.tries >= MOST_TRIES:
            raise format_error(problems, self.tries)
        self._say_what_is_wrong(problems, response)
        return None

    def _given(self, response: ModelResponse) -> Any:
        """The wanted fields, from the answer tool or from JSON in the text."""
        for call in response.tool_calls:
            if call.tool_name == ANSWER_TOOL:
                return _arguments(call)
        return None if response.tool_calls else _json_in(response.text or "")

    def _answer(self, text: str, fields: dict[str, Any] | None) -> Answer:
        if not self.ask.gives and not text.strip():
            raise format_error({"text": "It was empty."}, 1)
        return Answer(text=text, fields=fields, model=self.name, calls=self.calls)

    def _say_what_is_wrong(self, problems: dict[str, str], response: ModelResponse) -> None:
        from pydantic_ai.messages import ModelRequest, ToolReturnPart, UserPromptPart

        words = f"Not accepted. {' '.join(problems.values())} Give the answer again."
        self.heard += len(words)
        last: Any = self.messages[-1]
        parts: list[Any] = [
            ToolReturnPart(call.tool_name, words, tool_call_id=call.tool_call_id)
            for call in last.tool_calls
        ]
        self.messages.append(ModelRequest(parts=parts or [UserPromptPart(words)]))

    async def _call_tools(self) -> None:
        """Run the calls of the last turn one after the other, so that a replay meets the same."""
        from pydantic_ai.messages import ModelRequest, ModelResponse, ToolReturnPart

        last = self.messages[-1]
        if not isinstance(last, ModelResponse):
            return  # the turn was answered with what is wrong
        calls = last.tool_calls
        self.calls += len(calls)
        if self.calls > self.ask.most_calls or len(calls) > MOST_CALLS_A_TURN:
            raise StepError(
                "E-AGENT-CALLS",
                f"The agent wanted more than {self.ask.most_calls} tool calls, so we stopped it.",
                proven=False,
                retryable=False,
                facts={"most": self.ask.most_calls},
            )
        returned: list[Any] = [
            ToolReturnPart(call.tool_name, await self._called(call), tool_call_id=call.tool_call_id)
            for call in calls
        ]
        self.heard += sum(len(str(part.content)) for part in returned)
        self.messages.append(ModelRequest(parts=returned))

    async def _called(self, call: ToolCallPart) -> str:
        name = self.tool_names.get(call.tool_name)
        arguments = _arguments(call)
        if name is None:
            return f"There is no tool called {call.tool_name}."
        if arguments is None:
            return "The arguments are not JSON. Call the tool again."
        try:
            return to_bytes(await self.hooks.call(name, arguments)).decode()
        except StepError as error:
            if error.code == "E-COST-RUN":
                raise
            return f"The tool failed. {error.text}"


async def _pieces(stream: Any) -> AsyncIterator[tuple[str, int]]:
    """Yield the text as it comes with its size, and "" for everything else that shows life."""
    async for event in stream:
        match event.event_kind:
            case "part_start" if event.part.part_kind == "text":
                yield event.part.content, len(event.part.content)
            case "part_delta" if event.delta.part_delta_kind == "text":
                yield event.delta.content_delta, len(event.delta.content_delta)
            case "part_delta" if event.delta.part_delta_kind == "tool_call":
                yield "", len(str(event.delta.args_delta or ""))
            case _:
                yield "", 0


def _arguments(call: ToolCallPart) -> dict[str, Any] | None:
    if isinstance(call.args, dict):
        return call.args
    try:
        given = from_bytes(call.args or "{}")
    except ValueError:
        return None
    return given if isinstance(given, dict) else None


def _json_in(text: str) -> Any:
    """Find the record in a text such as ```json {...} ```; servers without tools answer so."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        return None
    try:
        return from_bytes(text[start : end + 1])
    except ValueError:
        return None


def _too_much() -> StepError:
    return StepError(
        "E-ANSWER-LONG",
        "The AI provider's answer has more than 4 MB, so we stopped it.",
        proven=True,
        retryable=False,
    )


def _garbled() -> StepError:
    return StepError(
        "E-PROVIDER-DOWN",
        "The AI provider's answer cannot be read. This is on their side.",
        proven=True,
    )


def _blocked() -> StepError:
    return StepError(
        "E-ANSWER-BLOCKED",
        "The AI provider refused this text. Its rules do not allow the topic.",
        proven=True,
        retryable=False,
    )

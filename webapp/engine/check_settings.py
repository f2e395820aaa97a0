"""Whether the settings of one step can do what they are for, as far as can be told beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Literal

from webapp.engine.errors import StepError
from webapp.engine.grammar import Condition, Row, references
from webapp.engine.plan import Step
from webapp.engine.readings import as_moment, is_empty
from webapp.engine.steps.http import checked_url
from webapp.engine.steps.wait import seconds_of

Finding = tuple[Literal["todo", "broken", "look"], str, str, str]
"""Kind, field, code and text of a check."""


def check_settings(step: Step, tools: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is to be said about a step's tools, conditions and moments."""
    if step.config is None:
        return
    yield from _tools(step, tools)
    yield from _conditions(step)
    yield from _moments(step)
    if step.kind == "http":
        yield from _address(step)


def _tools(step: Step, tools: Mapping[str, Any]) -> Iterator[Finding]:
    config: Any = step.config
    inline = getattr(config, "inline", None) if step.kind == "agent" else None
    named = {
        f"with.inline.tools.{n}": name for n, name in enumerate(inline.tools if inline else ())
    }
    if step.kind == "tool":
        named = {"with.tool": config.tool}
    for field, name in named.items():
        if name not in tools:
            yield "broken", field, "C-TOOL-UNKNOWN", f"there is no tool called “{name}”"
    if step.kind == "tool" and config.tool in tools:
        for name, asked in tools[config.tool].args.model_fields.items():
            if asked.is_required() and is_empty(config.args.get(name)):
                yield (
                    "todo",
                    f"with.args.{name}",
                    "C-FIELD-EMPTY",
                    f"fill in “{asked.title or name}”",
                )


def _conditions(step: Step) -> Iterator[Finding]:
    for condition, field in _conditions_of(step):
        if not condition.rows and step.kind in {"if", "list"}:
            yield "todo", field, "C-FIELD-EMPTY", "add a condition"
        for row, at in condition.leaves():
            here = f"{field}{at.replace('/', '.')}"
            if row.op == "asks":
                text = (
                    "a condition can't ask a model yet; ask an agent in a step before, and "
                    "compare its answer"
                )
                yield "todo", f"{here}.is", "C-FIELD-RANGE", text
            elif (word := _words(row.value)) and not _compares_with_value(row):
                what = "column" if step.kind == "list" else "value"
                text = (
                    f"it compares the word “{word[:60]}”, which is the same each time: choose a "
                    f"{what} from the list instead"
                )
                yield "look", f"{here}.value", "C-CONDITION-FIXED", text


def _compares_with_value(row: Row) -> bool:
    given = row.to if row.op in {"between", "one_of"} else [row.to]
    return any(True for one in given or [] for _ in references(one))


def _conditions_of(step: Step) -> Iterator[tuple[Condition, str]]:
    """Yield the conditions of a step's own settings, and the pointer to each."""
    config: Any = step.config
    for n, branch in enumerate(getattr(config, "branches", [])):
        yield branch.when, f"with.branches.{n}.when"
    if step.kind == "repeat":
        yield config.until, "with.until"
    if step.kind == "list":
        for n, operation in enumerate(config.do):
            if operation.do == "filter":
                yield operation.where, f"with.do.{n}.where"


def _moments(step: Step) -> Iterator[Finding]:
    config: Any = step.config
    if step.kind == "wait":
        yield from _moment("with.until", config.until)
        if (
            isinstance(config.for_s, int | float | Decimal | str)
            and seconds_of(config.for_s) is None
        ):
            text = f"“{config.for_s}” is no number of seconds up to a year"
            yield "todo", "with.for_s", "C-FIELD-RANGE", text
    elif step.kind == "approval" and config.due is not None:
        yield from _moment("with.due.at", config.due.at)


def _address(step: Step) -> Iterator[Finding]:
    """Judge an address as far as it is written out: what follows a value is not known yet."""
    url = getattr(step.config, "url", None)
    words = _words(url).strip()
    start = words or (_words(url[:1]).lstrip() if isinstance(url, list) else "")
    try:
        if words:
            checked_url(words)
        elif start and not start.lower().startswith(("https://", "http://")):
            checked_url(start)
    except StepError as error:
        yield "todo", "with.url", "C-FIELD-RANGE", error.text.removesuffix(".")


def _moment(field: str, value: Any) -> Iterator[Finding]:
    words = _words(value)
    if words and as_moment(words, "UTC") is None:
        yield "todo", field, "C-FIELD-RANGE", f"“{words[:60]}” is no date and no time"


def _words(value: Any) -> str:
    """Return what was written as a VALUE; "" if there is anything in it but words."""
    parts = value if isinstance(value, list) else [{"text": value}]
    words = [part["text"] for part in parts if isinstance(part.get("text"), str)]
    return "".join(words) if len(words) == len(parts) else ""

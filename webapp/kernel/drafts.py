"""What comes in, as a pydantic model, and what is wrong with it, in the catalogue's words.

Forms, the JSON API and the command line all read a `Draft`, so a rule and its sentence are
written once: `title`, `description` and limits of a field become label, hint, `maxlength`,
schema and error text.
"""

from __future__ import annotations

import re
import typing
from enum import Enum
from types import UnionType
from typing import Any, Final, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator
from pydantic.fields import FieldInfo

from webapp.kernel.errors import FieldError, Invalid, field_error

D = TypeVar("D", bound=BaseModel)

MOST_UNKNOWN: Final = 20
"""Unknown fields that are told one by one."""


class Draft(BaseModel):
    """Base of everything that is sent to us: no unknown fields, no blanks around texts.

    `json_schema_extra={"enter": "a name for the workflow"}` words "Enter a name for the workflow.";
    without it the title stands there.
    """

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_unstorable_text(cls, value: Any) -> Any:
        if isinstance(value, str) and not storable(value):
            raise ValueError("It holds a character that cannot be stored. Type the text again.")
        return value


def storable(text: str) -> bool:
    """Whether databases can keep `text`: no NUL, no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def validated(schema: type[D], value: Any) -> D:
    """Return `value` as a `schema`, or raise `Invalid` with one sentence for each field."""
    fewer, left_out = _without_most_unknown(schema, value)
    try:
        return schema.model_validate(fewer)
    except ValidationError as error:
        found = field_errors(schema, error)
        if left_out:
            text = f"There are {left_out:,} more fields that are not known."
            found.append(field_error("", "E-FIELD", what="The request", text=text))
        raise Invalid(found) from None


def _without_most_unknown(schema: type[BaseModel], value: Any) -> tuple[Any, int]:
    """Return `value` with the first unknown fields only, and how many were left out.

    A sentence for each costs more than all else about a request, and nobody reads 60,000.
    """
    known = set(_names(schema))
    if not isinstance(value, dict) or len(value) <= len(known) + MOST_UNKNOWN:
        return value, 0
    if schema.model_config.get("extra") != "forbid":
        return value, 0
    unknown = [name for name in value if name not in known]
    dropped = set(unknown[MOST_UNKNOWN:])
    return {name: inner for name, inner in value.items() if name not in dropped}, len(dropped)


def field_errors(schema: type[BaseModel], error: ValidationError) -> list[FieldError]:
    """Return the sentences for what pydantic refused, in the order of the fields."""
    found = [_field_error(schema, dict(problem)) for problem in error.errors(include_url=False)]
    order = {name: n for n, name in enumerate(_names(schema))}
    return sorted(
        found, key=lambda e: order.get(e.pointer.split("/")[1:2][0], 99) if e.pointer else -1
    )


def _names(schema: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in schema.model_fields.items()]


def _field_error(schema: type[BaseModel], problem: dict[str, Any]) -> FieldError:
    pointer = "".join(
        f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in problem["loc"]
    )
    field = _field_at(schema, problem["loc"])
    what = title_of(field, problem["loc"])
    facts = {**problem.get("ctx", {}), "what": what}
    code, more = _worded(problem, field, facts, schema)
    return field_error(pointer, code, **(facts | more))


def _field_at(schema: Any, loc: tuple[int | str, ...]) -> FieldInfo | None:
    """Return the innermost known field on the way to `loc`."""
    found = None
    for part in loc:
        fields = getattr(schema, "model_fields", None)
        if fields is None or isinstance(part, int):
            continue
        by_alias = {field.alias or name: field for name, field in fields.items()}
        if part not in by_alias:
            return None
        found = by_alias[part]
        schema = _model_in(found.annotation)
    return found


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for m in map(_model_in, get_args(annotation)) if m is not None), None)


def title_of(field: FieldInfo | None, loc: tuple[int | str, ...]) -> str:
    """Return what people call the field."""
    if field is not None and field.title:
        title = field.title
    else:
        words = [str(part) for part in loc if isinstance(part, str)]
        title = (words[-1] if words else "the request").replace("_", " ").capitalize()
    numbers = [part + 1 for part in loc if isinstance(part, int)]
    return f"{title}, entry {numbers[-1]}" if numbers else title


def enter_words(field: FieldInfo | None, title: str) -> str:
    extra = field.json_schema_extra if field is not None else None
    if isinstance(extra, dict) and "enter" in extra:
        return str(extra["enter"])
    return title[:1].lower() + title[1:]


def _worded(
    problem: dict[str, Any], field: FieldInfo | None, facts: dict[str, Any], schema: Any
) -> tuple[str, dict[str, Any]]:
    kind, given = str(problem["type"]), problem.get("input")
    match kind:
        case "missing" | "string_too_short" if kind == "missing" or given in ("", None):
            return "E-FIELD-EMPTY", {"what": enter_words(field, facts["what"])}
        case "string_pattern_mismatch" | "string_too_short" | "string_too_long":
            return _text(kind, field, str(given), facts)
        case "too_long" | "too_short":
            return "E-FIELD", {"text": _count_text(kind, facts)}
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            return _range(kind, field, facts)
        case "extra_forbidden":
            known = ", ".join(_names(schema)) if len(problem["loc"]) == 1 else "those of the schema"
            return "E-FIELD-UNKNOWN", {"name": problem["loc"][-1], "known": known}
        case "literal_error" | "enum":
            return "E-FIELD-CHOICE", {"choices": facts.get("expected", "")}
        case "value_error":
            text = str(problem["msg"]).removeprefix("Value error, ")
            if text.startswith("value is not a valid email address"):
                return "E-EMAIL", {}
            return "E-FIELD", {"text": text}
        case _:
            return "E-FIELD-TYPE", {"wanted": _wanted(kind, str(problem["msg"]))}


def _text(
    kind: str, field: FieldInfo | None, given: str, facts: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    if kind == "string_too_short":
        return "E-FIELD-SHORT", {"least": facts.get("min_length")}
    if kind == "string_too_long":
        return "E-FIELD-LONG", {"most": facts.get("max_length"), "length": len(given)}
    if not given.strip():
        return "E-FIELD-EMPTY", {"what": enter_words(field, title_of(field, ()))}
    prefix = re.match(r"\^([a-z]+_)\[", str(facts.get("pattern")))
    wanted = f"an id, {prefix[1]} and 26 letters" if prefix else "written in another form"
    return "E-FIELD-TYPE", {"wanted": wanted}


def _count_text(kind: str, facts: dict[str, Any]) -> str:
    if kind == "too_long":
        return (
            f"{facts['what']} may have {facts.get('max_length')} entries. "
            f"It has {facts.get('actual_length')}."
        )
    return f"{facts['what']} must have {facts.get('min_length')} entries or more."


_BOUNDS = {"ge": "least", "gt": "least", "le": "most", "lt": "most"}


def _range(kind: str, field: FieldInfo | None, facts: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    bounds = {
        word: getattr(rule, name)
        for rule in (field.metadata if field is not None else [])
        for name, word in _BOUNDS.items()
        if getattr(rule, name, None) is not None
    }
    if len(bounds) == 2:
        return "E-FIELD-RANGE", {name: f"{value:,}" for name, value in bounds.items()}
    limit = next((facts[name] for name in ("ge", "gt", "le", "lt") if name in facts), "")
    word = {
        "greater_than": "more than {}",
        "greater_than_equal": "{} or more",
        "less_than": "less than {}",
        "less_than_equal": "{} or less",
    }[kind]
    return "E-FIELD", {"text": f"{facts['what']} must be {word.format(limit)}."}


_WANTED = (
    (("int",), "a whole number"),
    (("decimal", "float"), "a number"),
    (("bool",), "true or false"),
    (("string", "str"), "a text"),
    (("datetime",), "a date and time such as 2026-03-04T13:02:11Z"),
    (("date",), "a date such as 2026-03-04"),
    (("list", "tuple", "set", "frozen_set"), "a list"),
    (("dict", "model", "dataclass", "mapping"), "an object"),
    (("uuid",), "an id"),
    (("url",), "a web address such as https://example.com"),
)


def _wanted(kind: str, message: str) -> str:
    for starts, words in _WANTED:
        if kind.startswith(starts):
            return words
    return message.removeprefix("Input should be ").rstrip(".") or "something else"


def choices_of(annotation: Any) -> list[str]:
    """Return the texts that a Literal or an Enum allows, also inside a list or an option."""
    if get_origin(annotation) is Literal:
        return [str(value) for value in get_args(annotation)]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [str(member.value) for member in annotation]
    for inner in get_args(annotation):
        if found := choices_of(inner):
            return found
    return []


def bare(annotation: Any) -> Any:
    """Return the annotation without `| None` and `Annotated`."""
    while True:
        origin = get_origin(annotation)
        if origin is typing.Annotated:
            annotation = get_args(annotation)[0]
        elif origin in (Union, UnionType):
            rest = [part for part in get_args(annotation) if part is not type(None)]
            if len(rest) != 1:
                return annotation
            annotation = rest[0]
        else:
            return annotation

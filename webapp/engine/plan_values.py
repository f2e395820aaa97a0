"""VALUE: literals, references and texts joined from both, checked once and kept as plain JSON.

They are rendered for every step of every run, so they are not models.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator
from pydantic.json_schema import WithJsonSchema
from pydantic_core import PydanticCustomError

MAX_TEXT = 200_000
MAX_REF = 8
MAX_ADJUSTMENTS = 8
MAX_ITEMS = 200
MAX_NAMES = 50
MAX_VALUE_DEPTH = 8
MAX_PARTS = 500
ROOTS = ("start", "run", "now", "item", "secret")
"""First words of references that are no step."""


@dataclass(frozen=True)
class ValueMark:
    """Tells forms and checks that a setting is a VALUE, and whether secrets may stand in it."""

    secret: bool = False


def refuse(text: str, at: str = "") -> PydanticCustomError:
    """Make an error of grammar, which no level accepts; `at` points below pydantic's place."""
    return PydanticCustomError("plan_grammar", "{text}", {"text": text, "at": at})


def unfinished(text: str, at: str = "") -> PydanticCustomError:
    """Make an error that a draft may hold and a version may not: something is to be filled in."""
    return PydanticCustomError("plan_empty", "{text}", {"text": text, "at": at})


def check_value(value: Any, *, secret: bool = False, at: str = "", depth: int = 0) -> Any:
    """Return `value` if it is a VALUE of the plan language.

    Raises:
        PydanticCustomError: it isn't; the error says where.
    """
    if depth > MAX_VALUE_DEPTH:
        raise refuse(f"Values may be at most {MAX_VALUE_DEPTH} levels deep", at)
    match value:
        case None | bool() | int():
            pass
        case float() | Decimal():
            _check_number(value, at)
        case str():
            _check_text(value, at)
        case list():
            _check_parts(value, secret, at)
        case {"list": list() as items} if len(value) == 1:
            _check_items(items, secret, at, depth)
        case {"record": dict() as entries} if len(value) == 1:
            _check_record(entries, secret, at, depth)
        case _:
            raise refuse("This is not a value: write text, a number, parts, a list or a record", at)
    return value


def _check_number(number: float | Decimal, at: str) -> None:
    if not Decimal(number).is_finite():
        raise refuse("A number must be a real number", at)


def _check_items(items: list[Any], secret: bool, at: str, depth: int) -> None:
    if len(items) > MAX_ITEMS:
        raise refuse(f"A list in a value holds at most {MAX_ITEMS} items", at)
    for n, item in enumerate(items):
        check_value(item, secret=secret, at=f"{at}/list/{n}", depth=depth + 1)


def _check_text(text: str, at: str) -> None:
    if len(text) > MAX_TEXT:
        raise refuse(f"A text may have at most {MAX_TEXT:,} characters. It has {len(text):,}", at)


def _check_record(entries: dict[Any, Any], secret: bool, at: str, depth: int) -> None:
    if len(entries) > MAX_NAMES:
        raise refuse(f"A record holds at most {MAX_NAMES} names", at)
    for name, entry in entries.items():
        if not isinstance(name, str) or not name or len(name) > 60:
            raise refuse("A name in a record has 1 to 60 characters", at)
        check_value(entry, secret=secret, at=f"{at}/record/{name}", depth=depth + 1)


def _check_parts(parts: list[Any], secret: bool, at: str) -> None:
    if len(parts) > MAX_PARTS:
        raise refuse(f"A text is joined from at most {MAX_PARTS} parts", at)
    for n, part in enumerate(parts):
        here = f"{at}/{n}"
        match part:
            case {"text": str() as text} if len(part) == 1:
                _check_text(text, f"{here}/text")
            case {"value": ref, **rest} if rest.keys() <= {"adjust", "if_empty"}:
                check_ref(ref, secret=secret, at=f"{here}/value")
                _check_adjustments(rest.get("adjust", []), f"{here}/adjust")
                _check_if_empty(rest.get("if_empty"), f"{here}/if_empty")
            case _:
                raise refuse('A part is {"text": ...} or {"value": [...]}', here)


def check_ref(ref: Any, *, secret: bool = False, at: str = "") -> Any:
    """Return `ref` if it is a reference: a root and up to 7 names or numbers."""
    if not isinstance(ref, list) or not 1 <= len(ref) <= MAX_REF:
        raise refuse(f"A reference is a list of 1 to {MAX_REF} names", at)
    root = ref[0]
    if not isinstance(root, str) or not (root in ROOTS or _is_step_id(root)):
        raise refuse("A reference begins with a step's id, start, run, now, item or secret", at)
    if root == "secret" and not (secret and len(ref) == 2):
        raise refuse("A secret can't be used in this field", at)
    for name in ref[1:]:
        if isinstance(name, str) and len(name) <= 200:
            continue
        if type(name) is int and -1 <= name < 1_000_000:
            continue
        raise refuse("A reference goes on with names and item numbers (-1 is the last)", at)
    return ref


def _is_step_id(word: str) -> bool:
    tail = word[2:]
    return (
        word.startswith("s_")
        and 1 <= len(tail) <= 12
        and tail.isascii()
        and tail.isalnum()
        and tail == tail.lower()
    )


def _check_if_empty(value: Any, at: str) -> None:
    match value:
        case None | bool() | int() | {"do": "stop"}:
            if isinstance(value, dict) and len(value) > 1:
                raise refuse('"if_empty" takes a literal or {"do": "stop"}', at)
        case float() | Decimal() | str():
            check_value(value, at=at)
        case _:
            raise refuse('"if_empty" takes a literal or {"do": "stop"}', at)


# Adjustments: each word and the settings it takes.


def _whole(low: int, high: int) -> Any:
    return lambda value: type(value) is int and low <= value <= high


def _word(most: int) -> Any:
    return lambda value: isinstance(value, str) and 0 < len(value) <= most


def _formats(value: Any) -> bool:
    return isinstance(value, list) and 0 < len(value) <= 10 and all(_word(40)(one) for one in value)


ADJUSTMENTS: dict[str, dict[str, Any]] = {
    "first_words": {"n": _whole(1, 100_000)},
    "first_characters": {"n": _whole(1, MAX_TEXT)},
    "upper": {},
    "lower": {},
    "trim": {},
    "one_line": {},
    "to_number": {"decimal": lambda value: value in {".", ","}},
    "to_date": {"formats": _formats},
    "round": {"digits": _whole(-9, 12)},
    "money": {"currency": lambda value: _word(3)(value) and len(value) == 3 and value.isalpha()},
    "percent": {"digits": _whole(0, 12)},
    "format": {"style": _word(20)},
    "add": {"n": _whole(-100_000, 100_000), "unit": lambda v: v in {"days", "hours", "months"}},
    "day": {},
    "first": {},
    "last": {},
    "count": {},
    "bullets": {},
    "commas": {},
    "field": {"name": _word(60)},
    "sum": {"name": _word(60)},
    "filename": {},
    "link": {},
    "text": {},
    "label": {},
}
"""Settings of each word with the test each must pass. All are optional to the writer; what
is missing takes the default of `adjust.py`."""


def _check_adjustments(adjustments: Any, at: str) -> None:
    if not isinstance(adjustments, list) or len(adjustments) > MAX_ADJUSTMENTS:
        raise refuse(f'"adjust" is a list of at most {MAX_ADJUSTMENTS} changes', at)
    for n, one in enumerate(adjustments):
        word = one.get("do") if isinstance(one, dict) else None
        settings = ADJUSTMENTS.get(word) if isinstance(word, str) else None
        if settings is None:
            raise refuse(f"There is no adjustment called {word!r}", f"{at}/{n}/do")
        for key, given in one.items():
            if key != "do" and not (key in settings and settings[key](given)):
                raise refuse(f"{word} can't take {key} = {given!r}", f"{at}/{n}/{key}")


Value = Annotated[
    Any, AfterValidator(check_value), ValueMark(), WithJsonSchema({"x-grammar": "Value"})
]
SecretValue = Annotated[
    Any,
    AfterValidator(lambda value: check_value(value, secret=True)),
    ValueMark(secret=True),
    WithJsonSchema({"x-grammar": "Value"}),
]
"""A VALUE in which `["secret", name]` may stand; it stays a reference until the socket."""


def references(value: Any) -> Iterator[tuple[list[str | int], dict[str, Any], str]]:
    """Yield each reference of a VALUE with its part and the pointer to it.

    The pointer is relative to the value: "/1/value".
    """
    if isinstance(value, list):
        for n, part in enumerate(value):
            if "value" in part:
                yield part["value"], part, f"/{n}/value"
    elif isinstance(value, dict):
        for key, inner in value.items():
            entries = enumerate(inner) if key == "list" else inner.items()
            for name, entry in entries:
                for ref, part, at in references(entry):
                    yield ref, part, f"/{key}/{name}{at}"

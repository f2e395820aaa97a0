"""The words a plan is written in: values, references, conditions, list operations, fields.

A VALUE stays the plain JSON it was written as (checked here once), because it is rendered for
every step of every run; everything with named settings is a model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal

import pydantic
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    StringConstraints,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic.json_schema import WithJsonSchema
from pydantic_core import PydanticCustomError

MAX_TEXT = 200_000
MAX_REF = 8
MAX_ADJUSTMENTS = 8
MAX_ITEMS = 200
MAX_NAMES = 50
MAX_ROWS = 20
MAX_VALUE_DEPTH = 8
MAX_PARTS = 500

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
"""Key in data."""
Label = Annotated[str, StringConstraints(max_length=60)]
"""What people see."""
StepId = Annotated[str, StringConstraints(pattern=r"^s_[a-z0-9]{1,12}$")]
LaneId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,19}$")]
"""Id of a lane or of a branch."""
Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
Choice = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""One of the words of a `oneof`."""
TypeWord = Literal[
    "text", "number", "boolean", "date", "datetime", "oneof", "list", "record", "file", "any"
]
Literally = None | bool | int | Decimal | float | Text
ROOTS = ("start", "run", "now", "item", "secret")
"""First words of references that are no step."""
ComputeWord = Literal[
    "add", "subtract", "multiply", "divide", "sum", "min", "max", "average", "count", "join"
]
Operator = Literal[
    "equal", "not_equal", "contains", "not_contains", "starts_with", "empty", "not_empty",
    "more", "less", "at_least", "at_most", "between", "before", "after", "in_last", "one_of",
    "asks",
]  # fmt: skip
TimeUnit = Literal["minutes", "hours", "days", "weeks", "months"]


class Strict(BaseModel):
    """Base of everything in a plan: unknown keys are refused, and nothing is converted."""

    model_config = ConfigDict(
        extra="forbid", strict=True, populate_by_name=True, frozen=True, allow_inf_nan=False
    )


# Values


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


# Conditions


class Within(Strict):
    """How far back `in_last` looks."""

    n: Annotated[int, pydantic.Field(ge=1, le=100_000)]
    unit: TimeUnit


class Row(Strict):
    """One comparison. `to` is a VALUE, two for `between`, up to 50 for `one_of`, a `Within` for
    `in_last`, and absent for `empty` and `not_empty`.
    """

    value: Value = None
    op: Annotated[Operator, pydantic.Field(alias="is")] = "equal"
    to: Annotated[Any, WithJsonSchema({"x-grammar": "Operand"})] = None

    @model_validator(mode="before")
    @classmethod
    def _read_operand(cls, doc: Any) -> Any:
        if not isinstance(doc, dict) or "is" not in doc:
            return doc
        return {**doc, "to": _operand(doc["is"], doc.get("to"))} if "to" in doc else doc

    @model_validator(mode="after")
    def _is_whole(self) -> Row:
        missing = {"value", "op"} - self.model_fields_set
        if missing or ("to" not in self.model_fields_set and self.op not in {"empty", "not_empty"}):
            raise unfinished("Complete this condition")
        return self


def _operand(op: Any, to: Any) -> Any:
    match op:
        case "empty" | "not_empty":
            raise refuse(f'"{op}" compares with nothing', "/to")
        case "between" | "one_of":
            if not isinstance(to, list) or (op == "between" and len(to) != 2) or len(to) > 50:
                raise refuse(
                    "Give two values" if op == "between" else "Give up to 50 values", "/to"
                )
            return [check_value(one, at=f"/to/{n}") for n, one in enumerate(to)]
        case "in_last":
            try:
                return Within.model_validate(to)
            except ValidationError:
                raise unfinished("Say how far back: a number and a unit", "/to") from None
    return check_value(to, at="/to")


def _row_or_group(doc: Any) -> str:
    is_group = isinstance(doc, Condition) or (isinstance(doc, dict) and doc.keys() & {"all", "any"})
    return "group" if is_group else "row"


RowOrGroup = Annotated[
    "Annotated[Row, Tag('row')] | Annotated[Condition, Tag('group')]", Discriminator(_row_or_group)
]


class Condition(Strict):
    """Rows joined by "and" (`all`) or by "or" (`any`), with at most one group of the other kind
    inside each.
    """

    all: list[RowOrGroup] | None = None
    any: list[RowOrGroup] | None = None

    @property
    def every(self) -> bool:
        return self.all is not None

    @property
    def rows(self) -> list[Row | Condition]:
        return (self.all if self.all is not None else self.any) or []

    @model_validator(mode="after")
    def _has_one_kind(self) -> Condition:
        if (self.all is None) == (self.any is None):
            raise refuse('A condition is {"all": [...]} or {"any": [...]}')
        for row in self.rows:
            if isinstance(row, Condition) and (row.every == self.every or _has_group(row)):
                raise refuse("A group may hold one level of groups of the other kind")
        if sum(1 for _ in self.leaves()) > MAX_ROWS:
            raise refuse(f"A condition has at most {MAX_ROWS} rows")
        return self

    def leaves(self) -> Iterator[tuple[Row, str]]:
        """Yield each row with the pointer to it."""
        word = "all" if self.every else "any"
        for n, row in enumerate(self.rows):
            if isinstance(row, Condition):
                for leaf, at in row.leaves():
                    yield leaf, f"/{word}/{n}{at}"
            else:
                yield row, f"/{word}/{n}"


def _has_group(condition: Condition) -> bool:
    return any(isinstance(row, Condition) for row in condition.rows)


# Fields and outputs


class Field(Strict):
    """What Start asks for, what a step gives, what an agent must answer with."""

    name: Name | None = None
    label: Label = ""
    type: TypeWord = "text"
    of: Annotated[
        list[Annotated[str, StringConstraints(max_length=200)]], pydantic.Field(max_length=50)
    ] = []
    items: Field | None = None
    fields: Annotated[list[Field], pydantic.Field(max_length=MAX_NAMES)] = []
    required: bool = True
    default: Literally = None
    help: Annotated[str, StringConstraints(max_length=200)] = ""
    min: Decimal | int | float | None = None
    max: Decimal | int | float | None = None


class Output(Strict):
    """A named value that a plan or an `each` gives."""

    name: Name
    label: Label = ""
    type: TypeWord = "any"
    value: Value


class SetField(Strict):
    """A named value, or a computation: `value`, or `op` over `of`."""

    name: Name
    label: Label = ""
    type: TypeWord = "any"
    value: Value = None
    op: ComputeWord | None = None
    of: Annotated[list[Value], pydantic.Field(max_length=MAX_NAMES)] = []
    digits: Annotated[int, pydantic.Field(ge=-9, le=12)] | None = None

    @model_validator(mode="after")
    def _is_one_of_two(self) -> SetField:
        given = self.model_fields_set
        if self.op is None and ("of" in given or self.digits is not None):
            raise unfinished("Choose what to compute")
        if self.op is not None and "value" in given:
            raise refuse("Give a value or a computation, not both")
        return self

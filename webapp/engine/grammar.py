"""The words a plan is written in: names, types, conditions, fields; VALUEs from `plan_values`."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal

import pydantic
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    StringConstraints,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic.json_schema import WithJsonSchema

from webapp.engine.plan_values import (
    MAX_NAMES,
    MAX_TEXT,
    SecretValue,
    Value,
    ValueMark,
    check_value,
    references,
    refuse,
    unfinished,
)

__all__ = [
    "Choice", "ComputeWord", "Condition", "Field", "Label", "LaneId", "Literally", "Name",
    "Operator", "Output", "Row", "SecretValue", "SetField", "StepId", "Strict", "Text", "TypeWord",
    "Value", "ValueMark", "Within", "check_value", "references", "refuse", "unfinished",
]  # fmt: skip

MAX_ROWS = 20

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

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


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

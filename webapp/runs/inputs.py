"""What a run is started with: the plan's questions against what was given.

Forms give texts and JSON gives values; both are read by the question's type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, tzinfo
from decimal import Decimal
from typing import Any, Final

from webapp.engine.grammar import Field
from webapp.engine.readings import as_text
from webapp.kernel.errors import FieldError, Invalid, field_error

_YES: Final = frozenset({"true", "yes", "on", "1"})
_NO: Final = frozenset({"false", "no", "off", "0"})
LONGEST_TEXT: Final = 200_000
MOST_ITEMS: Final = 10_000
MOST_ERRORS: Final = 20
TODAY: Final = "today"
_NUMBER: Final = re.compile(
    r"[+-]?(?:[0-9]{1,3}(?:[, ][0-9]{3})+|[0-9]+)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,4})?"
)
"""A comma is right only where it parts thousands: elsewhere it may be meant as a point."""


def read_inputs(
    fields: list[Field],
    given: Mapping[str, Any],
    *,
    today: Callable[[], date],
    has_file: Callable[[str], bool],
    at: str = "/inputs",
) -> dict[str, Any]:
    """Return the values a run starts with, by name; an unanswered question is None.

    Args:
        given: texts of a form or values of JSON; a missing one takes the question's default.
        today: what the default "today" of a date means here.
        has_file: whether the organization has the file of this id.

    Raises:
        Invalid: with every problem, in the order of the questions.
    """
    errors: list[FieldError] = []
    asked = {field.name: field for field in fields if field.name is not None}
    for name in given:
        if name not in asked:
            names = ", ".join(sorted(asked)) or "none"
            errors.append(field_error(f"{at}/{name}", "E-FIELD-UNKNOWN", name=name, known=names))
    values: dict[str, Any] = {}
    for name, field in asked.items():
        reader = _Reader(field, f"{at}/{name}", has_file)
        value = given.get(name)
        if _is_empty(value):
            value = _default(field, today)
        if _is_empty(value):
            if field.required:
                errors.append(reader.empty())
            values[name] = None
            continue
        values[name] = reader.read(value)
        errors.extend(reader.errors)
    if errors:
        raise Invalid(errors)
    return values


def _default(field: Field, today: Callable[[], date]) -> Any:
    if field.type == "date" and field.default == TODAY:
        return today().isoformat()
    if field.type == "text" and isinstance(field.default, int | float | Decimal):
        return as_text(field.default)
    return field.default


Bound = Decimal | int | float | None


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or value == [] or value == {}


def _asked(field: Field) -> str:
    label = field.label or field.name or "a value"
    return label[:1].lower() + label[1:]


class _Reader:
    """Reads one value; `errors` says what is wrong with it."""

    def __init__(
        self, field: Field, pointer: str, has_file: Callable[[str], bool], label: str = ""
    ) -> None:
        self.field = field
        self.label = label or field.label or field.name or "The value"
        self.pointer = pointer
        self.has_file = has_file
        self.errors: list[FieldError] = []

    def error(self, code: str, **facts: Any) -> FieldError:
        return field_error(self.pointer, code, **({"what": self.label} | facts))

    def empty(self) -> FieldError:
        if self.field.type == "file":
            text = f"Choose a file for “{self.label}”."
            return FieldError(self.pointer, "E-FIELD-EMPTY", text)
        return self.error("E-FIELD-EMPTY", what=_asked(self.field))

    def refuse(self, code: str, **facts: Any) -> None:
        self.errors.append(self.error(code, **facts))

    def read(self, value: Any) -> Any:
        reader: Callable[[Any], Any] = getattr(self, f"_{self.field.type}")
        return reader(value)

    def _any(self, value: Any) -> Any:
        return value

    def _text(self, value: Any) -> Any:
        if not isinstance(value, str):
            return self.refuse("E-FIELD-TYPE", wanted="a text")
        most = int(self.field.max) if self.field.max is not None else LONGEST_TEXT
        if len(value) > most:
            self.refuse("E-FIELD-LONG", most=f"{most:,}", length=f"{len(value):,}")
        if self.field.min is not None and len(value) < self.field.min:
            self.refuse("E-FIELD-SHORT", least=self.field.min)
        return value

    def _number(self, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
            return self.refuse("E-FIELD-TYPE", wanted="a number")
        text = str(value).strip()
        if isinstance(value, str) and not _NUMBER.fullmatch(text):
            return self.refuse("E-FIELD-TYPE", wanted="a number such as 1,234.5")
        number = Decimal(text.replace(" ", "").replace(",", ""))
        if not number.is_finite() or abs(number.adjusted()) > 30:
            return self.refuse("E-FIELD-TYPE", wanted="a number of at most 30 digits")
        low, high = self.field.min, self.field.max
        if (low is not None and number < low) or (high is not None and number > high):
            self._out_of_range(low, high)
        return int(number) if number == number.to_integral_value() else number

    def _out_of_range(self, low: Bound, high: Bound, unit: str = "") -> None:
        must = f"{self.label} must have" if unit else f"{self.label} must be"
        if low is not None and high is not None:
            text = f"{must} between {low:,} and {high:,}{unit}."
        else:
            text = (
                f"{must} at most {high:,}{unit}."
                if low is None
                else f"{must} at least {low:,}{unit}."
            )
        self.errors.append(FieldError(self.pointer, "E-FIELD-RANGE", text))

    def _boolean(self, value: Any) -> Any:
        if isinstance(value, bool):
            return value
        word = value.strip().lower() if isinstance(value, str) else ""
        if word in _YES or word in _NO:
            return word in _YES
        return self.refuse("E-FIELD-TYPE", wanted="yes or no")

    def _date(self, value: Any) -> Any:
        try:
            if not isinstance(value, str) or len(value) != 10:
                raise ValueError
            return date.fromisoformat(value).isoformat()
        except ValueError:
            return self.refuse("E-FIELD-TYPE", wanted="a date such as 2026-03-04")

    def _datetime(self, value: Any) -> Any:
        try:
            if not isinstance(value, str):
                raise ValueError
            moment = datetime.fromisoformat(value)
            zone: tzinfo | None = moment.tzinfo
            if zone is None:
                raise ValueError
            return moment.isoformat()
        except ValueError:
            return self.refuse(
                "E-FIELD-TYPE", wanted="a time with its zone, such as 2026-03-04T13:02:11Z"
            )

    def _oneof(self, value: Any) -> Any:
        choices = self.field.of or []
        if value not in choices:
            self.refuse("E-FIELD-CHOICE", choices=", ".join(choices))
        return value

    def _list(self, value: Any) -> Any:
        if isinstance(value, str):  # a form: one entry a line
            value = [line.strip() for line in value.splitlines() if line.strip()]
        if not isinstance(value, list):
            return self.refuse("E-FIELD-TYPE", wanted="a list")
        low, high = self.field.min, min(self.field.max or MOST_ITEMS, MOST_ITEMS)
        if len(value) > high or (low is not None and len(value) < low):
            return self._out_of_range(low, high, " entries")
        items = self.field.items
        if items is None:
            return value
        return [self._inside(items, index, one) for index, one in enumerate(value)]

    def _record(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return self.refuse("E-FIELD-TYPE", wanted="an object with names and values")
        known = {field.name: field for field in self.field.fields}
        return {
            name: self._inside(known[name], name, one) if name in known else one
            for name, one in value.items()
        }

    def _inside(self, field: Field, place: str | int, value: Any) -> Any:
        """Read an entry of a list or a record. An empty one is a hole in somebody's table."""
        if _is_empty(value) or len(self.errors) >= MOST_ERRORS:
            return value
        name = f"{self.label}, entry {place + 1}" if isinstance(place, int) else ""
        reader = _Reader(field, f"{self.pointer}/{place}", self.has_file, name)
        read = reader.read(value)
        self.errors += reader.errors
        return read

    def _file(self, value: Any) -> Any:
        file_id = value.get("file") if isinstance(value, dict) and len(value) == 1 else value
        if not isinstance(file_id, str) or not self.has_file(file_id):
            return self.refuse("E-FIELD-TYPE", wanted="a file that was uploaded here")
        return {"file": file_id}

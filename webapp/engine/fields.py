"""Fields as a form: the JSON Schema that describes them, and whether an answer fits.

Used for what Start asks for and for what an agent must answer with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from webapp.engine.grammar import Field
from webapp.engine.readings import (
    as_day,
    as_moment,
    as_number,
    as_text,
    as_truth,
    comparable,
    is_empty,
    read_number,
)

SIMPLE_SCHEMAS: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
    "file": {"type": "object", "properties": {"file": {"type": "string"}}, "required": ["file"]},
    "any": {},
}


def schema_of(fields: Sequence[Field]) -> dict[str, Any]:
    """Return a JSON Schema for a record of these fields."""
    return {
        "type": "object",
        "properties": {str(field.name): _schema(field) for field in fields},
        "required": [field.name for field in fields if field.required],
        "additionalProperties": False,
    }


def _schema(field: Field) -> dict[str, Any]:
    match field.type:
        case "oneof":
            schema: dict[str, Any] = {"type": "string", "enum": list(field.of)}
        case "list":
            schema = {"type": "array", "items": _schema(field.items) if field.items else {}}
        case "record":
            schema = schema_of(field.fields) if field.fields else {"type": "object"}
        case _:
            schema = dict(SIMPLE_SCHEMAS[field.type])
    words = ". ".join(text for text in (field.label, field.help) if text)
    return {**schema, "description": words} if words else schema


def fit(
    fields: Sequence[Field], given: Any, today: str | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Read `given` as a record of these fields.

    Args:
        fields: what is wanted.
        given: a record; anything else counts as an empty one.
        today: what the default "today" of a date means, as ISO.

    Returns:
        The values, each in its field's type and with defaults filled in, and a sentence for
        each field that doesn't fit, by name ("items.2.amount" inside lists and records).
    """
    record = given if isinstance(given, dict) else {}
    values: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for field in fields:
        name = str(field.name)
        if field.type == "date" and field.default == "today" and is_empty(record.get(name)):
            values[name] = today
            continue
        values[name] = _fitted(field, record.get(name), name, problems)
    return values, problems


def _fitted(field: Field, value: Any, at: str, problems: dict[str, str]) -> Any:
    if is_empty(value):
        value = field.default if value is None else value
    if is_empty(value):
        if field.required and not (field.type == "list" and value == []):
            problems[at] = f"{_name(field, at)} is missing."
        return value if isinstance(value, (list, dict)) else None
    match field.type:
        case "list":
            return _list(field, value, at, problems)
        case "record":
            return _record(field, value, at, problems)
    read = _read(field, value)
    if read is None:
        problems[at] = f"{_name(field, at)} must be {_wanted(field)}."
        return None
    _bounds(field, read, at, problems)
    return read


def _list(field: Field, value: Any, at: str, problems: dict[str, str]) -> Any:
    if not isinstance(value, list):
        problems[at] = f"{_name(field, at)} must be a list."
        return None
    _bounds(field, value, at, problems)
    if field.items is None:
        return value
    item = field.items
    return [_fitted(item, entry, f"{at}.{n}", problems) for n, entry in enumerate(value)]


def _record(field: Field, value: Any, at: str, problems: dict[str, str]) -> Any:
    if not isinstance(value, dict):
        problems[at] = f"{_name(field, at)} must be a record."
        return None
    if not field.fields:
        return value
    values, inner = fit(field.fields, value)
    problems |= {f"{at}.{name}": text for name, text in inner.items()}
    return values


def _read(field: Field, value: Any) -> Any:
    match field.type:
        case "text":
            return None if isinstance(value, (list, dict)) else as_text(value)
        case "number":
            return read_number(value)
        case "boolean":
            return as_truth(value)
        case "date":
            day = as_day(value)
            return day.isoformat() if day else None
        case "datetime":
            moment = as_moment(value)
            return moment.isoformat() if moment else None
        case "oneof":
            wanted = comparable(as_text(value))
            return next((choice for choice in field.of if comparable(choice) == wanted), None)
        case "file":
            is_file = isinstance(value, dict) and isinstance(value.get("file"), str)
            return value if is_file else None
    return value


def _bounds(field: Field, value: Any, at: str, problems: dict[str, str]) -> None:
    """Min and max bound a number's value, and the length of a text or a list."""
    if isinstance(value, (str, list)) and field.type in ("text", "list"):
        size, unit = as_number(len(value)), " characters" if field.type == "text" else " items"
    else:
        size, unit = as_number(value), ""
    if size is None:
        return
    if field.min is not None and size < field.min:
        problems[at] = f"{_name(field, at)} must be at least {field.min}{unit}."
    elif field.max is not None and size > field.max:
        problems[at] = f"{_name(field, at)} must be at most {field.max}{unit}."


def _name(field: Field, at: str) -> str:
    return field.label or at


def _wanted(field: Field) -> str:
    if field.type == "oneof":
        return f"one of {', '.join(field.of)}"
    words = {"text": "a text", "number": "a number", "boolean": "yes or no", "file": "a file"}
    words |= {"date": "a date like 2026-03-04", "datetime": "a date with time and zone"}
    return words.get(field.type, "a value")

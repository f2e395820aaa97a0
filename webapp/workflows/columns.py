"""The columns of a list, followed through what is done to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from pydantic import ValidationError

from webapp.engine.grammar import Field

Doc = dict[str, Any]
Find: TypeAlias = Callable[[list[str | int]], Field | None]
"""Tells what is known of the value at a reference."""
Source: TypeAlias = Callable[[Any], Field | None]
"""Tells what one item is of the list that a VALUE refers to."""


def source_of(value: Any, find: Find) -> Field | None:
    """Return what one item is of the list that a VALUE refers to."""
    if not (isinstance(value, list) and len(value) == 1 and "value" in value[0]):
        return None
    field = find(value[0]["value"])
    return field.items if field is not None else None


def csv_columns(settings: Doc) -> list[Field]:
    """Return the columns that a `csv.read` step names."""
    columns = (settings.get("args") or {}).get("columns")
    entries = columns.get("list", []) if isinstance(columns, dict) else []
    found = []
    for entry in entries:
        record = entry.get("record", {}) if isinstance(entry, dict) else {}
        found += _field(record.get("name"), record.get("type") or "text")
    return found


def listed_columns(step: Doc, columns: list[Field], source: Source) -> tuple[bool, list[Field]]:
    """Return whether the columns are known at the end of a `list` step, and which they are."""
    known = bool(columns)
    for op in (step.get("with") or {}).get("do") or []:
        columns = _after(op, columns, source)
        known = known or op.get("do") in {"group", "pick", "compute"}
    return known, columns


def _after(op: Doc, columns: list[Field], source: Source) -> list[Field]:
    by_name = {str(field.name): field for field in columns}
    match op.get("do"):
        case "group":
            kept = [by_name.get(name) or _any(name) for name in op.get("by") or []]
            taken = [f for take in op.get("take") or [] for f in _taken(take, by_name)]
            return [*kept, *taken]
        case "pick":
            return [by_name.get(name) or _any(name) for name in op.get("fields") or []]
        case "rename":
            names = op.get("names") or {}
            return [
                field.model_copy(update={"name": names.get(str(field.name), field.name)})
                for field in columns
            ]
        case "compute":
            return [*columns, *_field(op.get("name"), op.get("type") or "any")]
        case "join":
            other = source(op.get("with"))
            more = other.fields if other else []
            return [*columns, *(field for field in more if str(field.name) not in by_name)]
        case "flatten":
            inner = by_name.get(op.get("field") or "")
            return list(inner.items.fields) if inner is not None and inner.items else columns
    return columns


def _taken(take: Doc, by_name: dict[str, Field]) -> list[Field]:
    op = take.get("op")
    if op in {"min", "max", "first"} and take.get("field") in by_name:
        return _field(take.get("name"), by_name[str(take["field"])].type)
    return _field(take.get("name"), "text" if op == "join" else "number")


def _any(name: str) -> Field:
    return Field.model_construct(None, name=name, type="any")


def _field(name: Any, word: Any) -> list[Field]:
    try:
        return [Field.model_validate({"name": name, "type": word})] if name else []
    except ValidationError:
        return []

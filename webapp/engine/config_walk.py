"""Finds the VALUEs, conditions and operations inside a step's settings, whatever the kind.

One walk by the annotations of the Config, so that a new kind needs no list of its fields here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel

from webapp.engine.grammar import Row, ValueMark, Within


@dataclass(frozen=True, slots=True)
class Slot:
    """A place of a VALUE.

    Attributes: at: "url", "headers.0.value"; rows: it may speak of `item`, the row of a list
    operation; required: the Config can't do without it; label: the form's.
    """

    at: str
    value: Any
    required: bool
    label: str
    rows: bool = False


def slots_of(config: BaseModel) -> Iterator[Slot]:
    """Yield each VALUE of the settings of one step; steps inside it are not entered."""
    yield from _slots(config, "", rows=False)


def _slots(model: BaseModel, at: str, *, rows: bool) -> Iterator[Slot]:
    if isinstance(model, Row):
        yield from _row_slots(model, at, rows=rows)
        return
    for name, key, shape, required, label in _shapes(type(model)):
        value = getattr(model, name)
        here = f"{at}.{key}" if at else key
        if shape == "value":
            yield Slot(here, value, required, label, rows)
        elif shape == "values" and value is not None:
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            for n, one in pairs:
                yield Slot(f"{here}.{n}", one, False, str(n), rows)
        elif isinstance(value, BaseModel):
            yield from _slots(value, here, rows=rows)
        elif isinstance(value, list):
            for n, one in enumerate(value):
                if isinstance(one, BaseModel) and not hasattr(one, "on_failure"):
                    yield from _slots(one, f"{here}.{n}", rows=rows or hasattr(one, "do"))


def _row_slots(row: Row, at: str, *, rows: bool) -> Iterator[Slot]:
    yield Slot(f"{at}.value", row.value, True, "value to compare", rows)
    if isinstance(row.to, Within):
        return
    if row.op in {"between", "one_of"}:
        for n, one in enumerate(row.to or []):
            yield Slot(f"{at}.to.{n}", one, False, "value to compare with", rows)
    else:
        yield Slot(f"{at}.to", row.to, False, "value to compare with", rows)


@lru_cache(maxsize=256)
def _shapes(model: type[BaseModel]) -> tuple[tuple[str, str, str, bool, str], ...]:
    found = []
    for name, field in model.model_fields.items():
        if any(isinstance(mark, ValueMark) for mark in field.metadata):
            shape = "value"
        elif _holds_values(field.annotation):
            shape = "values"
        else:
            shape = ""
        key = field.alias or name
        label = field.title or key.replace("_", " ")
        found.append((name, key, shape, field.is_required(), label))
    return tuple(found)


def _holds_values(annotation: Any) -> bool:
    for inner in get_args(annotation):
        if get_origin(inner) is Annotated and any(
            isinstance(mark, ValueMark) for mark in get_args(inner)
        ):
            return True
        if _holds_values(inner):
            return True
    return False

"""Which shape a value has on a page: a table, a list, named fields, a text, a file.

Values come from steps (JSON with exact numbers). What is long is cut; the whole is a download.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from webapp.web.formats import NOTHING, count, number

MOST_ROWS = 100
MOST_BYTES = 20_000
CELL_CHARACTERS = 200
WORD_CHARACTERS = 20


def shape(value: Any) -> str:
    """Name the shape: nothing, truth, number, text, file, table, list or fields."""
    if value is None or (isinstance(value, str | list | dict) and not value):
        return "nothing"
    match value:
        case bool():
            return "truth"
        case int() | float() | Decimal():
            return "number"
        case str():
            return "text"
        case {"file": str()} if len(value) == 1:
            return "file"
        case Mapping():
            return "fields"
        case Sequence():
            records = all(isinstance(row, Mapping) and shape(row) == "fields" for row in value)
            return "table" if records else "list"
    raise TypeError(f"No page shape for {type(value).__name__}")


def columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names that occur in the rows that are shown, in order of appearance."""
    names: dict[str, None] = {}
    for row in rows[:MOST_ROWS]:
        names.update(dict.fromkeys(row))
    return list(names)


def is_numeric(rows: Sequence[Mapping[str, Any]], name: str) -> bool:
    """Tell whether a column holds numbers only, so that it is set to the right."""
    kinds = {shape(row.get(name)) for row in rows[:MOST_ROWS]} - {"nothing"}
    return kinds == {"number"}


def evened(rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Return rows in which a column of amounts has two decimals in each: 12.50 below 1,234.50."""
    amounts = [
        name
        for name in columns(rows)
        if is_numeric(rows, name) and max(_decimals(row.get(name)) for row in rows) == 2
    ]
    return [{**row, **{name: _in_cents(row.get(name)) for name in amounts}} for row in rows]


def _decimals(value: Any) -> int:
    exponent = Decimal(str(value or 0)).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _in_cents(value: Any) -> Any:
    exact = Decimal(str(value)) if value is not None else None
    # Beyond the 28 digits that decimals are reckoned with, a number stays as it is.
    return value if exact is None or exact.adjusted() > 20 else exact.quantize(Decimal("0.01"))


def cell(value: Any) -> str:
    """Write a value in one line of a table."""
    match shape(value):
        case "nothing":
            return NOTHING
        case "truth":
            return "Yes" if value else "No"
        case "number":
            return number(value)
        case "text":
            return _day(str(value)) or _shorten(str(value))
        case "file":
            return "File"
        case "fields":
            return _shorten(", ".join(f"{name}: {cell(part)}" for name, part in value.items()))
        case "table":
            return count(len(value), "row")
        case _:
            if len(value) <= 5:
                return _shorten(", ".join(cell(part) for part in value))
            return count(len(value), "item")


def _day(text: str) -> str:
    """Write a day as people do, in one piece: 8 Dec 2025; nothing when it is no day."""
    if len(text) != 10 or text[4] != "-" or text[7] != "-":
        return ""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return ""
    return f"{day.day}\u00a0{day:%b}\u00a0{day.year}"


def _shorten(text: str) -> str:
    return text if len(text) <= CELL_CHARACTERS else text[: CELL_CHARACTERS - 1].rstrip() + "…"


def is_word(value: Any) -> bool:
    """Tell whether a value is one short word, such as INV-4001, that no line should break."""
    return isinstance(value, str) and 0 < len(value) <= WORD_CHARACTERS and len(value.split()) == 1


def cut_text(text: str) -> str:
    """Return the text, or as much of it as a page shows."""
    if len(text.encode()) <= MOST_BYTES:
        return text
    return text.encode()[:MOST_BYTES].decode(errors="ignore")


def is_cut(value: Any) -> bool:
    """Tell whether a page shows less than there is."""
    if isinstance(value, str):
        return len(value.encode()) > MOST_BYTES
    return isinstance(value, list) and len(value) > MOST_ROWS


FILTERS: dict[str, Callable[..., Any]] = {
    "cell": cell,
    "columns": columns,
    "cut_text": cut_text,
    "evened": evened,
    "is_cut": is_cut,
    "is_numeric": is_numeric,
    "is_word": is_word,
    "shape": shape,
}

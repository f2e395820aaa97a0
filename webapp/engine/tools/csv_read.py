"""Read rows from a CSV file: typed columns, and every bad row kept with the reason."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from webapp.engine import grammar
from webapp.engine.dates import read_date
from webapp.engine.effects import Effect
from webapp.engine.errors import StepError
from webapp.engine.ports import Ports
from webapp.engine.readings import read_number
from webapp.engine.tools.csv_text import (
    DELIMITERS,
    Unreadable,
    decoded,
    delimiter_of,
    heading_key,
    records,
)
from webapp.engine.tools.tool import Tool, input_error

ZIP = b"PK\x03\x04"
"""Spreadsheets of today begin so."""
MOST_COLUMNS = 200
IN_A_THREAD = 256 * 1024
"""From this many bytes on, reading would hold up the other runs of the worker."""
MOST_REJECTED = 1_000
"""Rejected rows that are kept with their reason; beyond that they are only counted."""
WORDS_FOR_YES_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


class Column(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(title="Name", pattern=r"^[a-z][a-z0-9_]{0,39}$")
    heading: str | None = Field(
        default=None,
        title="Heading in the file",
        description="Only when it differs from the name.",
        max_length=200,
    )
    type: Literal["text", "number", "date", "boolean"] = Field(default="text", title="Type")
    formats: list[Annotated[str, Field(min_length=1, max_length=40)]] = Field(
        default_factory=lambda: ["YYYY-MM-DD"],
        title="Ways the date is written",
        description="For example YYYY-MM-DD or DD.MM.YYYY.",
        min_length=1,
        max_length=10,
    )
    decimal: Literal["auto", ".", ","] = Field(
        default="auto",
        title="Decimal mark",
        description="Auto reads 1,234.50 and 1.234,50, and rejects what could be either.",
    )
    required: bool = Field(default=False, title="Must not be empty")
    unique: bool = Field(
        default=False, title="Only once", description="A row that repeats a value is rejected."
    )


class Args(BaseModel):
    model_config = ConfigDict(extra="forbid")

    file: Any = Field(title="File", description="A CSV file, or its text.")
    columns: list[Column] = Field(
        default_factory=list,
        title="Columns",
        description="None: all columns of the file, as text.",
        max_length=MOST_COLUMNS,
    )
    delimiter: Literal["auto", "comma", "semicolon", "tab", "bar"] = Field(
        default="auto", title="Cells are separated by"
    )
    encoding: Literal["auto", "utf-8", "windows-1252"] = Field(default="auto", title="Encoding")
    most: int = Field(default=10_000, ge=1, le=100_000, title="At most this many rows")


@dataclass
class Table:
    rows: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    rejected_count: int = 0

    def reject(self, line: int, column: str, reason: str, value: str | None = None) -> None:
        self.rejected_count += 1
        if len(self.rejected) < MOST_REJECTED:
            entry = {"line": line, "column": column, "reason": reason}
            self.rejected.append(entry if value is None else {**entry, "value": value[:200]})


def read(data: bytes | str, args: Args) -> Table:
    """Return the rows that are right, and the others with line, column and reason.

    Raises:
        Unreadable: it is no CSV text, is too large, or lacks a wanted column.
    """
    if isinstance(data, bytes) and data.startswith(ZIP):
        raise Unreadable(
            "This is a spreadsheet such as .xlsx. Save it as CSV in your spreadsheet program first."
        )
    text = data if isinstance(data, str) else decoded(data, args.encoding)
    if "\x00" in text:
        raise Unreadable("The file has binary content. Save it as CSV first.")
    wanted = [column.heading or column.name for column in args.columns]
    known = DELIMITERS.get(args.delimiter)
    lines = records(text, known or delimiter_of(text, wanted))
    _, headings = next(lines, (0, []))
    if not headings:
        raise Unreadable("The file is empty. Its first line must have the column headings.")
    if len(headings) > MOST_COLUMNS:
        raise Unreadable(f"The file has {len(headings):,} columns; {MOST_COLUMNS} can be read.")
    if args.columns:
        columns, places = args.columns, _places(args.columns, headings)
    else:
        columns, places = _all_as_text(headings), list(range(len(headings)))
    return _typed(lines, columns, places, headings, args.most)


def _all_as_text(headings: list[str]) -> list[Column]:
    names: list[str] = []
    for number, heading in enumerate(headings, 1):
        bare = re.sub(r"[^a-z0-9]+", "_", heading.casefold()).strip("_")[:34]
        name = bare if re.match("[a-z]", bare) else f"column_{number}"
        names.append(name if name not in names else f"{name}_{number}")
    return [
        Column(name=name, heading=heading[:200])
        for name, heading in zip(names, headings, strict=True)
    ]


def _places(columns: list[Column], headings: list[str]) -> list[int]:
    known: dict[str, int] = {}
    for place, heading in enumerate(headings):
        known.setdefault(heading_key(heading), place)
    missing = [
        column.heading or column.name
        for column in columns
        if heading_key(column.heading or column.name) not in known
    ]
    if missing:
        has = ", ".join(heading.strip()[:40] for heading in headings[:20])
        names = ", ".join(f"“{name}”" for name in missing[:20])
        what = "column" if len(missing) == 1 else "columns"
        raise Unreadable(f"The file has no {what} {names}. It has: {has}.")
    return [known[heading_key(column.heading or column.name)] for column in columns]


def _typed(
    lines: Iterator[tuple[int, list[str]]],
    columns: list[Column],
    places: list[int],
    headings: list[str],
    most: int,
) -> Table:
    table = Table()
    seen: dict[tuple[str, Any], int] = {}
    for line, cells in lines:
        if len(table.rows) + table.rejected_count >= most:
            raise Unreadable(f"The file has more than {most:,} rows. Nothing was read.")
        if len(cells) != len(headings):
            reason = f"The row has {len(cells)} cells, but there are {len(headings)} headings."
            table.reject(line, "", reason)
            continue
        row, problems = _row(line, cells, columns, places, seen)
        if problems:
            column, value = problems[0][0], problems[0][2]
            table.reject(line, column, " ".join(reason for _, reason, _ in problems), value)
        else:
            seen.update({(c.name, row[c.name]): line for c in columns if c.unique})
            table.rows.append(row)
    return table


def _row(
    line: int,
    cells: list[str],
    columns: list[Column],
    places: list[int],
    seen: dict[tuple[str, Any], int],
) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
    row: dict[str, Any] = {}
    problems: list[tuple[str, str, str]] = []
    for column, place in zip(columns, places, strict=True):
        cell = cells[place].strip()
        value, reason = _value(column, cell)
        first = seen.get((column.name, value)) if column.unique and value is not None else None
        if first is not None:
            reason = f"{_name(column)} “{cell[:60]}” is in line {first} already."
        if reason:
            problems.append((column.name, reason, cell))
        row[column.name] = value
    return row, problems


def _name(column: Column) -> str:
    name = column.name.replace("_", " ")
    return column.heading or name[:1].upper() + name[1:]


def _value(column: Column, cell: str) -> tuple[Any, str | None]:
    """Return the value, or the reason why the cell has none."""
    if not cell:
        return None, f"{_name(column)} is empty." if column.required else None
    match column.type:
        case "number":
            number, reason = _amount(cell, column.decimal)
            return number, reason and f"{_name(column)} “{cell[:60]}” {reason}."
        case "date":
            day = read_date(cell, column.formats)
            formats = " or ".join(column.formats)
            return (
                day,
                None if day else f"{_name(column)} “{cell[:60]}” is not a date like {formats}.",
            )
        case "boolean":
            answer = WORDS_FOR_YES_NO.get(cell.casefold())
            return answer, (
                None if answer is not None else f"{_name(column)} “{cell[:60]}” is not yes or no."
            )
    return cell, None


def _amount(cell: str, decimal: str) -> tuple[Decimal | None, str | None]:
    if decimal != "auto":
        number = read_number(cell, decimal)
        return number, None if number is not None else "is not a number"
    by_point, by_comma = read_number(cell, "."), read_number(cell, ",")
    if by_point is None and by_comma is None:
        return None, "is not a number"
    if by_point is not None and by_comma is not None and by_point != by_comma:
        return None, f"could mean {by_point} or {by_comma}; set the column's decimal mark"
    return (by_point if by_point is not None else by_comma), None


async def run(args: Args, ports: Ports) -> dict[str, Any]:
    data = await _content(args.file, ports)
    try:
        if len(data) < IN_A_THREAD:
            table = read(data, args)
        else:
            table = await asyncio.to_thread(read, data, args)
    except Unreadable as reason:
        raise StepError(
            "E-FILE-CSV",
            f"{reason}",
            proven=True,
            retryable=False,
            facts={"file": _file_name(args.file)},
        ) from None
    return {
        "rows": table.rows,
        "count": len(table.rows),
        "rejected": table.rejected,
        "rejected_count": table.rejected_count,
    }


async def _content(file: Any, ports: Ports) -> bytes | str:
    if isinstance(file, str) and file:
        return file
    if not isinstance(file, dict) or not isinstance(file.get("file"), str) or ports.files is None:
        raise input_error(TOOL, "It needs a file. Choose one at the start of the run.")
    return await ports.files.read(file["file"])


def _file_name(file: Any) -> str:
    return str(file.get("name") or "The file") if isinstance(file, dict) else "The text"


TOOL = Tool(
    name="csv.read",
    label="Read a CSV file",
    description="Reads the rows of a CSV file with typed columns and keeps bad rows with reasons.",
    args=Args,
    gives=(
        grammar.Field(name="rows", label="Rows", type="list"),
        grammar.Field(name="count", label="How many rows", type="number"),
        grammar.Field(
            name="rejected",
            label="Rejected rows",
            type="list",
            items=grammar.Field(
                type="record",
                fields=[
                    grammar.Field(name="line", label="Line", type="number"),
                    grammar.Field(name="column", label="Column", type="text"),
                    grammar.Field(name="reason", label="Reason", type="text"),
                    grammar.Field(name="value", label="Value", type="text", required=False),
                ],
            ),
        ),
        grammar.Field(name="rejected_count", label="How many rejected", type="number"),
    ),
    effect=Effect.NONE,
    run=run,
    fresh_s=600,
)

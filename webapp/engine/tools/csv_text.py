"""From the bytes of a CSV file to records of cells."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence

from webapp.engine.readings import comparable

MOST_BYTES = 20 * 1024 * 1024
MOST_CELL = 100_000
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


class Unreadable(ValueError):
    """The file as a whole can't be read; the message is a sentence for people."""


def decoded(data: bytes, encoding: str) -> str:
    """Return the text; "auto" tries the byte order mark, UTF-8, then Windows-1252.

    Raises:
        Unreadable: too large, or in no known encoding.
    """
    if len(data) > MOST_BYTES:
        raise Unreadable(f"The file has {len(data) / 2**20:.0f} MB; 20 MB can be read.")
    by_mark = next((name for mark, name in BOMS.items() if data.startswith(mark)), None)
    wanted = ["utf-8", "windows-1252"] if encoding == "auto" else [encoding]
    wanted = [by_mark] if by_mark else wanted
    for name in wanted:
        try:
            return data.decode(name)
        except UnicodeDecodeError:
            continue
    tried = " nor ".join(name.removesuffix("-sig") for name in wanted)
    raise Unreadable(f"The file's letters are not {tried}. Save it as CSV in UTF-8.")


def delimiter_of(text: str, wanted_headings: Sequence[str]) -> str:
    """Return the one that finds most of the wanted headings, then most cells."""
    wanted = {heading_key(heading) for heading in wanted_headings}

    def found(delimiter: str) -> tuple[int, int]:
        try:
            _, cells = next(records(text, delimiter), (0, []))
        except Unreadable:  # its quotation marks only match with another delimiter
            return -1, 0
        return len(wanted & {heading_key(cell) for cell in cells}), len(cells)

    return max(DELIMITERS.values(), key=found)


def records(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each record with the line on which it begins; empty lines are passed over."""
    csv.field_size_limit(MOST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise Unreadable(_what_is_wrong(error, line)) from None
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield line, cells


def _what_is_wrong(error: csv.Error, line: int) -> str:
    words = str(error)
    if "field larger" in words:
        return f"A cell in the record at line {line} has over {MOST_CELL:,} characters."
    if "end of data" in words:
        return f"A quotation mark opened at line {line} or later is never closed."
    return f"The quotation marks in the record at line {line} don't match."


def heading_key(text: str) -> str:
    """Return the form in which headings are compared: without case, and "Paid-on" is "paid on"."""
    return re.sub(r"[\s_-]+", " ", comparable(text))

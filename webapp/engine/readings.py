"""How a value reads as a number, a day, a moment or a text: said once, used by every operation.

Every function is total: a value that doesn't read so gives None, never an exception.
"""

from __future__ import annotations

import json
import re
import unicodedata
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation, Overflow
from typing import Any
from zoneinfo import ZoneInfo

EXACT = Context(prec=60, rounding=ROUND_HALF_UP, Emax=9_999, Emin=-9_999)
"""Sums and products of any numbers people write down are exact in 60 digits."""

DAY = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)
MOMENT = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})?\Z", re.ASCII
)
WORDS_OF_TRUTH = {"yes": True, "true": True, "no": False, "false": False}
SPACES = " \u00a0\u2009\u202f"


def is_empty(value: Any) -> bool:
    """null, "", [] and {} are empty; 0 and false are not."""
    return value is None or (isinstance(value, (str, list, dict)) and not value)


def as_number(value: Any) -> Decimal | None:
    """Return a number as an exact, finite Decimal; texts and booleans are no numbers."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Decimal(value) if value.bit_length() <= 4_096 else None
    if isinstance(value, float):
        value = Decimal(repr(value))
    return value if isinstance(value, Decimal) and value.is_finite() else None


def read_number(text: Any, decimal: str = ".") -> Decimal | None:
    """Read a number as people write it: "1,234.50", "-1.234,50", "€ 12", "1 000".

    The decimal mark is "." or ","; the other of the two, spaces and apostrophes group
    thousands, and only where they stand before exactly three digits.
    """
    if not isinstance(text, str) or len(text) > 200:
        return as_number(text)
    bare = "".join(c for c in text if unicodedata.category(c) != "Sc").strip(SPACES + "\t\r\n")
    bare = bare.replace("\u2212", "-")
    group = "," if decimal == "." else "."
    digits = rf"(\d+|\d{{1,3}}(?P<by>[{re.escape(group)}{SPACES}'\u2019])\d{{3}}((?P=by)\d{{3}})*)"
    if not re.fullmatch(rf"[+-]?{SPACES[0]}?({digits}({re.escape(decimal)}\d*)?)", bare, re.ASCII):
        return None
    for mark in group + SPACES + "'\u2019":
        bare = bare.replace(mark, "")
    return Decimal(bare.replace(decimal, ".").rstrip("."))


def round_to(number: Decimal, digits: int) -> Decimal | None:
    """Round half away from zero, as people do."""
    try:
        rounded = EXACT.quantize(number, Decimal(1).scaleb(-digits))
        return rounded if digits >= 0 else EXACT.quantize(rounded, Decimal(1))
    except (InvalidOperation, Overflow):
        return None


def as_day(value: Any, zone: str = "UTC") -> date | None:
    """Return the calendar day of a date or, in `zone`, of a date-time."""
    if isinstance(value, str) and DAY.match(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            return None
    moment = as_moment(value, zone)
    return moment.astimezone(zone_of(zone)).date() if moment else None


def as_moment(value: Any, zone: str = "UTC") -> datetime | None:
    """Return the instant of a date-time; a time without offset and a bare date count in `zone`."""
    if not isinstance(value, str):
        return None
    try:
        if DAY.match(value):
            return datetime.combine(date.fromisoformat(value), time(), zone_of(zone))
        if not MOMENT.match(value):
            return None
        moment = datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=zone_of(zone))
        moment.astimezone(UTC)  # years 1 and 9999 may leave the calendar here
    except (ValueError, OverflowError):
        return None
    return moment


def zone_of(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return ZoneInfo("UTC")


def as_truth(value: Any) -> bool | None:
    """Return yes/no of a boolean or of the words for it."""
    if isinstance(value, bool):
        return value
    return WORDS_OF_TRUTH.get(comparable(value)) if isinstance(value, str) else None


def as_text(value: Any) -> str:
    """Write a value as people read it inside a sentence."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    number = as_number(value)
    if number is not None:
        return number_text(number)
    if isinstance(value, list) and not any(isinstance(item, (list, dict)) for item in value):
        return ", ".join(as_text(item) for item in value)
    if isinstance(value, dict) and isinstance(value.get("name"), str) and "file" in value:
        return str(value["name"])
    return json.dumps(value, ensure_ascii=False, default=as_text)


def number_text(number: Decimal) -> str:
    """Write all digits without an exponent, except for sizes nobody would read."""
    return format(number, "f") if abs(number.adjusted()) < 400 else str(number)


def comparable(text: str) -> str:
    """The form in which two texts are compared: without case, spelling form or outer spaces."""
    return unicodedata.normalize("NFC", text).strip().casefold()

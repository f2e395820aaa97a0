"""Dates as people write them."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import Any

MONTHS = [
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
]  # fmt: skip
WORDS = {
    "YYYY": r"(?P<y>\d{4})",
    "YY": r"(?P<yy>\d{2})",
    "MMMM": r"(?P<month>[A-Za-z]{3,9})",
    "MMM": r"(?P<month>[A-Za-z]{3,9})",
    "MM": r"(?P<m>\d{2})",
    "M": r"(?P<m>\d{1,2})",
    "DD": r"(?P<d>\d{2})",
    "D": r"(?P<d>\d{1,2})",
}


def read_date(text: Any, formats: Sequence[str]) -> str | None:
    """Read a date written in one of `formats` ("DD.MM.YYYY", "D MMM YYYY"); return it as ISO."""
    if not isinstance(text, str) or len(text) > 100:
        return None
    for form in formats:
        found = _pattern(form).fullmatch(text.strip())
        day = _date_of(found.groupdict()) if found else None
        if day:
            return day.isoformat()
    return None


@lru_cache(maxsize=256)
def _pattern(form: str) -> re.Pattern[str]:
    parts = re.split(r"(YYYY|YY|MMMM|MMM|MM|M|DD|D)", form)
    seen: set[str] = set()
    pattern = ""
    for part in parts:
        # A word that comes twice would be a second group of the same name.
        known = part in WORDS and part[0] not in seen
        pattern += WORDS[part] if known else re.escape(part)
        seen |= {part[0]} if known else set()
    return re.compile(pattern, re.ASCII)


def _date_of(parts: dict[str, str]) -> date | None:
    if "month" in parts:
        names = [name[:3].lower() for name in MONTHS]
        short = parts["month"][:3].lower()
        if short not in names:
            return None
        parts["m"] = str(names.index(short) + 1)
    if "yy" in parts:  # 70..99 are the last century, as in POSIX
        parts["y"] = str(int(parts["yy"]) + (1900 if int(parts["yy"]) >= 70 else 2000))
    try:
        return date(int(parts["y"]), int(parts["m"]), int(parts.get("d", "1")))
    except (KeyError, ValueError):
        return None


def months_on(day: date, n: int) -> date:
    """Return the day n months on; 31 January plus a month is the last day of February."""
    year, month = divmod(day.year * 12 + day.month - 1 + n, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))

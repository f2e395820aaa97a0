"""Small changes to a value on its way into a step: first 200 words, as money, only the day.

Every word is total: it never raises, and a value of the wrong type becomes empty. Texts are
English.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, DecimalException
from typing import Any

from webapp.engine.dates import MONTHS, months_on, read_date
from webapp.engine.readings import (
    EXACT,
    as_day,
    as_moment,
    as_number,
    as_text,
    number_text,
    read_number,
    round_to,
    zone_of,
)

Facts = Mapping[str, Any]
"""What a word may know beside the value: `zone` of the organization, `files` by id."""

SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "INR": "₹", "KRW": "₩", "ILS": "₪"}
WHOLE_CURRENCIES = {"JPY", "KRW", "CLP", "ISK", "VND", "HUF", "XAF", "XOF", "UGX", "PYG"}
STYLES: dict[str, str] = {
    "short": "{d} {m3} {y}",
    "long": "{weekday} {d} {month} {y}",
    "numeric": "{y}-{m}-{dd}",
    "month": "{month} {y}",
    "weekday": "{weekday}",
    "time": "{time}",
    "with_time": "{d} {m3} {y}, {time}",
    "day_month": "{d} {month}",
    "medium": "{d} {month} {y}",
}
"""Ways to write a date; a word that isn't here writes as "medium" does."""
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"


def adjust(value: Any, adjustments: Sequence[Mapping[str, Any]], facts: Facts | None = None) -> Any:
    """Apply adjustments (`{"do": word, ...}`) to `value` from left to right."""
    for one in adjustments:
        settings = dict(one)
        word = WORDS.get(settings.pop("do", ""))
        given = {name: setting for name, setting in settings.items() if setting is not None}
        try:
            value = word(value, facts or {}, **given) if word else None
        except (ValueError, TypeError, OverflowError, DecimalException):
            value = None
    return value


# Text


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def first_words(value: Any, facts: Facts, n: int = 200) -> str:
    matches = list(re.finditer(r"\S+", _text(value)))
    return value if len(matches) <= n else value[: matches[n - 1].end()] if n > 0 else ""


def first_characters(value: Any, facts: Facts, n: int = 200) -> str:
    return _text(value)[: max(n, 0)]


def upper(value: Any, facts: Facts) -> str:
    return _text(value).upper()


def lower(value: Any, facts: Facts) -> str:
    return _text(value).lower()


def trim(value: Any, facts: Facts) -> str:
    return _text(value).strip()


def one_line(value: Any, facts: Facts) -> str:
    return " ".join(_text(value).split())


def to_number(value: Any, facts: Facts, decimal: str = ".") -> Decimal | None:
    return read_number(_text(value), decimal)


def to_date(value: Any, facts: Facts, formats: Sequence[str] = ("YYYY-MM-DD",)) -> str | None:
    return read_date(_text(value), formats)


# Numbers


def _number(value: Any) -> Decimal:
    number = as_number(value)
    if number is None:
        raise TypeError
    return number


def round_(value: Any, facts: Facts, digits: int = 0) -> Decimal | None:
    return round_to(_number(value), digits)


def money(value: Any, facts: Facts, currency: str = "EUR") -> str | None:
    """Write "€1,234.50" or "CHF 1,234.50"; yen and their like have no decimals."""
    currency = currency.upper()
    amount = round_to(_number(value), 0 if currency in WHOLE_CURRENCIES else 2)
    if amount is None:
        return None
    sign = "-" if amount < 0 else ""
    symbol = SYMBOLS.get(currency, f"{currency} ")
    return f"{sign}{symbol}{amount.copy_abs():,f}"


def percent(value: Any, facts: Facts, digits: int = 0) -> str | None:
    """Write a share as percent: 0.25 is "25%"."""
    share = round_to(EXACT.multiply(_number(value), Decimal(100)), max(digits, 0))
    return None if share is None else f"{number_text(share)}%"


# Dates


def _zone(facts: Facts) -> str:
    return str(facts.get("zone") or "UTC")


def _is_day(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 10


def format_(value: Any, facts: Facts, style: str = "medium") -> str | None:
    moment = as_moment(value, _zone(facts))
    if moment is None:
        return None
    local = moment.astimezone(zone_of(_zone(facts)))
    month, weekday = MONTHS[local.month - 1], WEEKDAYS.split()[local.weekday()]
    return STYLES.get(style, STYLES["medium"]).format(
        y=f"{local.year:04d}",
        m=f"{local.month:02d}",
        d=local.day,
        dd=f"{local.day:02d}",
        m3=month[:3],
        month=month,
        weekday=weekday,
        time=f"{local.hour:02d}:{local.minute:02d}",
    )


def add(value: Any, facts: Facts, n: int = 1, unit: str = "days") -> str | None:
    """Add days, hours or months; 31 January plus a month is the last day of February."""
    moment = as_moment(value, _zone(facts))
    if moment is None:
        return None
    moment = moment.astimezone(zone_of(_zone(facts)))
    if unit == "hours":
        return _iso(moment + timedelta(hours=n))
    day = moment.date() + timedelta(days=n) if unit == "days" else months_on(moment.date(), n)
    if _is_day(value):
        return day.isoformat()
    return _iso(datetime.combine(day, moment.timetz()))


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def day(value: Any, facts: Facts) -> str | None:
    found = as_day(value, _zone(facts))
    return found.isoformat() if found else None


# Lists


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError
    return value


def first(value: Any, facts: Facts) -> Any:
    return _list(value)[0] if value else None


def last(value: Any, facts: Facts) -> Any:
    return _list(value)[-1] if value else None


def count(value: Any, facts: Facts) -> int:
    return len(_list(value))


def bullets(value: Any, facts: Facts) -> str:
    return "\n".join(f"- {as_text(item)}" for item in _list(value))


def commas(value: Any, facts: Facts) -> str:
    return ", ".join(as_text(item) for item in _list(value))


def field(value: Any, facts: Facts, name: str = "") -> list[Any]:
    """One field of each item; an item that lacks it gives an empty place."""
    return [item.get(name) if isinstance(item, dict) else None for item in _list(value)]


def sum_(value: Any, facts: Facts, name: str = "") -> Decimal:
    """Add up one field of each item, or the items themselves; what is no number counts nothing."""
    total = Decimal(0)
    for item in field(value, facts, name) if name else _list(value):
        total = EXACT.add(total, as_number(item) or Decimal(0))
    return total


# Files and choices


def _file(value: Any, facts: Facts) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not isinstance(value.get("file"), str):
        raise TypeError
    known = facts.get("files") or {}
    return {**value, **(known.get(value["file"]) or {})}


def filename(value: Any, facts: Facts) -> Any:
    return _file(value, facts).get("name")


def link(value: Any, facts: Facts) -> Any:
    return _file(value, facts).get("link")


def text(value: Any, facts: Facts) -> Any:
    return _file(value, facts).get("text")


def label(value: Any, facts: Facts) -> str:
    """Write a choice for people: "very_urgent" is "Very urgent"."""
    words = _text(value).replace("_", " ").strip()
    return words[:1].upper() + words[1:]


WORDS: dict[str, Callable[..., Any]] = {
    "first_words": first_words,
    "first_characters": first_characters,
    "upper": upper,
    "lower": lower,
    "trim": trim,
    "one_line": one_line,
    "to_number": to_number,
    "to_date": to_date,
    "round": round_,
    "money": money,
    "percent": percent,
    "format": format_,
    "add": add,
    "day": day,
    "first": first,
    "last": last,
    "count": count,
    "bullets": bullets,
    "commas": commas,
    "field": field,
    "sum": sum_,
    "filename": filename,
    "link": link,
    "text": text,
    "label": label,
}

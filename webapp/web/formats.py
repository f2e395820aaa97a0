"""How numbers, money, times and sizes read on a page. Pure functions, usable as filters."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from zoneinfo import ZoneInfo

from webapp.kernel import clock

NOTHING = "–"
SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}
FEW = 20  # below this, counts say more than a percentage
DAY_S = 86_400
MOST_DIGITS = 400

log = logging.getLogger(__name__)


def duration(seconds: float | Decimal | None) -> str:
    """Say a length of time: 4 ms, 0.8 s, 14 s, 3 min 12 s, 2 h 5 min, 3 days 4 h."""
    if seconds is None:
        return NOTHING
    if seconds < 0:
        log.warning("A length of time is negative (%s s): clocks disagree.", seconds)
        return NOTHING
    tenths = round(float(seconds), 1)
    if seconds < 0.095:
        return f"{max(round(float(seconds) * 1000), int(seconds > 0))} ms"
    if tenths < 10:
        return f"{tenths:.1f} s"
    whole = round(float(seconds))
    minutes, rest_s = divmod(whole, 60)
    hours, rest_min = divmod(minutes, 60)
    days, rest_h = divmod(hours, 24)
    if whole < 60:
        return f"{whole} s"
    if not hours:
        return _pair(f"{minutes} min", rest_s, "s")
    if not days:
        return _pair(f"{hours} h", rest_min, "min")
    return _pair(count(days, "day"), rest_h, "h")


def _pair(first: str, rest: int, unit: str) -> str:
    return f"{first} {rest} {unit}" if rest else first


def number(value: float | Decimal | None) -> str:
    """Write a number with its own digits and separators: 1,284 or 1,234.50."""
    if value is None:
        return NOTHING
    if isinstance(value, int):
        return f"{value:,}"
    exact = Decimal(str(value))
    # 1e999999999 written out would take a gigabyte, and the process with it.
    return f"{exact:,f}" if abs(exact.adjusted()) < MOST_DIGITS else str(exact)


def compact(value: int) -> str:
    """Write a number for a number card: 12.3k. The exact one belongs beside it."""
    if abs(value) < 10_000:
        return number(value)
    for size, letter in ((1_000_000_000, "bn"), (1_000_000, "m"), (1_000, "k")):
        if abs(value) >= size:
            return f"{value / size:.1f}".removesuffix(".0") + letter
    raise AssertionError(value)


def count(amount: int, one: str, many: str = "") -> str:
    """Say how many: 1 run, 3 runs, no runs."""
    if amount == 1:
        return f"1 {one}"
    return f"{number(amount) if amount else 'no'} {many or one + 's'}"


def percent(ratio: float | Decimal | None) -> str:
    """Write a ratio (0 to 1) in percent: 97 %, below ten with one decimal."""
    if ratio is None:
        return NOTHING
    hundred = float(ratio) * 100
    rounded = round(hundred, 1)
    if 0 < abs(rounded) < 10:
        return f"{rounded:.1f} %"
    return f"{round(hundred)} %"


def share(part: int, whole: int) -> str:
    """Say a part of a whole: 3 of 4, and from 20 on in percent."""
    return f"{number(part)} of {number(whole)}" if whole < FEW else percent(part / whole)


def money(amount: Decimal | float | None, currency: str = "USD") -> str:
    """Write an amount with as many decimals as its size needs: $1,320.00, $0.043, $0.0042."""
    if amount is None:
        return NOTHING
    exact = Decimal(str(amount))
    size = abs(exact)
    sign = "-" if exact < 0 else ""
    if 0 < size < Decimal("0.0001"):
        return f"under {_with_symbol('0.0001', currency)}"
    digits = (
        2 if size == 0 or _round(size, 3) >= 1 else 3 if _round(size, 4) >= Decimal("0.01") else 4
    )
    return sign + _with_symbol(f"{_round(size, digits):,f}", currency)


def cost(nano_usd: int | None) -> str:
    """Write what something cost, given in billionths of a US dollar; nothing is a dash."""
    return money(Decimal(nano_usd).scaleb(-9)) if nano_usd else NOTHING


def about(amount: Decimal | float | None, currency: str = "USD") -> str:
    """Write an estimate: about $0.03, one significant digit."""
    if not amount:
        return NOTHING
    exact = Decimal(str(amount))
    rough = exact.quantize(Decimal(1).scaleb(exact.adjusted()))
    return f"about {_with_symbol(f'{rough:,f}', currency)}"


def _round(amount: Decimal, digits: int) -> Decimal:
    return amount.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_EVEN)


def _with_symbol(digits: str, currency: str) -> str:
    symbol = SYMBOLS.get(currency)
    return f"{symbol}{digits}" if symbol else f"{currency} {digits}"


def size(amount: int | None) -> str:
    """Write a size of a file: 184 KB, 1.2 MB."""
    if amount is None:
        return NOTHING
    if amount < 1_000:
        return count(amount, "byte") if amount else "empty"
    for unit, letters in ((1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "KB")):
        if amount >= unit:
            value = amount / unit
            return f"{value:.1f} {letters}" if value < 10 else f"{round(value):,} {letters}"
    raise AssertionError(amount)


def when(at: datetime | None, zone: str = "UTC") -> str:
    """Write a point in time: 4 Mar 2026, 14:02."""
    if at is None:
        return NOTHING
    local = at.astimezone(ZoneInfo(zone))
    return f"{local.day} {local:%b %Y, %H:%M}"


def moment(at: datetime, zone: str = "UTC") -> str:
    """Write a point in time in full: Wed 4 March 2026, 14:02:11 (Europe/Berlin)."""
    local = at.astimezone(ZoneInfo(zone))
    return f"{local:%a} {local.day} {local:%B %Y, %H:%M:%S} ({zone})"


def machine_time(at: datetime) -> str:
    """Write a point in time for the `datetime` attribute."""
    return at.astimezone(ZoneInfo("UTC")).strftime("%Y-%m-%dT%H:%M:%SZ")


def ago(at: datetime | None, zone: str = "UTC", now: datetime | None = None) -> str:
    """Say how long ago, the way `tell-time.js` says it: just now, 3 min ago, Mon 08:00."""
    if at is None:
        return NOTHING
    past_s = ((now or clock.now()) - at).total_seconds()
    away_s = abs(past_s)
    if away_s < 60:
        return "just now" if past_s >= 0 else "in under a minute"
    if away_s < DAY_S:
        text = f"{int(away_s // 60)} min" if away_s < 3600 else f"{int(away_s // 3600)} h"
        return f"{text} ago" if past_s > 0 else f"in {text}"
    if away_s < 7 * DAY_S:
        return f"{at.astimezone(ZoneInfo(zone)):%a %H:%M}"
    return when(at, zone)


def deadline(at: datetime, zone: str = "UTC", now: datetime | None = None) -> str:
    """Write a time that is due, absolute and relative: Fri 6 March, 17:00 (in 2 days)."""
    local = at.astimezone(ZoneInfo(zone))
    left_s = (at - (now or clock.now())).total_seconds()
    text = f"{local:%a} {local.day} {local:%B, %H:%M}"
    if left_s < 0:
        return f"{text} (over)"
    days = int(left_s // DAY_S)
    hours = int(left_s // 3600)
    if days >= 2:
        return f"{text} (in {days} days)"
    return f"{text} (in {hours} h)" if hours else f"{text} (in {int(left_s // 60)} min)"


def words(name: str) -> str:
    """Make a label of a name in code: days_late becomes Days late."""
    text = name.replace("_", " ").strip()
    return text[:1].upper() + text[1:]


FILTERS: dict[str, Callable[..., Any]] = {
    "about": about,
    "ago": ago,
    "compact": compact,
    "cost": cost,
    "counted": count,
    "deadline": deadline,
    "duration": duration,
    "machine_time": machine_time,
    "moment": moment,
    "money": money,
    "number": number,
    "percent": percent,
    "share": share,
    "size": size,
    "when": when,
    "words": words,
}

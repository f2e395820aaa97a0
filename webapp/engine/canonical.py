"""JSON in one spelling: the bytes that the journal freezes, with every number exact."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import simplejson

MOST_DEPTH = 128
MOST_DIGITS = 10_000
"""Of a number, written out: 1e999999999 is short to send and a gigabyte to show."""


def to_bytes(value: Any) -> bytes:
    """Write sorted keys, no spaces, UTF-8, and decimals as number literals of all their digits."""
    text: str = _WRITE.encode(value)
    return text.encode("utf-8", "replace")


def from_bytes(data: bytes | str) -> Any:
    """Read JSON from outside, or what `to_bytes` wrote; fractions come as Decimal.

    NUL and halves of surrogate pairs, which databases refuse, come as replacement characters.

    Raises:
        ValueError: no JSON, nested too deeply, or with a number that nobody can write out.
    """
    text = data if isinstance(data, str) else data.decode()
    try:
        value = _READ.decode(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    odd = "\\u0000" in text or "\\ud" in text or "\\uD" in text or not _is_utf8(text)
    if odd or text.count("[") + text.count("{") > MOST_DEPTH:
        return _cleaned(value, MOST_DEPTH)
    return value


def _is_utf8(text: str) -> bool:
    return text.isascii() or text == storable(text)


def storable(text: str) -> str:
    """Return the text with replacement characters for what no database keeps."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _cleaned(value: Any, depth: int) -> Any:
    if depth < 0:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, list):
        return [_cleaned(item, depth - 1) for item in value]
    if isinstance(value, dict):
        return {storable(name): _cleaned(item, depth - 1) for name, item in value.items()}
    return value


def _fraction(digits: str) -> Decimal:
    try:
        number = Decimal(digits)
    except InvalidOperation as error:
        raise ValueError("a number out of reach") from error
    if len(digits) > MOST_DIGITS or abs(number.adjusted()) > MOST_DIGITS:
        raise ValueError(f"a number of more than {MOST_DIGITS} digits")
    return number


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number of more than {MOST_DIGITS} digits")
    return int(digits)


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


# Made once: `dumps` and `loads` make a writer or reader for each call that asks for anything
# special, and every step passes here several times.
_WRITE: Final = simplejson.JSONEncoder(
    use_decimal=True,
    sort_keys=True,
    separators=(",", ":"),
    ensure_ascii=False,
    ignore_nan=True,
)
_READ: Final = json.JSONDecoder(parse_float=_fraction, parse_int=_whole, parse_constant=_refuse)

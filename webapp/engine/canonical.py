"""JSON in one spelling: the bytes that the journal freezes, with every number exact."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import simplejson


def to_bytes(value: Any) -> bytes:
    """Write sorted keys, no spaces, UTF-8, and decimals as number literals of all their digits."""
    text = simplejson.dumps(
        value,
        use_decimal=True,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        ignore_nan=True,
    )
    return text.encode("utf-8", "replace")


def from_bytes(data: bytes | str) -> Any:
    """Read JSON with fractions as Decimal; NaN and Infinity, which JSON doesn't have, are refused.

    Raises:
        ValueError: no JSON, or nested too deeply.
    """
    try:
        return json.loads(data, parse_float=Decimal, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")

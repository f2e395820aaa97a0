"""JSON as rows keep it: decimals exactly as written, no NaN, no surprises in key order."""

from __future__ import annotations

from typing import Any

import simplejson


def dumps(value: Any) -> str:
    """Return compact JSON; a `Decimal` becomes the number it is."""
    return simplejson.dumps(
        value, use_decimal=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def loads(text: str | bytes) -> Any:
    """Return the value; numbers with a fraction become `Decimal`."""
    return simplejson.loads(text, use_decimal=True)


def canonical(value: Any) -> str:
    """Return one text for equal values: sorted keys, no spaces; for hashing and signing."""
    return simplejson.dumps(
        value,
        use_decimal=True,
        separators=(",", ":"),
        sort_keys=True,
        ensure_ascii=False,
        allow_nan=False,
    )


def pretty(value: Any) -> str:
    """Return JSON for people to read: indented, letters as they are."""
    return simplejson.dumps(value, use_decimal=True, indent=2, ensure_ascii=False, default=str)

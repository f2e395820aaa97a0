"""JSON as rows keep it: decimals exactly as written, no NaN, no surprises in key order."""

from __future__ import annotations

from typing import Any, Final

import simplejson

# Made once: `simplejson.dumps` makes an encoder for each call that asks for anything special.
_COMPACT: Final = simplejson.JSONEncoder(
    use_decimal=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


def dumps(value: Any) -> str:
    """Return compact JSON; a `Decimal` becomes the number it is."""
    text: str = _COMPACT.encode(value)
    return text


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

"""The JSON Canonicalization Scheme: one spelling of a document, to take a hash of.

Source: RFC 8785. Numbers are written as ECMAScript writes doubles; a decimal that no double
holds keeps all its digits instead, so that two plans that differ there differ in their hash.
"""

from __future__ import annotations

from decimal import Decimal
from hashlib import sha256
from json.encoder import encode_basestring
from typing import Any


def sha256_of(doc: Any) -> str:
    return sha256(canonical(doc).encode("utf-8", "surrogatepass")).hexdigest()


def canonical(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return encode_basestring(value)
        case int() | float() | Decimal():
            return _number(value)
        case list() | tuple():
            return f"[{','.join(canonical(item) for item in value)}]"
        case dict():
            # Keys are ordered by their UTF-16 code units, not by code points.
            keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
            pairs = (f"{encode_basestring(key)}:{canonical(value[key])}" for key in keys)
            return f"{{{','.join(pairs)}}}"
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _number(value: float | Decimal) -> str:
    exact = Decimal(value) if isinstance(value, int) else Decimal(str(value))
    if not exact.is_finite():
        raise ValueError("JSON has no such number")
    if exact == 0:
        return "0"
    double = Decimal(repr(float(exact))) if abs(exact.adjusted()) < 308 else None
    return _ecmascript(double if double == exact else exact)


def _ecmascript(number: Decimal) -> str:
    """Write as Number::toString does (ECMA-262, 6.1.6.1.20)."""
    sign = "-" if number < 0 else ""
    _, all_digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, all_digits))
    digits = text.rstrip("0")
    point = len(text) + exponent
    if 0 < point <= 21:
        whole, rest = digits[:point].ljust(point, "0"), digits[point:]
        return f"{sign}{whole}.{rest}" if rest else sign + whole
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    mantissa = digits[0] + (f".{digits[1:]}" if digits[1:] else "")
    return f"{sign}{mantissa}e{point - 1:+d}"

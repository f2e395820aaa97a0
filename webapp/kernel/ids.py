"""Ids: UUIDv7 inside, a prefix and 26 Crockford characters of the same bits outside.

Source: RFC 9562 section 5.7 (UUIDv7, with the monotonic counter of section 6.2 method 1).
"""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from webapp.kernel.errors import NotFound

# Crockford base32: no I, L, O or U, so that ids survive being read aloud.
_DIGITS: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS: Final = tuple(high + low for high in _DIGITS for low in _DIGITS)
_VALUES: Final = {digit: value for value, digit in enumerate(_DIGITS)}

_lock = threading.Lock()
_last: tuple[int, int] = (0, 0)


def new_id() -> UUID:
    """Return a UUIDv7, greater than every one this process made before."""
    global _last
    random = int.from_bytes(os.urandom(10), "big")
    with _lock:
        millis, counter = time.time_ns() // 1_000_000, random >> 69  # 11 bits: room to count up
        last_millis, last_counter = _last
        if millis <= last_millis:
            millis, counter = last_millis, last_counter + 1
            if counter > 0xFFF:
                millis, counter = millis + 1, 0
        _last = (millis, counter)
    bits = (millis & (2**48 - 1)) << 80 | 0x7 << 76 | counter << 64 | 0b10 << 62
    return UUID(int=bits | random & (2**62 - 1))


def first_id(moment: datetime) -> UUID:
    """Return an id below every one that is made from this moment on."""
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)


def time_of(value: UUID) -> datetime:
    """Return when an id was made, to the millisecond."""
    return datetime.fromtimestamp((value.int >> 80) / 1000, UTC)


def public_id(prefix: str, value: UUID) -> str:
    """Return the outside form, such as "run_01k3…" with 26 characters behind the prefix."""
    bits = value.int
    digits = "".join([_PAIRS[bits >> shift & 1023] for shift in range(120, -1, -10)])
    return f"{prefix}_{digits}"


def parse_id(prefix: str, text: str) -> UUID:
    """Return the id behind a public id.

    Raises:
        NotFound: it is no id of this kind; an unknown id answers the same.
    """
    head, mark, digits = text.partition("_")
    if head != prefix or not mark or len(digits) != 26:
        raise NotFound()
    value = 0
    for digit in digits:
        if digit not in _VALUES:
            raise NotFound()
        value = value * 32 + _VALUES[digit]
    if value >> 128:
        raise NotFound()
    return UUID(int=value)


def short(public: str) -> str:
    """Return the last six characters, as pages show an id."""
    return public[-6:]

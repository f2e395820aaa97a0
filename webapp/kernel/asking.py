"""What an address can ask: ids, whole numbers, and which page of a list.

A query is a `Draft` like a body, so an unknown word or a wrong value gets a sentence instead of
being passed over, and the description of the API is made from the same lines.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from webapp.kernel.drafts import Draft

MOST_ITEMS: Final = 200
USUAL_ITEMS: Final = 50


def id_pattern(prefix: str) -> str:
    """Return what ids of this kind look like: 128 bits in 26 Crockford digits."""
    return rf"^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$"


def _digits(value: Any) -> Any:
    """Take plain digits only: pydantic would also read "+5", "5.0" and "1_0"."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 10:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("Write a whole number in digits, such as 50.")


def whole(value: Any) -> Any:
    """Take whole numbers of JSON, 2.0 too, but no text: a body says what it means."""
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("Send a whole number, without quotes.")


def exact(value: Any) -> Any:
    """Read 2.0 as 2, as JSON may write it; anything else is for the field to judge."""
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return value


Exact = Annotated[int, BeforeValidator(exact), Field(strict=True)]
"""A whole number that is sent as one: no text of digits. Forms make numbers of what was typed."""

CountingNumber = Annotated[int, Field(ge=1, le=2**31 - 1), BeforeValidator(whole)]
"""Revisions and versions in a body: 1, 2, 3…"""

WholeNumber = Annotated[int, BeforeValidator(_digits)]


def an_id(prefix: str, about: str | None = None) -> Any:
    """Return the field of an id of this kind."""
    return Field(pattern=id_pattern(prefix), description=about)


def a_cursor(prefix: str) -> Any:
    """Return the field of a list's cursor: the id of the last row that was seen."""
    return an_id(prefix, "What `next` said in the answer before; without it the list begins.")


class Listed(Draft):
    """Which page of a list, newest first. Lists narrow `after` to the ids of their rows."""

    limit: WholeNumber = Field(
        USUAL_ITEMS, ge=1, le=MOST_ITEMS, description="How many come in this answer at most."
    )
    after: str | None = None
    cursor: str | None = None
    """Another name of `after`."""

"""Prices as people say them: in US dollars for a million tokens."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

NANO_A_TOKEN = 1000
"""One dollar for a million tokens is so many nano-dollars a token."""

Usd = Annotated[Decimal, Field(ge=0, le=1_000_000, max_digits=16, decimal_places=9)]


class NewPrice(BaseModel):
    """What a model costs from a moment on; without one: from now on."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    usd_in: Usd
    usd_out: Usd
    usd_cached: Usd | None = None
    """Tokens that the server has in its cache; None: they cost what others cost."""
    from_at: datetime | None = None


class ModelPrice(BaseModel):
    model: str
    from_at: datetime
    usd_in: Decimal
    usd_out: Decimal
    usd_cached: Decimal
    valid: bool
    """Whether it holds now; the others are over, or are still to come."""

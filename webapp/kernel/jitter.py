"""Pauses of slightly different length, so that processes do not all come at once."""

from __future__ import annotations

import random
from typing import Final

# Not the generator that everybody shares: threads that draw from it change what others draw.
_DRAW: Final = random.SystemRandom()


def jittered(seconds: float, least: float = 0.8, most: float = 1.2) -> float:
    """Return `seconds` times something between `least` and `most`."""
    return seconds * _DRAW.uniform(least, most)

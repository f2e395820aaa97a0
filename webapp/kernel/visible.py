"""Texts that come from outside, shown so that nothing in them can hide or turn what is read."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_KEPT: Final = frozenset("\n\t")
# Fillers and blanks that Unicode calls letters or symbols, and that nobody can see.
_BLANK: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5")
_RUN: Final = re.compile(r"[\ufe00-\ufe0f\U000e0100-\U000e01ef]")  # choose how a letter looks


def made_visible(text: str) -> str:
    """Return the text with every control, direction, zero-width and tag character written out.

    What turns the direction of a text becomes "‹U+202E›". Line ends stay what they are.
    """
    text = text.replace("\r\n", "\n")
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"‹U+{ord(one):04X}›" if _is_hidden(one) else one for one in text)


def _is_hidden(letter: str) -> bool:
    if letter in _KEPT:
        return False
    if letter in _BLANK or _RUN.match(letter):
        return True
    # Cc controls, Cf directions, joiners and tags, Co private, Cs halves, Cn nothing; Zl, Zp ends.
    return unicodedata.category(letter) in {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}

"""Passwords: which are too easy, how they are kept, how they are checked.

Argon2id in the profile of OWASP's Password Storage Cheat Sheet (19 MiB, t=2, p=1): 21 ms here,
where the library's default takes 230 ms and 64 MiB for each sign-in.
"""

from __future__ import annotations

import re
import threading
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# Each hash takes 19 MiB and a core: a flood of sign-ins must not take them all.
_at_work = threading.BoundedSemaphore(4)
_NOBODY = _hasher.hash("nobody has this password")

_COMMON = (
    "password", "passwort", "letmein", "welcome", "iloveyou", "princess", "football", "baseball",
    "sunshine", "superman", "dragon", "monkey", "shadow", "master", "starwars", "whatever",
    "trustno", "computer", "internet", "secret", "admin", "login", "changeme", "deckhand", "qwerty",
    "qwertz", "azerty", "asdf", "zxcv", "yxcv", "abc", "test", "hello", "michael", "jordan",
    "liverpool", "unbelievable", "administrator", "correcthorsebatterystaple",
)  # fmt: skip
_ROWS = (
    "abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm", "1qaz2wsx3edc4rfv5tgb6yhn7ujm", "1q2w3e4r5t6y7u8i9o0p",
    "qazwsxedcrfvtgbyhnujm", "a1b2c3d4e5f6g7h8",
)  # fmt: skip


def why_too_easy(password: str, *about: str) -> str | None:
    """Return the sentence that says why others would guess it, or None.

    Args:
        about: the person's name and address, which others know.
    """
    plain = unicodedata.normalize("NFKC", password).casefold()
    if "\0" in plain:
        return "It holds a character that cannot be stored. Type the text again."
    if len(set(plain)) < 5:
        return "It repeats the same few characters. Choose a longer sentence."
    if _repeats(plain):
        return "It repeats one short piece. Choose a sentence of your own."
    known = sorted(_known(about), key=len, reverse=True)
    rests = (_without_rows(_without(known, plain)), _without(known, _without_rows(plain)))
    if any(len(rest) < 8 and len(re.sub(r"[\W\d_]", "", rest)) < 3 for rest in rests):
        return "It is one that others would try early. Choose a sentence of your own."
    return None


def _without(words: list[str], plain: str) -> str:
    for word in words:
        plain = plain.replace(word, "")
    return plain


def _known(about: tuple[str, ...]) -> set[str]:
    parts = {part for text in about for part in re.split(r"[\W_]+", text.casefold())}
    return {part for part in parts if len(part) >= 3} | set(_COMMON)


def _repeats(plain: str) -> bool:
    return plain in (plain + plain)[1:-1]


def _without_rows(plain: str) -> str:
    """Remove runs of five or more neighbors of the keyboard, the alphabet or the digits."""
    for row in _ROWS:
        for line in (row, row[::-1]):
            for length in range(min(len(line), len(plain)), 4, -1):
                for start in range(len(line) - length + 1):
                    plain = plain.replace(line[start : start + length], "")
    return plain


def hash_password(password: str) -> str:
    with _at_work:
        return _hasher.hash(_same_form(password))


def matches(password: str, kept: str | None) -> bool:
    """Whether the password belongs to the hash; takes as long when there is none."""
    with _at_work:
        try:
            right = _hasher.verify(kept or _NOBODY, _same_form(password))
        except (VerifyMismatchError, VerificationError, InvalidHashError):
            return False
    return right and kept is not None


def _same_form(password: str) -> bytes:
    # One keyboard sends é as one character, another as two.
    return unicodedata.normalize("NFC", password).encode("utf-8", "replace")

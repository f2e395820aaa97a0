"""What repeating a request may do to the world."""

from __future__ import annotations

from enum import StrEnum


class Effect(StrEnum):
    NONE = "none"
    IDEMPOTENT = "idempotent"
    AT_LEAST_ONCE = "at_least_once"
    AT_MOST_ONCE = "at_most_once"

    @property
    def may_repeat(self) -> bool:
        return self is not Effect.AT_MOST_ONCE

"""Which parts of the steward are at work, as marks in Redis that go by themselves."""

from __future__ import annotations

from typing import Final

import redis

PARTS: Final = ("clock", "relay", "sweep")
SAID_EVERY_S: Final = 5.0
_KEPT_S: Final = 30


def say_present(client: redis.Redis, part: str) -> None:
    """Mark that a process keeps the duties of `part`."""
    client.set(f"dh:present:{part}", 1, ex=_KEPT_S)


def present(client: redis.Redis) -> dict[str, bool]:
    """Return each part, and whether some process kept its duties within the last 30 s."""
    marks = client.mget([f"dh:present:{part}" for part in PARTS])
    return {part: mark is not None for part, mark in zip(PARTS, marks, strict=True)}

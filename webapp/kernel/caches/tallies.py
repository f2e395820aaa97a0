"""What the caches of all processes did, added up in Redis for people; some may be lost."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, Final

import redis

from webapp.kernel.caches.cache import Figures

_KEY: Final = "dh:cache-figures"


class Tally:
    """Adds what one process's cache did since the last time."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._told = Figures()

    def add(self, figures: Figures) -> None:
        counted = replace(figures)
        told = asdict(self._told)
        try:
            pipe = self._client.pipeline(transaction=False)
            for name, count in asdict(counted).items():
                if count != told[name]:
                    pipe.hincrby(_KEY, name, count - told[name])
            pipe.execute()
        except (redis.RedisError, OSError):
            return
        self._told = counted


def tallied(client: redis.Redis) -> Figures:
    """Return what all caches did since Redis began."""
    found: Any = client.hgetall(_KEY)
    return Figures(**{name.decode(): int(count) for name, count in found.items()})

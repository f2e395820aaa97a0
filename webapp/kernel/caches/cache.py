"""Which answers are kept, for how long, and which one goes: the same for every store.

Order is that of the last use (LRU). When there is no room, the eight used longest ago are looked
at: one that is not fresh goes at once, else the one asked for most seldom, and only if the new
one was asked for more often (TinyLFU admission, see `frequencies`). The others go round to the
front, as in CLOCK, so that the next newcomer meets other ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from webapp.kernel.caches.frequencies import Frequencies
from webapp.kernel.caches.lifetimes import Lifetimes
from webapp.kernel.caches.stores import Entry, Store, StoreAway

MOST_BYTES: Final = 32 * 1024
"""Of one answer; larger ones are not kept."""
_LOOKED_AT: Final = 8
_REST_S: Final = 2.0
"""How long a store that does not answer is left alone."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    value: bytes
    age_s: float


@dataclass(slots=True)
class Figures:
    """What the cache has done since this process began.

    Attributes: refused: answers that were asked for too seldom to take another one's place.
    """

    hits: int = 0
    misses: int = 0
    kept: int = 0
    refused: int = 0
    evicted: int = 0

    @property
    def hit_rate(self) -> float:
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0


class Cache:
    """Answers by key. A store that is away makes every question a miss, never an error.

    Args:
        store: where they lie; several processes may share it.
        items: how many are kept at most; two processes at once may pass it by one each.
    """

    def __init__(self, store: Store, items: int) -> None:
        self.figures = Figures()
        self._store = store
        self._items = items
        self._asked = Frequencies(items)
        self._lifetimes = Lifetimes()
        self._resting_until = 0.0

    def find(self, key: str) -> Found | None:
        """Return the kept answer, never older than was declared when it was kept."""
        self._asked.add(key)
        entry = self._try(lambda: self._store.find(key))
        if entry is None or not entry.is_fresh:
            self.figures.misses += 1
            return None
        self.figures.hits += 1
        return Found(entry.value, entry.age_s)

    def keep(self, key: str, group: str, value: bytes, fresh_s: float) -> bool:
        """Keep an answer that was just fetched; return whether it was worth it.

        Args:
            group: whose answers change alike, such as those of one tool.
            fresh_s: it is declared to stay right for so long.
        """
        if fresh_s <= 0 or len(value) > MOST_BYTES:
            return False
        return bool(self._try(lambda: self._keep(key, group, value, fresh_s)))

    def close(self) -> None:
        self._store.close()

    def _keep(self, key: str, group: str, value: bytes, fresh_s: float) -> bool:
        earlier = self._store.find(key, use=False)
        if earlier is not None:
            self._lifetimes.learn(group, earlier, value)
        elif not self._make_room(key):
            self.figures.refused += 1
            return False
        entry = Entry(value, self._lifetimes.life_s(group, earlier, fresh_s))
        if earlier is not None:
            entry.looks, entry.changes = earlier.looks, earlier.changes
            entry.watched_s = earlier.watched_s
        self._store.put(key, entry)
        self.figures.kept += 1
        return True

    def _make_room(self, key: str) -> bool:
        """Drop what has to go for `key`; False: `key` is not worth it."""
        over = len(self._store) + 1 - self._items
        if over <= 0:
            return True
        oldest = self._store.oldest(max(_LOOKED_AT, over))
        gone = [name for name, fresh in oldest if not fresh]
        if len(gone) < over:
            rest = sorted((name for name, fresh in oldest if fresh), key=self._asked.of)
            gone += rest[: over - len(gone)]
            if self._asked.of(key) <= self._asked.of(gone[-1]):
                self._store.move_up(name for name, _ in oldest)
                return False
        leaving = set(gone)
        self._store.drop(leaving)
        self._store.move_up(name for name, _ in oldest if name not in leaving)
        self.figures.evicted += len(leaving)
        return True

    def _try(self, act: Callable[[], T]) -> T | None:
        if time.monotonic() < self._resting_until:
            return None
        try:
            return act()
        except StoreAway:
            self._resting_until = time.monotonic() + _REST_S
            return None

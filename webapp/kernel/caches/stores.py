"""Where kept answers lie: one interface, and the store in this process's memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from webapp.kernel.clock import boot_ms


class StoreAway(Exception):
    """The store does not answer now."""


@dataclass(slots=True)
class Entry:
    """An answer and what is known of it.

    Attributes:
        life_s: how long it is used, from when it was kept.
        uses: how often it was found while it was fresh.
        looks: how often it was fetched while an earlier answer was known; changes: how often
            the two differed; watched_s: the time between them in all.
        age_s: since it was kept, by the store's clock; filled by `find`.
    """

    value: bytes
    life_s: float
    uses: int = 0
    looks: int = 0
    changes: int = 0
    watched_s: float = 0.0
    age_s: float = 0.0

    @property
    def is_fresh(self) -> bool:
        return 0 <= self.age_s < self.life_s


class Store(Protocol):
    """Entries in the order of their last use. All raise StoreAway when they can't answer."""

    def find(self, key: str, *, use: bool = True) -> Entry | None:
        """Return the entry, also one that is not fresh any more.

        Args:
            use: it is now the one used last, and its use is counted while it is fresh.
        """
        ...

    def put(self, key: str, entry: Entry) -> None:
        """Keep `entry` from now on, as the one used last."""
        ...

    def drop(self, keys: Iterable[str]) -> None: ...

    def oldest(self, most: int) -> list[tuple[str, bool]]:
        """Return the keys used longest ago first, each with whether it is still fresh."""
        ...

    def move_up(self, keys: Iterable[str]) -> None:
        """Make them the ones used last, in this order."""
        ...

    def __len__(self) -> int: ...

    def close(self) -> None: ...


def boot_s() -> float:
    return boot_ms() / 1000


class MemoryStore:
    """Entries of this process only. Its clock does not follow changes of the wall clock."""

    def __init__(self, clock: Callable[[], float] = boot_s) -> None:
        self._clock = clock
        self._entries: OrderedDict[str, tuple[Entry, float]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, key: str, *, use: bool = True) -> Entry | None:
        with self._lock:
            found = self._entries.get(key)
            if found is None:
                return None
            entry, kept_at = found
            entry.age_s = self._clock() - kept_at
            if use:
                self._entries.move_to_end(key)
                entry.uses += entry.is_fresh
            return entry

    def put(self, key: str, entry: Entry) -> None:
        with self._lock:
            self._entries[key] = entry, self._clock()
            self._entries.move_to_end(key)

    def drop(self, keys: Iterable[str]) -> None:
        with self._lock:
            for key in keys:
                self._entries.pop(key, None)

    def oldest(self, most: int) -> list[tuple[str, bool]]:
        with self._lock:
            now = self._clock()
            return [
                (key, now - kept_at < entry.life_s)
                for key, (entry, kept_at) in islice(self._entries.items(), most)
            ]

    def move_up(self, keys: Iterable[str]) -> None:
        with self._lock:
            for key in keys:
                if key in self._entries:
                    self._entries.move_to_end(key)

    def __len__(self) -> int:
        return len(self._entries)

    def close(self) -> None:
        self._entries.clear()

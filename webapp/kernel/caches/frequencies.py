"""How often keys were asked for, in little memory, also those that are not kept.

Source: Einziger, Friedman and Manes (2017), "TinyLFU: A Highly Efficient Cache Admission
Policy", ACM Transactions on Storage 13(4). Counting is a count-min sketch with conservative
update; all counters are halved from time to time, so that what was popular once is forgotten.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

_ROWS: Final = 4
_WIDTH_PER_ITEM: Final = 8
_MEMORY_PER_ITEM: Final = 100
"""Requests between two halvings. The paper takes 10 for 4-bit counters; on a steady Zipf trace a
longer memory with 8 bits tells neighbors apart better (bench/RESULTS.md), at 32 bytes an item."""
_TOP: Final = 255
_HALVES: Final = bytes(count // 2 for count in range(256))


class Frequencies:
    """Estimates never too low by themselves, seldom too high.

    Args:
        items: capacity of the cache it serves.
    """

    def __init__(self, items: int) -> None:
        width = 1
        while width < max(items, 16) * _WIDTH_PER_ITEM:
            width *= 2
        self._mask = width - 1
        self._rows = [bytearray(width) for _ in range(_ROWS)]
        self._added = 0
        self._most = max(items, 16) * _MEMORY_PER_ITEM

    def add(self, key: str) -> None:
        a, b, c, d = self._places(key)
        one, two, three, four = self._rows
        least = min(one[a], two[b], three[c], four[d])
        if least < _TOP:
            for row, place in ((one, a), (two, b), (three, c), (four, d)):
                if row[place] == least:
                    row[place] = least + 1
        self._added += 1
        if self._added >= self._most:
            self._rows = [row.translate(_HALVES) for row in self._rows]
            self._added //= 2

    def of(self, key: str) -> int:
        a, b, c, d = self._places(key)
        one, two, three, four = self._rows
        return min(one[a], two[b], three[c], four[d])

    def _places(self, key: str) -> tuple[int, int, int, int]:
        """Return the key's place in each row.

        Source: Kirsch and Mitzenmacher (2006), "Less Hashing, Same Performance".
        """
        digest = int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big")
        first, step, mask = digest & 0xFFFFFFFF, digest >> 32 | 1, self._mask
        return (
            first & mask,
            first + step & mask,
            first + 2 * step & mask,
            first + 3 * step & mask,
        )

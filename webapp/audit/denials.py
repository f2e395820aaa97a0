"""Which refusals are written down: the first of its kind in a minute, with how many came before.

Each entry of the record costs a commit and stays for ever, so that whoever may do nothing could
else fill the disk with being told so.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable
from typing import Final

EVERY_S: Final = 60.0
_MOST_KINDS: Final = 10_000


class Refusals:
    """Counts the refusals of this process by their kind: who was refused what."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._written: dict[Hashable, tuple[float, int]] = {}
        """When a kind was last written, and how many of it came since; oldest first."""

    def since_written(self, kind: Hashable) -> int | None:
        """Return how many refusals of `kind` went unwritten, or None when this one shall too."""
        now = time.monotonic()
        with self._lock:
            at, count = self._written.get(kind, (-EVERY_S, 0))
            if now - at < EVERY_S:
                self._written[kind] = (at, count + 1)
                return None
            self._written.pop(kind, None)
            self._written[kind] = (now, 0)
            if len(self._written) > _MOST_KINDS:
                del self._written[next(iter(self._written))]
            return count

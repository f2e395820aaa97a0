"""The one source of time: wall clock for people, boot clock for leases on one machine."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

_SLEWED_MS: Final = 1000


def now() -> datetime:
    """Return the present in UTC, with zone."""
    return datetime.now(UTC)


def boot_ms() -> int:
    """Return milliseconds since boot, sleep included; a shifted wall clock does not move it."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock) // 1_000_000


class WallWatch:
    """Notices that somebody moved the wall clock: it went on otherwise than the boot clock did."""

    def __init__(self) -> None:
        self._apart = self._look()

    def jumped(self) -> bool:
        """Whether it was moved since the last look, by more than a clock is ever slewed."""
        before, self._apart = self._apart, self._look()
        return abs(self._apart - before) > _SLEWED_MS

    def _look(self) -> int:
        return round(now().timestamp() * 1000) - boot_ms()


@cache
def boot_id() -> str:
    """Return a name of this boot: times of `boot_ms` compare only within one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        # Elsewhere than on Linux the boot time itself names the boot, to the minute.
        return f"boot-{int((time.time() - time.monotonic()) // 60)}"

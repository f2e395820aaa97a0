"""The one source of time: wall clock for people, boot clock for leases on one machine."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import cache
from pathlib import Path


def now() -> datetime:
    """Return the present in UTC, with zone."""
    return datetime.now(UTC)


def boot_ms() -> int:
    """Return milliseconds since boot, sleep included; a shifted wall clock does not move it."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock) // 1_000_000


@cache
def boot_id() -> str:
    """Return a name of this boot: times of `boot_ms` compare only within one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        # Elsewhere than on Linux the boot time itself names the boot, to the minute.
        return f"boot-{int((time.time() - time.monotonic()) // 60)}"

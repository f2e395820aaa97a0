"""What processes hold of the machine, read from /proc: memory, open files, threads."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MIB: Final = 1024.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What some processes hold together."""

    rss_mib: float
    files: int
    threads: int


def usage(pids: Iterable[int]) -> Usage:
    """Return what these processes and everything they started hold now."""
    rss, files, threads = 0.0, 0, 0
    for pid in with_children(pids):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            told = _status(pid)
            rss += told.get("VmRSS", 0) / _MIB
            threads += told.get("Threads", 0)
            files += len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Usage(round(rss, 1), files, threads)


def with_children(pids: Iterable[int]) -> list[int]:
    """Return these processes and, behind each, everything it started."""
    found: list[int] = []
    for pid in pids:
        found.append(pid)
        with contextlib.suppress(OSError):
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            found += with_children(int(child) for child in children)
    return found


def begin_peak(pid: int) -> float:
    """Let the peak of a process's memory be what it holds now; return that, in MiB."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return _status(pid)["VmRSS"] / _MIB


def peak(pid: int) -> float:
    """Return the most memory that a process has held since `begin_peak`, in MiB."""
    return _status(pid)["VmHWM"] / _MIB


def _status(pid: int) -> dict[str, int]:
    """Return the numbers of /proc/PID/status; sizes are in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    pairs = [line.partition(":")[::2] for line in lines]
    return {
        name: int(value.split()[0])
        for name, value in pairs
        if name in {"VmRSS", "VmHWM", "Threads"}
    }

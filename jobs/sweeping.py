"""The sweep: whatever a lost ring or a lost worker left lying is put back in line."""

from __future__ import annotations

from jobs.base import Machine
from webapp.runs.upkeep import close_silent_cancels, take_back_runs


def sweep(machine: Machine) -> int:
    """Return how many runs were moved."""
    with machine.unit() as ctx:
        moved = close_silent_cancels(ctx)
    return moved + take_back_runs(machine.sessions, machine.bell)

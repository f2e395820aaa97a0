"""Forget what is kept only for a while, so that a busy machine's disk stays flat."""

from __future__ import annotations

import logging

from jobs.base import Machine
from webapp.access.idempotency import forget_answers
from webapp.accounts.service import forget_sessions
from webapp.files.service import forget_old_files
from webapp.live.relay import forget_deliveries
from webapp.runs.upkeep import FORGOTTEN_AT_ONCE, forget_runs, forget_workers

log = logging.getLogger(__name__)

MOST_RUNS = 10_000
"""Runs that go in one turn: over a million a day."""

VERBS = (
    forget_answers,
    forget_deliveries,
    forget_old_files,
    forget_sessions,
    forget_workers,
)


def tidy(machine: Machine) -> int:
    """Run every verb of forgetting, each in a transaction of its own; returns how much went."""
    gone = _forget_old_runs(machine)
    for forget in VERBS:
        with machine.unit() as ctx:
            gone += forget(ctx)
    return gone


def _forget_old_runs(machine: Machine) -> int:
    gone = 0
    while gone < MOST_RUNS:
        with machine.unit() as ctx:
            went = forget_runs(ctx)
        gone += went
        if went < FORGOTTEN_AT_ONCE:
            break
    return gone

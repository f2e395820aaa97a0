"""The sweep: whatever a lost ring or a lost worker left lying is put back in line."""

from __future__ import annotations

import logging
from collections.abc import Callable

from jobs.base import Machine
from webapp.access.context import Context
from webapp.kernel.db import is_away
from webapp.runs.approvals_keeping import due_approvals, keep_approval
from webapp.runs.hanging import end_hung_runs
from webapp.runs.holding import keep_pauses
from webapp.runs.upkeep import close_silent_cancels, take_back_runs

log = logging.getLogger(__name__)


def sweep(machine: Machine) -> int:
    """Return how many runs were moved."""
    moved = 0
    cancels, pauses, hung = map(_alone, (close_silent_cancels, keep_pauses, end_hung_runs))
    for keep in (cancels, pauses, hung, keep_approvals, _take_back):
        try:
            moved += keep(machine)
        except Exception as error:
            if is_away(error):
                raise
            log.exception("a part of the sweep failed")  # the others must not wait
    return moved


def _take_back(machine: Machine) -> int:
    return take_back_runs(machine.sessions, machine.bell)


def _alone(keep: Callable[[Context], int]) -> Callable[[Machine], int]:
    """Do it in a transaction of its own."""

    def work(machine: Machine) -> int:
        with machine.unit() as ctx:
            return keep(ctx)

    return work


def keep_approvals(machine: Machine) -> int:
    """Do what is due about approvals, each in a transaction of its own; returns how many."""
    with machine.unit() as ctx:
        due = due_approvals(ctx)
    for organization_id, approval_id in due:
        try:
            with machine.unit() as ctx:
                keep_approval(ctx, organization_id, approval_id)
        except Exception as error:
            if is_away(error):
                raise
            log.exception("an approval could not be looked after")  # the others must not wait
    return len(due)

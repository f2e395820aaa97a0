"""What a step that waits comes to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from webapp.engine.commands import Failed, Outcome, Start, Succeeded
from webapp.engine.errors import StepError
from webapp.engine.journal import Record
from webapp.engine.mailbox import Arrival, frozen_of
from webapp.engine.ports import WaitFor
from webapp.engine.steps import KINDS


def late(record: Record, now: str) -> Outcome:
    """The time came first.

    Args:
        record: the waiting row.
        now: the time, as results say it.
    """
    act = KINDS[record.kind].late
    if act is None:
        return Succeeded({"at": now})
    return _outcome(lambda: act(frozen_of(record), now))


def heard(record: Record, arrival: Arrival) -> Outcome:
    """What the waiting row waited for is there."""
    act = KINDS[record.kind].heard
    assert act is not None
    return _outcome(lambda: act(frozen_of(record), arrival.data))


def rehearsed(start: Start, waits: WaitFor, now: str) -> Outcome:
    """A rehearsal asks nobody and waits for nothing."""
    act = start.step.kind.rehearsed
    given = act(waits.frozen) if act is not None else {}
    return Succeeded({"rehearsal": True, "at": now, **given})


def _outcome(act: Callable[[], dict[str, Any]]) -> Outcome:
    try:
        return Succeeded(act())
    except StepError as error:
        error.proven, error.retryable = True, False  # it waited; nothing was sent
        return Failed(error)

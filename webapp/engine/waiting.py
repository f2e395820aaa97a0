"""What a step that waits comes to."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from webapp.engine.commands import Failed, Outcome, Start, Succeeded
from webapp.engine.errors import StepError, took_too_long
from webapp.engine.journal import Record
from webapp.engine.mailbox import Arrival, frozen_of
from webapp.engine.ports import WaitFor
from webapp.engine.steps import KINDS, part
from webapp.engine.steps.kind import Frozen, StepKind

LIMIT: Final = "limit_s"
"""Of what a waiting row keeps: its step's own time limit, when that is what comes first."""


def within(what: WaitFor, limit_s: float | None, now: str) -> WaitFor:
    """Return what a step waits for that may take `limit_s`: the sooner of the two times."""
    times = [] if what.due_s is None else [what.due_s]
    if what.due_at is not None:
        times.append((what.due_at - datetime.fromisoformat(now)).total_seconds())
    if limit_s is None or min(times, default=math.inf) <= limit_s:
        return what
    return WaitFor(due_s=float(limit_s), frozen={**what.frozen, LIMIT: limit_s})


def late(record: Record, now: str) -> Outcome:
    """The time came first.

    Args:
        record: the waiting row.
        now: the time, as results say it.
    """
    frozen = frozen_of(record)
    act = _over_limit if LIMIT in frozen else kind_of(record).late
    if act is None:
        return Succeeded({"at": now})
    return _outcome(lambda: act(frozen, now))


def _over_limit(frozen: Frozen, now: str) -> dict[str, Any]:
    raise took_too_long(frozen[LIMIT])


def heard(record: Record, arrival: Arrival) -> Outcome:
    """What the waiting row waited for is there."""
    act = kind_of(record).heard
    assert act is not None
    outcome = _outcome(lambda: act(frozen_of(record), arrival.data))
    if arrival.kind == "child":
        outcome.spent.cost_nano = int(arrival.data.get("cost") or 0)
        outcome.spent.problems = bool(arrival.data.get("problems"))
    return outcome


def kind_of(record: Record) -> StepKind:
    """Return the kind of a row; that of parts is none that a plan could name."""
    return part.KIND if record.kind == part.KIND.name else KINDS[record.kind]


def rehearsed(start: Start, waits: WaitFor, now: str) -> Outcome:
    """A rehearsal asks nobody and waits for nothing."""
    act = start.step.kind.rehearsed
    given = act(waits.frozen) if act is not None else {}
    return Succeeded({"rehearsal": True, "at": now, **given})


def _outcome(act: Callable[[], dict[str, Any]]) -> Succeeded | Failed:
    try:
        return Succeeded(act())
    except StepError as error:
        error.proven, error.retryable = True, False  # it waited; nothing was sent
        return Failed(error)

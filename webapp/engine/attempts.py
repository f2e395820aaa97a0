"""One attempt of one step: the part that touches the outside."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from webapp.engine.canonical import from_bytes
from webapp.engine.commands import Doubtful, Failed, Outcome, Spent, Start, Succeeded, Waits
from webapp.engine.errors import StepError, took_too_long
from webapp.engine.ports import WaitFor, Work

log = logging.getLogger(__name__)


class Doubt(BaseException):
    """An effect inside the attempt is in doubt. Not an Exception: no step may swallow it."""

    def __init__(self, error: StepError) -> None:
        super().__init__(error.code)
        self.error = error


async def attempt(start: Start, request: bytes, work: Work) -> Outcome:
    """Perform the frozen request within its time limit; return how it went.

    Only a cancellation is raised, and `LostLease` before something would leave.
    """
    perform = start.step.kind.perform
    assert perform is not None
    is_written_down = start.step.effect != "none" and not start.step.kind.rehearses_inside
    if work.rehearses and is_written_down:
        return Succeeded(would_send(request), spent(work))
    limit_s = start.step.timeout_s
    clock = asyncio.timeout(limit_s)
    try:
        async with clock:
            result = await perform(request, work)
    except StepError as error:
        return Failed(error, spent(work))
    except Doubt as doubt:
        return Doubtful(doubt.error, spent(work))
    except TimeoutError:
        if not clock.expired():
            return Failed(ours(start, proven=False), spent(work))
        return Failed(took_too_long(limit_s or 0), spent(work))
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise
        # Step code gave itself up; nobody asked it to.
        return Failed(ours(start, proven=False), spent(work))
    except Exception:
        log.exception("step %s of kind %s has a fault", start.path, start.step.kind_name)
        return Failed(ours(start, proven=False), spent(work))
    if isinstance(result, WaitFor):
        return Waits(result, spent(work))
    return Succeeded(result, spent(work))


def would_send(request: bytes) -> dict[str, Any]:
    """What a step gives in a rehearsal that would change something outside: what it would send."""
    return {"rehearsal": True, "would_send": from_bytes(request)}


def compute(start: Start, act: Callable[[Any, Any], Any]) -> Any:
    """Run a step's synchronous part.

    Raises:
        StepError: what the step says, E-VALUE-LARGE, or E-OURS for a fault of ours.
    """
    allowance = start.scope.allowance
    allowance.begin()
    try:
        made = act(start.step.config, start.scope)
        allowance.keep(made)
        return made
    except StepError:
        raise
    except Exception as fault:
        log.exception("step %s of kind %s has a fault", start.path, start.step.kind_name)
        raise ours(start, proven=True) from fault


def spent(work: Work) -> Spent:
    return Spent(work.cost_nano, work.tokens_in, work.tokens_out, work.notes)


def ours(start: Start, *, proven: bool) -> StepError:
    text = "Something went wrong on our side while this step was at work."
    facts = {"kind": start.step.kind_name}
    return StepError("E-OURS", text, proven=proven, retryable=False, facts=facts)

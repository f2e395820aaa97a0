"""Runs and steps as programs get them: rows in, schemas out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from webapp.engine.canonical import from_bytes
from webapp.engine.plan import Plan, Step
from webapp.engine.steps import KINDS
from webapp.engine.tools import TOOLS
from webapp.kernel.ids import public_id
from webapp.runs.looking import OneTask
from webapp.runs.models import Event
from webapp.runs.queries import RunRow
from webapp.runs.schemas import (
    LineOut,
    LogLine,
    ModelCall,
    Reference,
    RunOut,
    RunStarted,
    RunSummary,
    TaskDetail,
    TaskOut,
)
from webapp.runs.standing import Standing
from webapp.runs.words import Word, run_word, step_word

CALL = "/call_"
"""What marks the path of a tool call inside an agent's step."""


def word_of(row: RunRow) -> Word:
    """Return the run's word, as everybody sees it."""
    run = row.run
    return run_word(
        run.state,
        row.reason or run.reason,
        problems=run.problems,
        cancelling=row.cancelling,
        pausing=row.pausing,
    )


def took_ms(started: datetime | None, ended: datetime | None) -> int | None:
    if started is None or ended is None:
        return None
    return max(0, round((ended - started).total_seconds() * 1000))


def dollars(nano: int) -> str:
    """Return an exact amount in US dollars: "0.0041"."""
    return f"{Decimal(nano).scaleb(-9).normalize():f}" if nano else "0"


def started(row: RunRow, url: str) -> RunStarted:
    return RunStarted(id=public_id("run", row.run.id), state=row.run.state, url=url)


def summary(row: RunRow) -> RunSummary:
    return RunSummary(**_summary(row))


def _summary(row: RunRow) -> dict[str, Any]:
    run = row.run
    return {
        "id": public_id("run", run.id),
        "state": row.state,
        "word": word_of(row).text,
        "problems": run.problems,
        "workflow": Reference(id=public_id("wf", run.workflow_id), name=row.workflow_name),
        "version": row.version,
        "kind": run.kind,
        "queued_at": run.queued_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "took_ms": run.took_ms,
        "cost_usd": dollars(row.cost_nano),
        "started_by": run.started_by_name,
        "progress": {"done": row.done, "total": max(row.total, row.done)},
    }


def whole(
    row: RunRow,
    result: Any,
    steps: Sequence[Any],
    plan: Plan,
    most: int,
    behind: tuple[int, int],
    url: str,
    standing: Standing | None = None,
) -> RunOut:
    """Return a run with its result and up to `most` of its tasks.

    Args:
        behind: how many steps are behind it, and how many its plan has.
    """
    found = tasks(row.run.id, steps, plan)
    return RunOut(
        **_summary(row),
        steps={"done": behind[0], "of": behind[1]},
        inputs=row.run.inputs,
        result=result,
        error=row.run.error,
        tasks=found[:most],
        more_tasks=len(found) > most,
        line=None if standing is None else LineOut(**asdict(standing)),
        url=url,
    )


def tasks(run_id: Any, steps: Iterable[Any], plan: Plan) -> list[TaskOut]:
    """Return the newest attempt of each step; the rows come by path and attempt."""
    names = names_of(plan)
    newest: dict[str, tuple[Any, int]] = {}
    for step in steps:
        newest[step.path] = (step, newest[step.path][1] + 1 if step.path in newest else 1)
    run = public_id("run", run_id)
    return [TaskOut(**_task(run, step, count, names)) for step, count in newest.values()]


def task(found: OneTask) -> TaskDetail:
    """Return one step with its values: `input` is what it was asked to do, once frozen."""
    newest = found.attempts[-1]
    names = names_of(found.plan)
    facts = _task(public_id("run", found.run_id), newest, len(found.attempts), names)
    calls = [
        ModelCall(
            model=one.model,
            tokens_in=one.tokens_in,
            tokens_out=one.tokens_out,
            tokens_cached=one.tokens_cached,
            cost_usd=None if one.amount_nano is None else dollars(one.amount_nano),
            estimate=one.estimate,
        )
        for one in found.paid
    ]
    return TaskDetail(**facts, input=asked(newest.request), output=found.output, model_calls=calls)


def asked(request: bytes | None) -> Any:
    """Return the frozen request of a step as a value."""
    return from_bytes(request) if request else None


def _task(run: str, step: Any, attempts: int, names: Mapping[str, str]) -> dict[str, Any]:
    word = step_word(step.state, step.error, step.kind)
    return {
        "id": f"{run}.{step.path}",
        "run": run,
        "path": step.path,
        "step": step.step_id,
        "name": names.get(step.step_id, step.step_id),
        "kind": step.kind,
        "state": step.state,
        "word": word.text,
        "attempts": attempts,
        "started_at": step.started_at,
        "finished_at": step.done_at,
        "took_ms": took_ms(step.started_at, step.done_at),
        "cost_usd": dollars(step.cost_nano),
        "tokens_in": step.tokens_in,
        "tokens_out": step.tokens_out,
        "error": step.error,
    }


def names_of(plan: Plan) -> dict[str, str]:
    """Return what people call each step."""
    return {step.id: title_of(step) for step in plan.walk()}


def title_of(step: Step) -> str:
    """Return the step's name, or what it is when it has none, as the builder calls it."""
    tool = TOOLS.get(getattr(step.config, "tool", "")) if step.kind == "tool" else None
    what = tool or KINDS.get(step.kind)
    return step.name or (what.label if what is not None else step.kind)


def log_line(event: Event) -> LogLine:
    return LogLine(seq=event.seq, at=event.at, type=event.type, data=event.data)

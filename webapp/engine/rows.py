"""Rows of the journal, made from what the scheduler knows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from webapp.engine.canonical import to_bytes
from webapp.engine.commands import Spent
from webapp.engine.errors import ServiceAway, StepError
from webapp.engine.journal import End, Record, State
from webapp.engine.ports import WaitFor

if TYPE_CHECKING:
    from webapp.engine.frames import Closing, Task


def row(
    task: Task,
    state: State,
    spent: Spent | None = None,
    *,
    result: Any = None,
    error: dict[str, Any] | None = None,
    request: bytes | None = None,
    reason: str = "",
) -> Record:
    step = task.step
    record = Record(
        task.path, task.attempt, step.id, step.kind_name, state, step.effect,
        request=request, result=result, error=error, reason=reason,
    )  # fmt: skip
    if spent is not None:
        record.cost_nano = spent.cost_nano
        record.tokens_in = spent.tokens_in
        record.tokens_out = spent.tokens_out
        record.notes = spent.notes
    return record


def closed_row(record: Record, reason: Closing) -> Record:
    """The row of a path that ended because something around it did."""
    if reason in {"", "cancelled"}:
        return replace(record, state="cancelled", request=None)
    return replace(record, state="skipped", reason=reason, request=None)


def doubtful_row(record: Record) -> Record:
    """The row of an intent that was found after a loss, of an effect that must not repeat."""
    text = "The machine stopped while this step was at work. It may have had its effect."
    error = {"code": "E-DOUBT", "text": text, "attempts": record.attempt}
    return replace(record, state="unknown", error=error)


def problem(task: Task, error: StepError) -> dict[str, Any]:
    """A failure as the journal, `on_failure` and the page see it."""
    facts = {"facts": error.facts} if error.facts else {}
    return {
        "code": error.code,
        "text": error.text,
        "attempts": task.attempt,
        "step": task.step.id,
        "path": task.path,
        **facts,
    }


def held_row(task: Task, error: ServiceAway, spent: Spent) -> Record:
    """The row of a step that waits for a service to recover, its request kept as it was."""
    wait_s = min(error.again_s, error.most_s - task.held_s)
    facts = {**problem(task, error), "held_s": task.held_s + wait_s}
    record = row(task, "waiting", spent, error=facts)
    record.due_s = wait_s
    return record


def wait_request(what: WaitFor) -> bytes:
    return to_bytes(what.frozen)


def ending_of(last: Record) -> End:
    """How the run ends by a `stop` step, or by the step that was one too many."""
    where = {"step": last.step_id, "path": last.path}
    if last.kind == "part":
        return End("done") if last.error is None else ending_of_part(last.error)
    if last.error is not None:
        return End("failed", error={**last.error, **where})
    result = last.result or {}
    if result.get("as") != "failed":
        return End("done")
    return End(
        "failed", error={"code": "E-STOP", "text": str(result.get("message") or ""), **where}
    )


def ending_of_part(error: dict[str, Any]) -> End:
    """How the run ends when a part of it has failed of something that ends the whole run."""
    return End("failed", error=(error.get("facts") or {}).get("error") or error)

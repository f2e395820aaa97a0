"""What an interrupted execution left in the journal, looked up by path."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from webapp.engine.changes import goes_back, steps_again
from webapp.engine.compiled import StepPlan
from webapp.engine.frames import drop_values
from webapp.engine.journal import Record
from webapp.engine.plan import FAILURE, Step

CALL = "/call_"
"""Before the number of a tool call in its path; no step's id looks like this."""
TOO_MANY = "E-STEPS-LIMIT"
"""Code of the step that was one more than the run may have."""

ENDS_RUN = frozenset({TOO_MANY, "E-RUN-TIME", "E-STOP"})
"""Codes with which a part of a run ends the whole of it."""


class Found:
    """The last row of each path, handed out once, when the path is reached."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._last: dict[str, Record] = {}
        self._costs: dict[str, int] = {}
        self._calls: dict[str, list[Record]] = {}
        self.cost_nano = 0
        self.had_failures = False
        """A step, or a tool call, failed for good: a run that ends well has had problems."""
        self.last: Record | None = None
        """The step that ended the run: a `stop`, or the one that was too many."""
        for record in records:
            self._add(record)
        self._open = [record for record in self._last.values() if not record.ends_path]

    def _add(self, record: Record) -> None:
        path = record.path
        if CALL in path:
            path = path[: path.rindex(CALL)]
            self._calls.setdefault(path, []).append(record)
        else:
            last = self._last.get(path)
            if last is None or record.attempt > last.attempt:
                self._last[path] = record
            if record.ends_path and (record.state == "failed" or _had_problems(record)):
                self.had_failures = True
            if record.kind == "part" and (record.result or {}).get("problems"):
                self.had_failures = True
            if record.state == "reused" and _lacks_some(record):
                self.had_failures = True
            if _ends_run(record):
                self.last = record
        if record.cost_nano:
            self.cost_nano += record.cost_nano
            self._costs[path] = self._costs.get(path, 0) + record.cost_nano

    def take(self, path: str) -> Record | None:
        return self._last.pop(path, None)

    def is_final(self, path: str) -> bool:
        record = self._last.get(path)
        return record is not None and record.ends_path

    def calls(self, path: str) -> list[Record]:
        """Return the tool calls that the agent at `path` had made."""
        return self._calls.pop(path, [])

    def has_call_in_doubt(self, path: str) -> bool:
        """Whether a call of the agent at `path` may have had an effect that must not repeat."""
        calls = self._calls.get(path, ())
        return any(call.state == "unknown" or in_doubt(call) for call in calls)

    def cost(self, path: str) -> int:
        return self._costs.get(path, 0)

    def cost_below(self, path: str) -> int:
        """Return what the step at `path` and everything inside it has cost; its failure branch
        is reached, and counted, behind it.
        """
        inside = (f"{path}:", f"{path}[", f"{path}#")
        return sum(cost for at, cost in self._costs.items() if at == path or at.startswith(inside))

    def open_below(self, prefixes: tuple[str, ...]) -> list[Record]:
        """Take off the rows that are not final and were not reached yet."""
        if not self._open:
            return []
        unreached = [record for record in self._open if record.path in self._last]
        found = [record for record in unreached if record.path.startswith(prefixes)]
        for record in found:
            del self._last[record.path]
        self._open = [record for record in unreached if record.path in self._last]
        return found


def _had_problems(record: Record) -> bool:
    """Whether it is well, but something that it used was not: a tool call, or a called run."""
    return bool((record.error or {}).get("problems"))


def _lacks_some(record: Record) -> bool:
    """Whether it is a list or lanes of which some failed, in the run that this one repeats."""
    return record.kind in {"each", "parallel"} and bool((record.result or {}).get("failed"))


def any_failed(calls: Iterable[Record]) -> bool:
    """Whether the last attempt of one of these tool calls failed."""
    last = {call.path: call for call in sorted(calls, key=lambda call: call.attempt)}
    return any(call.state == "failed" for call in last.values())


def too_many(steps: int) -> dict[str, Any]:
    """The error of a run that would do more steps than it may."""
    most = f"{steps:,}"
    text = f"This run reached its limit of {most} steps, so we stopped it."
    return {"code": TOO_MANY, "text": text, "facts": {"most": most}}


def _ends_run(record: Record) -> bool:
    if record.state == "succeeded":
        stops = record.kind == "part" and bool((record.result or {}).get("stop"))
        return record.kind == "stop" or stops
    if record.state != "failed" or not record.ends_path:
        return False
    code = (record.error or {}).get("code")
    return code == TOO_MANY or (record.kind == "part" and code in ENDS_RUN)


def in_doubt(record: Record) -> bool:
    """Whether the row's effect may have happened and must not happen twice."""
    return record.state == "intent" and record.effect == "at_most_once"


def held_s(record: Record) -> float | None:
    """Return for how long in all the step at a row has been told to wait for a service to
    recover; None: it doesn't wait for one.
    """
    if record.state != "waiting" or "held_s" not in (record.error or {}):
        return None
    return float((record.error or {})["held_s"])


def restored(step: StepPlan, record: Record, found: Found) -> dict[str, Any]:
    """Return the values, by step id, that can be seen of a finished step's blocks.

    Nothing inside an `each` or a `repeat` can be seen from outside.
    """
    result = record.result or {}
    match step.kind_name:
        case "if":
            seen = [str(result.get("branch"))]
        case "parallel":
            seen = list(result.get("finished", []))
        case _:
            seen = []
    values: dict[str, Any] = {}
    for key in seen:
        _restore(step.step.blocks.get(key, []), f"{record.path}:{key}/", found, values)
    return values


def seen_at_end(steps: list[Step], found: Found) -> dict[str, Any]:
    """Return what the plan's result sees of a run that ends before its last step."""
    values: dict[str, Any] = {}
    _restore(steps, "", found, values)
    return values


def _restore(
    steps: Sequence[Step],
    prefix: str,
    found: Found,
    values: dict[str, Any],
    whole: Sequence[Step] = (),
) -> None:
    """Put together what is seen of some steps; in a round of an approval these are some of the
    `whole` block, and the last of them is the approval itself.
    """
    for step in steps:
        path = prefix + step.id
        record = found.take(path) if found.is_final(path) else None
        if record is not None and record.state == "failed":
            values[step.id] = {"failed": True, "error": record.error}
            _restore(step.blocks.get(FAILURE, []), f"{path}{FAILURE}/", found, values)
            continue
        finished = record is not None and _has_value(record)
        result = (record.result if record is not None else None) or {}
        if finished:
            values[step.id] = result
        if step.kind == "approval" and not (whole and step is steps[-1]):
            _restore_rounds(step, path, found, values, whole or steps)
        if step.kind == "if":  # only the branch taken has rows
            for key, block in step.blocks.items():
                if key != FAILURE:
                    _restore(block, f"{path}:{key}/", found, values)
        elif step.kind == "parallel" and finished:
            for lane in result.get("finished", []):
                _restore(step.blocks.get(lane, []), f"{path}:{lane}/", found, values)


def _has_value(record: Record) -> bool:
    """Whether it is behind the run with a value, be it that of the run which this one repeats."""
    if record.state == "skipped":
        return record.reason == "sent_before"
    return record.state in {"succeeded", "reused"}


def _restore_rounds(
    approval: Step, path: str, found: Found, values: dict[str, Any], block: Sequence[Step]
) -> None:
    """Let the newest round count, as it does while the run is at work."""
    number, again = 1, steps_again(block, approval)
    while again and goes_back(approval, values.get(approval.id)):
        number += 1
        drop_values(values, again)
        _restore(again, f"{path}#{number}/", found, values, block)

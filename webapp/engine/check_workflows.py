"""Whether a plan runs other workflows as they want to be run, and never itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from webapp.engine.callees import Callee, Callees, call_of
from webapp.engine.plan import Step
from webapp.engine.readings import is_empty

Finding = tuple[Literal["todo", "broken"], str, str, str]
"""Kind, field, code and text of a check."""


def check_call(step: Step, callees: Callees) -> Iterator[Finding]:
    """Yield what is wrong with the workflow that a step runs, and with what it is given.

    Args:
        step: of any kind.
        callees: what is known; of a workflow that is not among them nothing is said.
    """
    call = call_of(step)
    callee = callees.get(call) if call is not None else None
    if call is None or callee is None:
        return
    if callee.circle is not None:
        yield "broken", "with.workflow", "C-WORKFLOW-SELF", _circle(callee.circle)
        if callee.lack == "live":
            return  # it can't go live as long as it runs itself
    match callee.lack:
        case "workflow":
            yield "broken", "with.workflow", "C-WORKFLOW-UNKNOWN", _GONE
            return
        case "live":
            text = f"“{callee.name}” is not live yet: put it live first"
            yield "todo", "with.workflow", "C-WORKFLOW-UNKNOWN", text
            return
        case "version":
            text = f"“{callee.name}” has no version {call[1]}"
            yield "broken", "with.version", "C-WORKFLOW-UNKNOWN", text
            return
    yield from _inputs(step, callee)


_GONE = "the workflow that it runs is not there any more: choose another"


def _circle(names: tuple[str, ...]) -> str:
    if not names:
        return "a workflow can't run itself, since that would never end"
    way = ", which runs ".join(f"“{name}”" for name in names)
    return f"it runs {way}, which runs this workflow again, and that would never end"


def _inputs(step: Step, callee: Callee) -> Iterator[Finding]:
    given = _given(step)
    asked = {str(field.name): field for field in callee.inputs}
    for name, field in asked.items():
        if field.required and field.default is None and is_empty(given.get(name)):
            text = f"fill in “{field.label or name}”"
            yield "todo", f"with.inputs.{name}", "C-FIELD-EMPTY", text
    for name in given:
        if name not in asked:
            text = f"“{callee.name}” does not ask for “{name}”: empty it"
            yield "broken", f"with.inputs.{name}", "C-REF-GONE", text


def _given(step: Step) -> dict[str, Any]:
    if step.config is not None:
        return dict(step.config.inputs)
    found = step.with_.get("inputs") if isinstance(step.with_, dict) else None
    return found if isinstance(found, dict) else {}

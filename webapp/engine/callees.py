"""The workflows that steps of a plan run: which, and what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from webapp.engine.grammar import Field
from webapp.engine.plan import Step

Call = tuple[str, str | int]
"""The workflow that a step runs, and in which version: "live" or a number."""


@dataclass(frozen=True, slots=True)
class Callee:
    """What is known of a workflow that a step runs; the engine is told, it asks nobody.

    Attributes: inputs: what its Start asks for; result: what it gives; lack: what there is not,
    so that it can't be run; circle: names of workflows that start each other, this one first,
    until the plan at hand is started again: None when that doesn't happen.
    """

    name: str = ""
    inputs: tuple[Field, ...] = ()
    result: tuple[Field, ...] = ()
    lack: Literal["", "workflow", "live", "version"] = ""
    circle: tuple[str, ...] | None = None


Callees = Mapping[Call, Callee]
NOBODY: Callees = MappingProxyType({})
"""Nothing is known of other workflows: what a plan says of them is believed."""


def given_by_workflow(step: Step, callees: Callees) -> tuple[list[Field], bool]:
    """Return the result of the workflow that the step runs, and the run itself."""
    run = Field(name="run", label="Its run", type="text")
    waits = step.config.wait if step.config is not None else step.with_.get("wait", True)
    if waits is False:
        return [run], True
    call = call_of(step)
    callee = callees.get(call) if call is not None else None
    if callee is None or callee.lack:
        return [run], False
    return [*(one for one in callee.result if one.name != "run"), run], True


def call_of(step: Step) -> Call | None:
    """Return which workflow the step runs; also of a draft, None while none is chosen."""
    if step.kind != "workflow":
        return None
    if step.config is not None:
        return step.config.workflow, step.config.version
    settings = step.with_ if isinstance(step.with_, dict) else {}
    workflow, version = settings.get("workflow"), settings.get("version", "live")
    is_one = isinstance(workflow, str) and (version == "live" or type(version) is int)
    return (str(workflow), version) if is_one and workflow else None

"""Run another workflow, as a run of its own, and go on with what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic

from webapp.engine.canonical import from_bytes, to_bytes
from webapp.engine.effects import Effect
from webapp.engine.errors import StepError
from webapp.engine.grammar import Field, Name, Strict, Value
from webapp.engine.ports import WaitFor, Work
from webapp.engine.steps.kind import Frozen, StepKind
from webapp.engine.values import Scope, render

MOST_DEPTH = 10
"""How many runs may stand below each other."""


class Config(Strict):
    workflow: Annotated[str, pydantic.Field(pattern=r"^wf_[0-9a-z]{1,40}$")] = pydantic.Field(
        title="Workflow"
    )
    version: Literal["live"] | Annotated[int, pydantic.Field(ge=1)] = pydantic.Field(
        default="live", title="Version"
    )
    inputs: Annotated[dict[Name, Value], pydantic.Field(max_length=50)] = pydantic.Field(
        default={}, title="What it gets"
    )
    wait: bool = pydantic.Field(
        default=True,
        title="Wait for it",
        description="Go on when it has finished. Otherwise it stands on its own: no end, pause "
        "or cancel of this run reaches it.",
    )


def prepare(config: Config, scope: Scope) -> bytes:
    inputs = {name: render(value, scope) for name, value in config.inputs.items()}
    asked = {"workflow": config.workflow, "version": config.version, "inputs": inputs}
    return to_bytes({**asked, "wait": config.wait})


async def perform(request: bytes, work: Work) -> dict[str, Any] | WaitFor:
    """Start the run, once for this path; the same run is found again after a crash."""
    asked = from_bytes(request)
    facts: Mapping[str, Any] = work.facts.get("run", {})
    if int(facts.get("depth") or 0) + 1 > MOST_DEPTH:
        text = f"Workflows may start each other {MOST_DEPTH} deep. Does one start itself?"
        raise StepError("E-RUN-DEPTH", text, proven=True, retryable=False)
    assert work.ports.runs is not None
    if asked["wait"]:
        return WaitFor(frozen=await _start_within(work, asked))
    run, _ = await work.ports.runs.start(
        work.path, asked["workflow"], asked["version"], asked["inputs"], None
    )
    return {"run": run}


async def _start_within(work: Work, asked: Mapping[str, Any]) -> Frozen:
    """Start the run with what the limits around the step leave.

    As much of that as the run may spend stays held until it ends, so that nobody else does.
    """
    assert work.ports.runs is not None
    left = work.meter.left_nano
    limit_nano = None if left is None else max(left, 0)
    held, free = 0, limit_nano or 0
    work.meter.hold(free)
    try:
        run, held = await work.ports.runs.start(
            work.path, asked["workflow"], asked["version"], asked["inputs"], limit_nano
        )
    finally:
        work.meter.free(free - held)
    return {"child": run, "held": held} if held else {"child": run}


_UNFINISHED = "The workflow that this step started did not finish."


def heard(frozen: Frozen, end: Any) -> dict[str, Any]:
    """Return what the run gave.

    Raises:
        StepError: E-CHILD, it did not end well.
    """
    if end["state"] != "done":
        why = (end.get("error") or {}).get("text") or f"It was {end['state']}."
        # One that started another says the cause of that one: the sentence stands there once.
        text = f"{_UNFINISHED} {why.removeprefix(_UNFINISHED).lstrip()}"
        facts = {"run": frozen["child"], "state": end["state"]}
        raise StepError("E-CHILD", text, proven=True, retryable=False, facts=facts)
    return {**(end.get("result") or {}), "run": frozen["child"]}


KIND = StepKind(
    name="workflow",
    label="Run another workflow",
    about="Starts another workflow and goes on with what it gives.",
    icon="workflow",
    group="Decide and repeat",
    config=Config,
    effect=lambda config: Effect.IDEMPOTENT,
    gives=lambda config: [Field(name="run", label="Its run", type="text")],
    prepare=prepare,
    perform=perform,
    heard=heard,
    rehearses_inside=True,
    timeout_s=60,
)

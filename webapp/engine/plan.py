"""The plan document: what builder, engine, planner, templates, import and API all speak."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, BaseModel, PrivateAttr, StringConstraints

from webapp.engine.grammar import (
    Condition,
    Field,
    LaneId,
    Literally,
    Name,
    Output,
    Row,
    SecretValue,
    SetField,
    StepId,
    Strict,
    Value,
    ValueMark,
    refuse,
)
from webapp.engine.listops import ListOp

__all__ = [
    "Condition", "Field", "LaneId", "Limits", "ListOp", "Literally", "Name", "OnFailure", "Output",
    "Plan", "PlanError", "PlanProblem", "PlanTooNew", "Retry", "Row", "SecretValue", "SetField",
    "Step", "StepId", "Value", "ValueMark", "json_schema", "load_plan", "plan_sha",
]  # fmt: skip

FORMAT = 1
MAX_STEPS = 500
MAX_DEPTH = 4
MAX_VALUES = 50
MAX_BYTES = 1 << 20
FAILURE = "!"
"""Key of a step's failure branch among its blocks."""

Level = Literal["draft", "live"]


def _money(text: str) -> str:
    if not Decimal(text).is_finite() or Decimal(text) <= 0:
        raise refuse("An amount must be more than 0")
    return text


Usd = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?$"), AfterValidator(_money)
]
"""US dollars as text, so that cents stay cents."""
Seconds = int | float | Decimal


class Retry(Strict):
    times: Annotated[int, pydantic.Field(ge=0, le=10)] = 0
    wait_s: Annotated[Seconds, pydantic.Field(ge=0, le=3600)] = 10
    grow: Annotated[Seconds, pydantic.Field(ge=1, le=10)] = 2
    most_s: Annotated[Seconds, pydantic.Field(ge=0, le=86_400)] = 600
    jitter: bool = True


class OnFailure(Strict):
    do: Literal["stop", "continue", "branch"] = "stop"
    steps: list[Step] = []


class Step(Strict):
    """One entry of a plan.

    `with_` is the kind's Config in a live plan and the settings as written in a draft; `config`
    is the Config whenever the settings are complete, at either level.
    """

    id: StepId
    kind: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,19}$")]
    name: Annotated[str, StringConstraints(max_length=80)] = ""
    off: bool = False
    note: Annotated[str, StringConstraints(max_length=1000)] = ""
    retry: Retry | None = None
    """None: twice when the step has no effect, else never."""
    timeout_s: Annotated[int, pydantic.Field(ge=1, le=86_400)] | None = None
    """One attempt; None: what the kind says."""
    cost_usd: Usd | None = None
    on_failure: OnFailure = pydantic.Field(default_factory=OnFailure)
    with_: Annotated[Any, pydantic.Field(alias="with")] = {}

    _config: BaseModel | None = PrivateAttr(default=None)
    _blocks: dict[str, list[Step]] = PrivateAttr(default_factory=dict)
    _lacks: list[PlanProblem] = PrivateAttr(default_factory=list)

    @property
    def config(self) -> Any:
        return self._config

    @property
    def blocks(self) -> dict[str, list[Step]]:
        """Blocks inside the step by key: branch or lane id, "otherwise", "" (each), "!"."""
        return self._blocks

    @property
    def lacks(self) -> list[PlanProblem]:
        """What a draft's settings still lack; pointers are relative to the step."""
        return self._lacks


class Limits(Strict):
    seconds: Annotated[int, pydantic.Field(ge=1, le=604_800)] = 3600
    cost_usd: Usd | None = None
    steps: Annotated[int, pydantic.Field(ge=1, le=100_000)] = 10_000
    at_once: Annotated[int, pydantic.Field(ge=1, le=64)] = 20


class Plan(Strict):
    plan: Literal[1]
    inputs: Annotated[list[Field], pydantic.Field(max_length=30)] = []
    steps: list[Step] = []
    result: Annotated[list[Output], pydantic.Field(max_length=20)] = []
    limits: Limits = Limits()

    _compiled: Any = PrivateAttr(default=None)

    def walk(self) -> Iterator[Step]:
        """Yield all steps in the order they are read, blocks behind the step that holds them."""
        stack = [iter(self.steps)]
        while stack:
            step = next(stack[-1], None)
            if step is None:
                stack.pop()
                continue
            yield step
            stack.extend(iter(block) for block in reversed(step.blocks.values()))


@dataclass(frozen=True, slots=True)
class PlanProblem:
    """Attributes: pointer: JSON pointer into the document; text: a sentence for people."""

    pointer: str
    code: str
    text: str


class PlanError(ValueError):
    """The document isn't a plan. `problems` says where and why."""

    def __init__(self, problems: list[PlanProblem]) -> None:
        super().__init__("; ".join(f"{p.pointer or '/'}: {p.text}" for p in problems[:5]))
        self.problems = problems


class PlanTooNew(PlanError):
    """The document is of a later format: hand the run back, a newer worker can do it."""


def load_plan(doc: Any, level: Level = "live") -> Plan:
    """Read a plan document of any format there ever was.

    Args:
        doc: JSON as Python values; decimals best as `Decimal`.
        level: a draft may lack settings of its steps, a live plan may not.

    Raises:
        PlanError: with all problems found.
    """
    from webapp.engine.plan_readers import read  # the step kinds are written in this grammar

    return read(doc, level)


def json_schema(level: Level = "live") -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of plan documents."""
    from webapp.engine.plan_schema import plan_schema

    return plan_schema(level)


def plan_sha(doc: Any) -> str:
    """Return the SHA-256 of the document's canonical form (RFC 8785), as hex."""
    from webapp.engine.plan_readers.canonical import sha256_of

    return sha256_of(doc)

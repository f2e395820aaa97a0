"""If …: the first branch whose condition holds, otherwise the last one."""

from __future__ import annotations

from typing import Annotated

import pydantic

from webapp.engine.grammar import Condition, Field, Label, LaneId, Strict
from webapp.engine.plan import Step
from webapp.engine.steps.kind import StepKind


class Branch(Strict):
    id: LaneId
    label: Label = pydantic.Field(default="", title="Name")
    when: Condition = pydantic.Field(title="When")
    steps: list[Step] = []


class Config(Strict):
    branches: Annotated[list[Branch], pydantic.Field(min_length=1, max_length=8)] = pydantic.Field(
        title="Branches", description="The first whose condition is true is taken."
    )
    otherwise: list[Step] = pydantic.Field(default=[], title="Otherwise")


KIND = StepKind(
    name="if",
    label="If",
    about="Goes one way or another.",
    icon="branch",
    group="Decide and repeat",
    config=Config,
    gives=lambda config: [Field(name="branch", label="Branch taken", type="text")],
    container=True,
    timeout_s=None,
)

"""At the same time: lanes that run beside each other."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from webapp.engine.grammar import Field, Label, LaneId, Strict
from webapp.engine.plan import Step
from webapp.engine.steps.kind import StepKind


class Lane(Strict):
    id: LaneId
    label: Label = pydantic.Field(default="", title="Name")
    needs: Annotated[list[LaneId], pydantic.Field(max_length=64)] = pydantic.Field(
        default=[], title="Starts after", description="Lanes that must finish before."
    )
    steps: list[Step] = []


class Some(Strict):
    n: Annotated[int, pydantic.Field(ge=1, le=64)] = pydantic.Field(title="How many lanes")


class Config(Strict):
    lanes: Annotated[list[Lane], pydantic.Field(min_length=2, max_length=64)] = pydantic.Field(
        title="Lanes"
    )
    until: Literal["all", "first"] | Some = pydantic.Field(
        default="all",
        title="Go on when",
        description="All lanes have finished, the first has, or so many have.",
    )
    lane_failure: Literal["stop", "continue"] = pydantic.Field(
        default="stop", title="If a lane fails"
    )


def gives(config: Config) -> list[Field]:
    ids = Field(type="text")
    return [
        Field(name="finished", label="Finished lanes", type="list", items=ids),
        Field(name="failed", label="Failed lanes", type="list", items=ids),
    ]


KIND = StepKind(
    name="parallel",
    label="At the same time",
    about="Runs several lanes beside each other.",
    icon="lanes",
    group="Decide and repeat",
    config=Config,
    gives=gives,
    container=True,
    timeout_s=None,
)

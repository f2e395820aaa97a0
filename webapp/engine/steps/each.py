"""For each: the same steps for every item of a list, several at once."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from webapp.engine.grammar import Field, Output, Strict, Value
from webapp.engine.plan import Step
from webapp.engine.steps.kind import StepKind


class Config(Strict):
    source: Value = pydantic.Field(
        alias="list", title="List", description="The steps run once for each of its items."
    )
    at_once: Annotated[int, pydantic.Field(ge=1, le=20)] = pydantic.Field(
        default=3, title="How many at once"
    )
    most: Annotated[int, pydantic.Field(ge=1, le=10_000)] = pydantic.Field(
        default=500,
        title="At most",
        description="A longer list fails before anything is started.",
    )
    item_failure: Literal["continue", "stop"] = pydantic.Field(
        default="continue", title="If one fails"
    )
    steps: list[Step] = []
    collect: Annotated[list[Output], pydantic.Field(max_length=20)] = pydantic.Field(
        default=[], title="Collect", description="Values kept of each item, in the list's order."
    )


def gives(config: Config) -> list[Field]:
    collected = [
        Field(name=output.name, label=output.label, type=output.type) for output in config.collect
    ]
    failed = [
        Field(name="index", label="Place in the list", type="number"),
        Field(name="code", label="Code", type="text"),
        Field(name="text", label="What went wrong", type="text"),
    ]
    return [
        Field(
            name="items",
            label="Collected",
            type="list",
            items=Field(type="record", fields=collected),
        ),
        Field(name="count", label="How many", type="number"),
        Field(
            name="failed",
            label="Failed items",
            type="list",
            items=Field(type="record", fields=failed),
        ),
    ]


KIND = StepKind(
    name="each",
    label="For each",
    about="Does the same steps for every item of a list.",
    icon="each",
    group="Decide and repeat",
    config=Config,
    gives=gives,
    container=True,
    timeout_s=None,
)

"""Repeat: the same steps again, round after round, until a condition holds."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from webapp.engine.grammar import Condition, Field, Name, Strict, TypeWord, Value
from webapp.engine.plan import Step
from webapp.engine.steps.kind import StepKind


class Carry(Strict):
    """A value that one round hands to the next."""

    name: Name = pydantic.Field(title="Name")
    label: Annotated[str, pydantic.Field(max_length=60)] = pydantic.Field(default="", title="Label")
    type: TypeWord = pydantic.Field(default="any", title="Type")
    first: Value = pydantic.Field(default=None, title="In the first round")
    value: Value = pydantic.Field(default=None, title="From then on")


class Config(Strict):
    until: Condition = pydantic.Field(
        title="Until", description="Looked at after each round; when it is true, the step is done."
    )
    most: Annotated[int, pydantic.Field(ge=1, le=100)] = pydantic.Field(
        default=10, title="At most", description="Rounds."
    )
    pause_s: Annotated[int, pydantic.Field(ge=0, le=3600)] = pydantic.Field(
        default=0, title="Pause between rounds", description="Seconds, up to an hour."
    )
    at_limit: Literal["fail", "continue"] = pydantic.Field(
        default="fail", title="If it is still not true after the last round"
    )
    steps: list[Step] = []
    carry: Annotated[list[Carry], pydantic.Field(max_length=20)] = pydantic.Field(
        default=[], title="Hand on", description="Values that a round gives to the next one."
    )


def gives(config: Config) -> list[Field]:
    carried = [
        Field(name=one.name, label=one.label, type=one.type, required=False) for one in config.carry
    ]
    return [
        *carried,
        Field(name="rounds", label="Rounds", type="number"),
        Field(name="met", label="The condition was met", type="boolean"),
    ]


KIND = StepKind(
    name="repeat",
    label="Repeat until",
    about="Does the same steps again until a condition is true.",
    icon="repeat",
    group="Decide and repeat",
    config=Config,
    gives=gives,
    container=True,
    timeout_s=None,
)

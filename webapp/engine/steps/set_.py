"""Set values: name earlier values anew, or compute with them."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic

from webapp.engine.grammar import Field, SetField, Strict
from webapp.engine.lists import computed
from webapp.engine.steps.kind import StepKind
from webapp.engine.values import Scope, as_type

NUMBERS = {"add", "subtract", "multiply", "divide", "sum", "average", "count"}


class Config(Strict):
    fields: Annotated[list[SetField], pydantic.Field(min_length=1, max_length=50)] = pydantic.Field(
        title="Values", description="Each has a name and a value, or a sum, difference and so on."
    )


def compute(config: Config, scope: Scope) -> dict[str, Any]:
    zone = str(scope.facts.get("zone") or "UTC")
    return {
        field.name: as_type(computed(field, scope), field.type, zone) for field in config.fields
    }


def gives(config: Config) -> list[Field]:
    return [
        Field(
            name=field.name,
            label=field.label,
            type="number" if field.type == "any" and field.op in NUMBERS else field.type,
        )
        for field in config.fields
    ]


KIND = StepKind(
    name="set",
    label="Set values",
    about="Gives values a name, and adds, counts or compares them.",
    icon="edit",
    group="Text and values",
    config=Config,
    gives=gives,
    compute=compute,
    timeout_s=None,
)

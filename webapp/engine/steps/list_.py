"""Work with a list: filter, sort, group, join."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic

from webapp.engine.grammar import Field, Strict, Value
from webapp.engine.listops import ListOp
from webapp.engine.lists import apply
from webapp.engine.steps.kind import StepKind
from webapp.engine.values import Scope, render


class Config(Strict):
    source: Value = pydantic.Field(alias="from", title="List", description="The list to work on.")
    do: Annotated[list[ListOp], pydantic.Field(max_length=20)] = pydantic.Field(
        default=[], title="What to do", description="Done one after the other."
    )


def compute(config: Config, scope: Scope) -> dict[str, Any]:
    inside = Scope({}, scope)
    result = apply(render(config.source, scope), config.do, inside)
    given = {"items": result.items, "count": len(result.items), "removed": result.removed}
    return {**given, "notes": inside.notes} if inside.notes else given


def gives(config: Config) -> list[Field]:
    removed = [
        Field(name="item", label="Item", type="any"),
        Field(name="reason", label="Reason", type="text"),
    ]
    return [
        Field(name="items", label="Items", type="list"),
        Field(name="count", label="How many", type="number"),
        Field(
            name="removed",
            label="Left out",
            type="list",
            items=Field(type="record", fields=removed),
        ),
    ]


KIND = StepKind(
    name="list",
    label="Work with a list",
    about="Filters, sorts, groups, counts or joins the items of a list.",
    icon="list",
    group="Text and values",
    config=Config,
    gives=gives,
    compute=compute,
    timeout_s=None,
)

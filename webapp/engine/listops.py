"""The operations of a `list` step."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic
from pydantic import StringConstraints

from webapp.engine.grammar import Condition, Name, SetField, Strict, Value

Column = Annotated[str, StringConstraints(min_length=1, max_length=60)]
"""Name of a field in the rows; rows come from outside, so it need not be a NAME."""
Columns = Annotated[list[Column], pydantic.Field(min_length=1, max_length=50)]


class Filter(Strict):
    """Keep the rows for which `where` holds; the others go to `removed`."""

    do: Literal["filter"]
    where: Condition


class SortKey(Strict):
    field: Column
    down: bool = False


class Sort(Strict):
    do: Literal["sort"]
    by: Annotated[list[SortKey], pydantic.Field(min_length=1, max_length=10)]


class First(Strict):
    do: Literal["first"]
    n: Annotated[int, pydantic.Field(ge=1, le=1_000_000)]


class Last(Strict):
    do: Literal["last"]
    n: Annotated[int, pydantic.Field(ge=1, le=1_000_000)]


class Unique(Strict):
    """Keep the first row of each kind; later ones go to `removed`."""

    do: Literal["unique"]
    by: Columns


class Take(Strict):
    name: Name
    op: Literal["count", "sum", "min", "max", "average", "first", "join"]
    field: Column | None = None


class Group(Strict):
    do: Literal["group"]
    by: Columns
    take: Annotated[list[Take], pydantic.Field(max_length=50)] = []


class Pick(Strict):
    do: Literal["pick"]
    fields: Columns


class Rename(Strict):
    do: Literal["rename"]
    names: Annotated[dict[Column, Name], pydantic.Field(min_length=1, max_length=50)]
    """New name by old name."""


class Compute(SetField):
    do: Literal["compute"]


class Flatten(Strict):
    do: Literal["flatten"]
    field: Column


class Join(Strict):
    """Add to each row the fields of the row of `with` that has the same `on`."""

    do: Literal["join"]
    other: Annotated[Value, pydantic.Field(alias="with")]
    on: Column


ListOp = Annotated[
    Filter | Sort | First | Last | Unique | Group | Pick | Rename | Compute | Flatten | Join,
    pydantic.Field(discriminator="do"),
]

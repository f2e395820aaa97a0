"""The operations of a list step, each with fields of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from webapp.workflows.forms.cards import Cards
from webapp.workflows.forms.computed import COMPUTED, TYPES
from webapp.workflows.forms.conditions import ConditionPart
from webapp.workflows.forms.parts import (
    Choose,
    Doc,
    Env,
    Given,
    Number,
    Part,
    Text,
    Value,
    Words,
)
from webapp.workflows.forms.rows import Cell, Rows

_TAKE: Final = (
    ("count", "counts the rows"),
    ("sum", "sum of"),
    ("min", "smallest of"),
    ("max", "largest of"),
    ("average", "average of"),
    ("first", "first of"),
    ("join", "all of, with commas"),
)


class Operations(Cards):
    """The operations of a list step; `compute` has a `Computed`."""

    def _read_entry(self, entry: Doc, given: Given, at: str, env: Env) -> Doc:
        if entry.get("do") == "compute":
            entry = COMPUTED.change(given, at, entry, env)
        return super()._read_entry(entry, given, at, env)


def _sort_rows(keys: Any) -> list[Doc]:
    return [{"field": k.get("field"), "down": "yes" if k.get("down") else "no"} for k in keys]


def _sort_keys(rows: list[Doc]) -> Any:
    return [
        {"field": row["field"], **({"down": True} if row.get("down") == "yes" else {})}
        for row in rows
        if row.get("field")
    ]


def _rename_rows(names: Any) -> list[Doc]:
    return [{"old": old, "new": new} for old, new in dict(names or {}).items()]


def _rename_names(rows: list[Doc]) -> Any:
    return {row["old"]: row["new"] for row in rows if row.get("old") and row.get("new")}


OPERATIONS: Final[Mapping[str, tuple[str, Sequence[Part]]]] = {
    "filter": (
        "Keep rows",
        (
            ConditionPart(
                "where",
                "Keep the rows where",
                "Choose a column of the row from the list under Value. "
                "The others go to “Left out”.",
            ),
        ),
    ),
    "sort": (
        "Sort",
        (
            Rows("by", "Sort by", "", (
                Cell("field", "Column", columns=True),
                Cell("down", "Order", "select",
                     (("no", "smallest first"), ("yes", "largest first"))),
            ), "Add a column", 1, _sort_rows, _sort_keys),
        ),
    ),
    "first": ("Take the first", (Number("n", "How many", "", 1),)),
    "last": ("Take the last", (Number("n", "How many", "", 1),)),
    "unique": (
        "Remove doubles",
        (Words("by", "Same in these columns", "With commas between them.", offer_columns=True),),
    ),
    "group": (
        "Group",
        (
            Words("by", "One row for each", "Columns with commas between them.",
                  offer_columns=True),
            Rows("take", "And of its rows", "", (
                Cell("name", "Name"),
                Cell("op", "Takes", "select", _TAKE),
                Cell("field", "Column", columns=True),
            ), "Add a value", 1),
        ),
    ),
    "pick": (
        "Choose columns",
        (Words("fields", "Columns", "With commas between them.", offer_columns=True),),
    ),
    "rename": (
        "Rename columns",
        (
            Rows("names", "Columns", "", (
                Cell("old", "Old name", columns=True), Cell("new", "New name"),
            ), "Add a column", 1, _rename_rows, _rename_names),
        ),
    ),
    "compute": (
        "Compute a column",
        (Text("name", "New column", "Small letters, digits and _.", most=40, width="mid"),
         Choose("type", "Type", "", TYPES), COMPUTED),
    ),
    "flatten": (
        "Unfold a column",
        (Text("field", "Column", "Each of its items becomes a row.", most=60, width="mid"),),
    ),
    "join": (
        "Add columns of another list",
        (Value("with", "The other list", rows=1),
         Text("on", "Column that is the same in both", most=60, width="mid")),
    ),
}  # fmt: skip

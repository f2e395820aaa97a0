from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import TypeAdapter

from webapp.engine.errors import StepError
from webapp.engine.listops import ListOp
from webapp.engine.lists import ListResult, apply
from webapp.engine.values import Scope

OPS: TypeAdapter[list[Any]] = TypeAdapter(list[ListOp])
ROWS = [
    {"who": "Ben", "n": Decimal("2.50"), "tags": ["a", "b"]},
    {"who": "ada", "n": 10, "tags": []},
    {"who": "Ben", "n": None, "tags": ["c"]},
    {"who": "Cy", "n": Decimal("2.5"), "tags": None},
]
OTHERS = [{"who": "Ben", "mail": "ben@x.example", "n": 0}, {"who": "Ben", "mail": "second"}]


def do(*ops: dict[str, Any], rows: Any = ROWS) -> ListResult:
    scope = Scope({"start": {"limit": 3, "others": OTHERS}})
    return apply(rows, OPS.validate_python(list(ops)), scope)


def names(result: ListResult) -> list[Any]:
    return [row["who"] for row in result.items]


def test_filter_keeps_what_holds_and_says_what_it_left_out() -> None:
    row = {"value": [{"value": ["item", "n"]}], "is": "more", "to": [{"value": ["start", "limit"]}]}
    result = do({"do": "filter", "where": {"all": [row]}})

    assert names(result) == ["ada"]
    assert [entry["item"]["who"] for entry in result.removed] == ["Ben", "Ben", "Cy"]
    assert result.removed[0]["reason"] == "Does not match the filter."


def test_sort_is_stable_without_case_and_puts_the_empty_last() -> None:
    assert names(do({"do": "sort", "by": [{"field": "who"}]})) == ["ada", "Ben", "Ben", "Cy"]
    up = do({"do": "sort", "by": [{"field": "n"}, {"field": "who", "down": True}]})
    assert names(up) == ["Cy", "Ben", "ada", "Ben"]
    down = do({"do": "sort", "by": [{"field": "n", "down": True}]})
    assert [row["n"] for row in down.items] == [10, Decimal("2.5"), Decimal("2.5"), None]


def test_first_and_last() -> None:
    assert names(do({"do": "first", "n": 1})) == ["Ben"]
    assert names(do({"do": "last", "n": 2})) == ["Ben", "Cy"]


def test_unique_keeps_the_first_and_numbers_are_equal_when_their_values_are() -> None:
    result = do({"do": "unique", "by": ["n"]})

    assert names(result) == ["Ben", "ada", "Ben"]
    assert result.removed == [{"item": ROWS[3], "reason": "Repeats an earlier n."}]


def test_group_adds_up_exactly_in_order_of_appearance() -> None:
    take = [
        {"name": "total", "op": "sum", "field": "n"},
        {"name": "rows", "op": "count"},
        {"name": "known", "op": "count", "field": "n"},
        {"name": "all", "op": "join", "field": "n"},
    ]
    result = do({"do": "group", "by": ["who"], "take": take})

    assert result.items[0] == {
        "who": "Ben", "total": Decimal("2.50"), "rows": 2, "known": 1, "all": "2.50"
    }  # fmt: skip
    assert names(result) == ["Ben", "ada", "Cy"]


def test_pick_rename_and_compute_shape_rows() -> None:
    doubled = {"do": "compute", "name": "twice", "type": "number", "op": "multiply",
               "of": [[{"value": ["item", "n"]}], 2], "digits": 1}  # fmt: skip
    result = do({"do": "rename", "names": {"who": "name"}}, doubled,
                {"do": "pick", "fields": ["name", "twice", "gone"]})  # fmt: skip

    assert result.items[0] == {"name": "Ben", "twice": Decimal("5.0"), "gone": None}
    assert result.items[2]["twice"] is None


def test_flatten_gives_a_row_for_each_entry() -> None:
    result = do({"do": "flatten", "field": "tags"})

    assert [(row["who"], row["tags"]) for row in result.items] == [
        ("Ben", "a"), ("Ben", "b"), ("Ben", "c"), ("Cy", None)
    ]  # fmt: skip


def test_join_adds_the_fields_of_the_first_partner() -> None:
    result = do({"do": "join", "with": [{"value": ["start", "others"]}], "on": "who"})

    assert result.items[0]["mail"] == "ben@x.example"
    assert result.items[0]["n"] == Decimal("2.50"), "a row's own fields win"
    assert "mail" not in result.items[1]


def test_items_that_are_no_records_do_no_harm() -> None:
    everything = [
        {"do": "sort", "by": [{"field": "x"}]},
        {"do": "rename", "names": {"x": "y"}},
        {"do": "join", "with": "no list", "on": "x"},
        {"do": "compute", "name": "z", "value": [{"value": ["item", "value"]}]},
    ]
    assert do(*everything, rows=[1, "a", None]).items[0] == {"value": 1, "z": None}
    assert do(rows=None).items == []


def test_what_is_no_list_is_said_so() -> None:
    with pytest.raises(StepError, match="E-LIST-TYPE"):
        do(rows="text")


def test_a_list_that_grows_too_long_is_stopped() -> None:
    rows = [{"a": list(range(1_000))}] * 200

    with pytest.raises(StepError, match="E-LIST-LIMIT"):
        do({"do": "flatten", "field": "a"}, rows=rows)


def test_the_list_given_is_not_changed() -> None:
    before = [dict(row) for row in ROWS]

    do({"do": "sort", "by": [{"field": "n"}]}, {"do": "compute", "name": "n", "value": 1})

    assert before == ROWS

"""A value of any kind finds its shape on a page."""

from __future__ import annotations

from decimal import Decimal

import pytest

from webapp.web import shapes


def test_amounts_in_one_column_have_the_same_decimals() -> None:
    rows: list[dict[str, object]] = [
        {"total": Decimal("1234.50"), "count": 3, "rate": Decimal("0.125"), "big": Decimal("0.25")},
        {"total": Decimal("12.5"), "count": 12, "rate": Decimal("0.5"), "big": 10**40},
        {"total": 50, "count": None, "rate": 1},
        {"total": None},
    ]

    told = shapes.evened(rows)

    assert [shapes.cell(row.get("total")) for row in told] == ["1,234.50", "12.50", "50.00", "–"]
    assert [shapes.cell(row.get("count")) for row in told] == ["3", "12", "–", "–"]
    assert [shapes.cell(row.get("rate")) for row in told] == ["0.125", "0.5", "1", "–"]
    assert shapes.cell(told[1]["big"]).startswith("10,000,")
    assert shapes.evened([]) == []


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (None, "nothing"),
        ("", "nothing"),
        ([], "nothing"),
        ({}, "nothing"),
        (False, "truth"),
        (0, "number"),
        (Decimal("1234.50"), "number"),
        ("Dear Ms Krämer", "text"),
        ({"file": "file_1"}, "file"),
        ({"file": "file_1", "note": "x"}, "fields"),
        ([{"customer": "Weber KG"}], "table"),
        ([{"customer": "Weber KG"}, "x"], "list"),
        ([{"file": "file_1"}], "list"),
        ([{}], "list"),
        (["a", "b"], "list"),
        ({"total": 3}, "fields"),
    ],
)
def test_a_value_is_shown_in_its_own_shape(value: object, shape: str) -> None:
    assert shapes.shape(value) == shape


def test_something_that_is_no_value_is_refused() -> None:
    with pytest.raises(TypeError, match="object"):
        shapes.shape(object())


def test_columns_stand_in_the_order_in_which_they_appear() -> None:
    rows = [{"customer": "Weber KG", "open": 1}, {"open": 2, "note": "late"}]

    assert shapes.columns(rows) == ["customer", "open", "note"]


def test_a_column_of_numbers_and_gaps_is_numeric() -> None:
    rows: list[dict[str, object]] = [
        {"open": 1, "mixed": 1},
        {"open": None, "mixed": "a"},
        {"mixed": 2},
    ]

    assert shapes.is_numeric(rows, "open")
    assert not shapes.is_numeric(rows, "mixed")
    assert not shapes.is_numeric(rows, "absent")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "Yes"),
        (Decimal("4210.00"), "4,210.00"),
        ({"file": "file_1"}, "File"),
        ({"city": "Lyon", "zip": None}, "city: Lyon, zip: –"),
        ([{"a": 1}, {"a": 2}], "2 rows"),
        (["a", 2], "a, 2"),
        (list(range(9)), "9 items"),
        ("x" * 300, "x" * 199 + "…"),
    ],
)
def test_a_cell_holds_one_short_line(value: object, text: str) -> None:
    assert shapes.cell(value) == text


def test_a_long_text_is_cut_between_characters() -> None:
    text = "a" + "é" * 20_000

    assert shapes.is_cut(text)
    assert shapes.cut_text(text) == "a" + "é" * 9_999
    assert not shapes.is_cut("short")
    assert shapes.cut_text("short") == "short"


def test_a_long_table_is_cut() -> None:
    assert shapes.is_cut([{}] * 101)
    assert not shapes.is_cut([{}] * 100)


@pytest.mark.parametrize(
    ("value", "is_word"),
    [("INV-4001", True), ("Ada Lovelace", False), ("", False), (12, False), ("x-" * 11, False)],
)
def test_only_one_short_word_stays_in_one_piece(value: object, is_word: bool) -> None:
    assert shapes.is_word(value) is is_word

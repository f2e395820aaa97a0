from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from webapp.engine.adjust import WORDS, adjust
from webapp.engine.plan_values import ADJUSTMENTS
from webapp.engine.readings import as_number, as_text, read_number

BERLIN = {"zone": "Europe/Berlin", "files": {"file_1": {"name": "a.csv", "link": "/f/1"}}}


@pytest.mark.parametrize(
    ("value", "change", "expected"),
    [
        ("one  two three", {"do": "first_words", "n": 2}, "one  two"),
        ("abc", {"do": "first_characters", "n": 2}, "ab"),
        ("Ada", {"do": "upper"}, "ADA"),
        ("Ada", {"do": "lower"}, "ada"),
        (" Ada \n", {"do": "trim"}, "Ada"),
        ("a\n b", {"do": "one_line"}, "a b"),
        ("€ 1.234,50", {"do": "to_number", "decimal": ","}, Decimal("1234.50")),
        ("12.34.56", {"do": "to_number"}, None),
        ("3.2.2026", {"do": "to_date", "formats": ["YYYY-MM-DD", "D.M.YYYY"]}, "2026-02-03"),
        ("31.02.2026", {"do": "to_date", "formats": ["DD.MM.YYYY"]}, None),
        (Decimal("2.345"), {"do": "round", "digits": 2}, Decimal("2.35")),
        (Decimal("-2.5"), {"do": "round", "digits": 0}, Decimal("-3")),
        (1250, {"do": "round", "digits": -2}, Decimal("1300")),
        (Decimal("1234.5"), {"do": "money", "currency": "EUR"}, "€1,234.50"),
        (-5, {"do": "money", "currency": "CHF"}, "-CHF 5.00"),
        (Decimal("-12345678901234567890123456789012.5"), {"do": "money", "currency": "USD"},
         "-$12,345,678,901,234,567,890,123,456,789,012.50"),
        (Decimal("999.6"), {"do": "money", "currency": "JPY"}, "¥1,000"),
        (Decimal("0.1234"), {"do": "percent", "digits": 1}, "12.3%"),
        ("2026-03-04", {"do": "format", "style": "medium"}, "4 March 2026"),
        ("2026-03-04T23:30:00Z", {"do": "format", "style": "with_time"}, "5 Mar 2026, 00:30"),
        ("2026-03-04", {"do": "format", "style": "long"}, "Wednesday 4 March 2026"),
        ("2026-01-31", {"do": "add", "n": 1, "unit": "months"}, "2026-02-28"),
        ("2026-01-31", {"do": "add", "n": -31, "unit": "days"}, "2025-12-31"),
        ("2026-03-28T12:00:00+01:00", {"do": "add", "n": 1, "unit": "days"},
         "2026-03-29T12:00:00+02:00"),
        ("2026-03-04T23:30:00Z", {"do": "day"}, "2026-03-05"),
        ([1, 2], {"do": "first"}, 1),
        ([1, 2], {"do": "last"}, 2),
        ([], {"do": "first"}, None),
        ([1, 2], {"do": "count"}, 2),
        (["a", Decimal("2.50")], {"do": "bullets"}, "- a\n- 2.50"),
        (["a", 2], {"do": "commas"}, "a, 2"),
        ([{"a": 1}, {}, 3], {"do": "field", "name": "a"}, [1, None, None]),
        ([{"a": Decimal("0.1")}, {"a": Decimal("0.2")}, {"a": "x"}], {"do": "sum", "name": "a"},
         Decimal("0.3")),
        ({"file": "file_1"}, {"do": "filename"}, "a.csv"),
        ({"file": "file_1"}, {"do": "link"}, "/f/1"),
        ({"file": "file_9"}, {"do": "text"}, None),
        ("very_urgent", {"do": "label"}, "Very urgent"),
    ],
)  # fmt: skip
def test_each_word_does_what_it_says(value: Any, change: dict[str, Any], expected: Any) -> None:
    assert adjust(value, [change], BERLIN) == expected


def test_changes_are_applied_from_left_to_right() -> None:
    words = [
        {"do": "trim"},
        {"do": "to_number", "decimal": ","},
        {"do": "money", "currency": "EUR"},
    ]

    assert adjust(" 7,5 ", words) == "€7.50"


def test_the_grammar_and_the_words_are_the_same() -> None:
    assert WORDS.keys() == ADJUSTMENTS.keys()


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["2026-02-29", "9999-12-31", "0001-01-01T00:00:00+14:00", "1,2", "€"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(value=anything, word=st.sampled_from(sorted(WORDS)), n=st.integers(-100_000, 100_000))
def test_no_word_ever_raises(value: Any, word: str, n: int) -> None:
    given_n: dict[str, Any] = {"n": n} if "n" in ADJUSTMENTS[word] else {}
    unit = {"unit": "months"} if word == "add" else {}

    adjust(value, [{"do": word, **given_n, **unit}], BERLIN)
    as_text(value)


@given(st.decimals(-(10**12), 10**12, places=2))
def test_a_number_is_read_as_it_was_written(number: Decimal) -> None:
    english = f"{number:,.2f}"
    german = english.translate(str.maketrans(",.", ".,"))

    assert read_number(english, ".") == number
    assert read_number(german, ",") == number


def test_numbers_that_are_none_are_not_numbers() -> None:
    assert [as_number(value) for value in (True, "1", float("nan"), None, [1])] == [None] * 5

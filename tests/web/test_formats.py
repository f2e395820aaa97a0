"""Numbers, money and times read the same everywhere."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from webapp.web import formats

NOON = datetime(2026, 3, 4, 13, 2, 11, tzinfo=UTC)
BERLIN = "Europe/Berlin"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0002, "1 ms"),
        (0.094, "94 ms"),
        (0.096, "0.1 s"),
        (0.84, "0.8 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (14, "14 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (192, "3 min 12 s"),
        (3_599.7, "1 h"),
        (7_500, "2 h 5 min"),
        (90_000, "1 day 1 h"),
        (None, "–"),
    ],
)
def test_a_length_of_time_is_said_in_two_units_at_most(seconds: float | None, text: str) -> None:
    assert formats.duration(seconds) == text


def test_a_negative_length_of_time_is_a_dash_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        assert formats.duration(-0.2) == "–"

    assert "clocks disagree" in caplog.text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("1320", "$1,320.00"),
        ("1", "$1.00"),
        ("0.9996", "$1.00"),
        ("0.99949", "$0.999"),
        ("0.0431", "$0.043"),
        ("0.01", "$0.010"),
        ("0.0042", "$0.0042"),
        ("0.00999", "$0.010"),
        ("0.0001", "$0.0001"),
        ("0.00009", "under $0.0001"),
        ("0", "$0.00"),
        ("-2.5", "-$2.50"),
    ],
)
def test_money_has_as_many_decimals_as_its_size_needs(amount: str, text: str) -> None:
    assert formats.money(Decimal(amount)) == text


def test_money_names_a_currency_without_a_sign() -> None:
    assert formats.money(Decimal("12"), "CHF") == "CHF 12.00"
    assert formats.money(Decimal("4210"), "EUR") == "€4,210.00"


def test_what_cost_nothing_is_a_dash() -> None:
    assert formats.cost(0) == "–"
    assert formats.cost(None) == "–"
    assert formats.cost(4_200_000) == "$0.0042"


def test_an_estimate_has_one_significant_digit() -> None:
    assert formats.about(Decimal("0.0284")) == "about $0.03"
    assert formats.about(Decimal("14.2"), "EUR") == "about €10"
    assert formats.about(None) == "–"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1_284, "1,284"),
        (Decimal("1234.50"), "1,234.50"),
        (0.1, "0.1"),
        (Decimal("1E+3"), "1,000"),
        (None, "–"),
    ],
)
def test_a_number_keeps_its_digits(value: int | float | Decimal | None, text: str) -> None:
    assert formats.number(value) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(0.974, "97 %"), (0.034, "3.4 %"), (0.0996, "10 %"), (0, "0 %"), (1, "100 %")],
)
def test_a_percentage_has_one_decimal_below_ten(ratio: float, text: str) -> None:
    assert formats.percent(ratio) == text


def test_few_things_are_counted_and_many_are_in_percent() -> None:
    assert formats.share(3, 4) == "3 of 4"
    assert formats.share(97, 100) == "97 %"


@pytest.mark.parametrize(("amount", "text"), [(1, "1 run"), (0, "no runs"), (1_500, "1,500 runs")])
def test_things_are_counted_in_words(amount: int, text: str) -> None:
    assert formats.count(amount, "run") == text


def test_a_number_card_shortens() -> None:
    assert [formats.compact(n) for n in (9_999, 12_345, 20_000, 3_400_000)] == [
        "9,999",
        "12.3k",
        "20k",
        "3.4m",
    ]


def test_sizes_are_in_the_unit_that_fits() -> None:
    assert [formats.size(n) for n in (0, 1, 999, 184_000, 1_240_000, 20_000_000)] == [
        "empty",
        "1 byte",
        "999 bytes",
        "184 KB",
        "1.2 MB",
        "20 MB",
    ]


def test_a_time_is_shown_in_the_zone_of_the_person() -> None:
    assert formats.when(NOON, BERLIN) == "4 Mar 2026, 14:02"
    assert formats.moment(NOON, BERLIN) == "Wed 4 March 2026, 14:02:11 (Europe/Berlin)"
    assert formats.machine_time(NOON) == "2026-03-04T13:02:11Z"


@pytest.mark.parametrize(
    ("past", "text"),
    [
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=3), "3 min ago"),
        (timedelta(hours=23, minutes=59), "23 h ago"),
        (timedelta(days=2), "Mon 14:02"),
        (timedelta(days=8), "24 Feb 2026, 14:02"),
        (-timedelta(minutes=5), "in 5 min"),
        (-timedelta(hours=3), "in 3 h"),
    ],
)
def test_how_long_ago_is_said_in_the_unit_that_matters(past: timedelta, text: str) -> None:
    assert formats.ago(NOON - past, BERLIN, now=NOON) == text


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (timedelta(days=2, hours=2), "Fri 6 March, 16:02 (in 2 days)"),
        (timedelta(hours=3), "Wed 4 March, 17:02 (in 3 h)"),
        (timedelta(minutes=9), "Wed 4 March, 14:11 (in 9 min)"),
        (-timedelta(minutes=9), "Wed 4 March, 13:53 (over)"),
    ],
)
def test_what_is_due_is_said_absolute_and_relative(left: timedelta, text: str) -> None:
    assert formats.deadline(NOON + left, BERLIN, now=NOON) == text


def test_a_name_in_code_becomes_a_label() -> None:
    assert formats.words("days_late") == "Days late"


def test_a_number_of_a_billion_digits_is_not_written_out() -> None:
    assert formats.number(Decimal("1e999999999")) == "1E+999999999"
    assert formats.number(Decimal("1e20")) == "100,000,000,000,000,000,000"

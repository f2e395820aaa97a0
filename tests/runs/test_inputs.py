"""What a run is started with: what the questions ask for is held, inside lists and records too."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workflows.plans import plan_of, text

Doc = dict[str, Any]
AMOUNT = {"name": "amount", "label": "Amount", "type": "number", "required": False}
PRICES = {
    "name": "prices",
    "label": "Prices",
    "type": "list",
    "required": False,
    "min": 2,
    "max": 3,
    "items": {"label": "Price", "type": "number"},
}
CUSTOMER = {"name": "customer", "label": "Customer", "type": "record", "required": False}
CUSTOMER |= {"fields": [{"name": "since", "label": "Since", "type": "date"}]}


@pytest.fixture
def begin(make_live: Any, start: Any) -> Any:
    """Return a function that starts a run with such inputs and returns the answer."""
    least = {**AMOUNT, "name": "least", "label": "Least", "min": 1}
    plan = plan_of(text("s_1", "x"), inputs=[AMOUNT, least, PRICES, CUSTOMER])
    workflow = make_live(plan)
    return lambda **inputs: start(workflow, inputs=inputs)


def said(answer: Any) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    return [(one["pointer"], one["detail"]) for one in answer.get_json()["errors"]]


@pytest.mark.parametrize(
    ("typed", "read"),
    [("1,234.5", 1234.5), ("12 345 678", 12345678), (" -7 ", -7), ("5e3", 5000), ("0.50", 0.5)],
)
def test_numbers_may_be_written_with_thousands(
    begin: Any, program: Any, typed: str, read: float
) -> None:
    run = begin(amount=typed).get_json()["id"]

    assert program.get(f"/api/v1/runs/{run}").get_json()["inputs"]["amount"] == read


@pytest.mark.parametrize(
    "typed", ["1,5", "1.234,50", "1,,000", "12,34", "1_0", "\u0661", "0x10", "NaN"]
)
def test_a_number_that_may_mean_two_things_is_asked_again(begin: Any, typed: str) -> None:
    expected = [("/inputs/amount", "Amount must be a number such as 1,234.5.")]

    assert said(begin(amount=typed)) == expected


def test_a_bound_on_one_side_is_said_as_such(begin: Any) -> None:
    assert said(begin(least=0)) == [("/inputs/least", "Least must be at least 1.")]


def test_entries_of_a_list_are_what_was_asked_for(begin: Any, program: Any) -> None:
    wrong = "must be a number such as 1,234.5."

    assert said(begin(prices=[1, "x"])) == [("/inputs/prices/1", f"Prices, entry 2 {wrong}")]
    too_many = [("/inputs/prices", "Prices must have between 2 and 3 entries.")]
    assert said(begin(prices=[1, 2, 3, 4])) == too_many
    run = begin(prices="1,250.5\n2").get_json()["id"]
    assert program.get(f"/api/v1/runs/{run}").get_json()["inputs"]["prices"] == [1250.5, 2]


def test_values_of_a_record_are_what_was_asked_for(begin: Any) -> None:
    expected = [("/inputs/customer/since", "Since must be a date such as 2026-03-04.")]

    assert said(begin(customer={"since": "soon"})) == expected
    assert begin(customer={"since": "2026-03-04", "more": 1}).status_code == 202
    assert begin(customer={"since": None}).status_code == 202


def test_a_number_that_a_text_is_by_default_is_that_text(
    make_live: Any, start: Any, program: Any
) -> None:
    code = {"name": "code", "label": "Code", "type": "text", "default": 5, "required": False}
    started = start(make_live(plan_of(text("s_1", "x"), inputs=[code])))

    assert started.status_code == 202, started.text
    run = program.get(f"/api/v1/runs/{started.get_json()['id']}").get_json()
    assert run["inputs"]["code"] == "5"

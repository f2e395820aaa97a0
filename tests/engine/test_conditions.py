from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from webapp.engine.conditions import OPERATORS, holds
from webapp.engine.errors import StepError
from webapp.engine.grammar import Condition
from webapp.engine.values import Scope

ROOTS = {"now": {"time": "2026-03-04T12:00:00+00:00", "today": "2026-03-04"}, "start": {"n": 5}}


def scope() -> Scope:
    return Scope(ROOTS, facts={"zone": "Europe/Berlin"})


def check(left: Any, operator: str, *to: Any) -> bool:
    row: dict[str, Any] = {"value": left, "is": operator}
    if to:
        row["to"] = to[0]
    return holds(Condition.model_validate({"all": [row]}), scope())


@pytest.mark.parametrize(
    ("left", "operator", "to", "expected"),
    [
        ("  Ärger", "equal", "a\u0308rger ", True),
        (5, "equal", Decimal("5.00"), True),
        (5, "equal", "5", True),
        (True, "equal", "yes", True),
        (True, "equal", "", False),
        ("a", "not_equal", "b", True),
        ("2026-03-04T12:00:00Z", "equal", "2026-03-04T13:00:00+01:00", True),
        ("2026-03-04", "equal", "2026-03-04T23:00:00Z", False),
        ("Invoice 7", "contains", "invoice", True),
        ({"list": [1, 2]}, "contains", 2, True),
        ({"list": ["a"]}, "not_contains", "b", True),
        ("Invoice", "contains", "", False),
        ("Invoice", "starts_with", "inv", True),
        (10, "more", 9, True),
        ("10", "more", 9, False),
        (Decimal("0.1"), "less", Decimal("0.2"), True),
        (3, "at_least", 3, True),
        (3, "at_most", 2, False),
        (3, "between", [1, 3], True),
        ("2026-03-04", "between", ["2026-03-01", "2026-03-04"], True),
        ("2026-03-04", "before", "2026-03-05", True),
        ("2026-03-04T23:30:00Z", "before", "2026-03-05", False),
        ("2026-03-04T23:30:00Z", "after", "2026-03-04", True),
        ("soon", "before", "2026-03-05", False),
        ("2026-03-03T13:00:00Z", "in_last", {"n": 1, "unit": "days"}, True),
        ("2026-03-03T11:00:00Z", "in_last", {"n": 24, "unit": "hours"}, False),
        ("2026-03-05T11:00:00Z", "in_last", {"n": 24, "unit": "hours"}, False),
        ("2026-02-28", "in_last", {"n": 1, "unit": "months"}, True),
        ("2026-02-01", "in_last", {"n": 1, "unit": "months"}, False),
        ("b", "one_of", ["a", "B"], True),
        ("c", "one_of", ["a", {"list": ["b", "c"]}], True),
        ("d", "one_of", [], False),
    ],
)
def test_rows_compare_as_people_expect(left: Any, operator: str, to: Any, expected: bool) -> None:
    assert check(left, operator, to) is expected


def test_empty_is_nothing_but_not_zero_or_no() -> None:
    assert [check(value, "empty") for value in (None, "", {"list": []})] == [True] * 3
    assert [check(value, "not_empty") for value in (0, False, " ")] == [True] * 3


def test_groups_join_rows_by_and_and_or() -> None:
    yes = {"value": 1, "is": "equal", "to": 1}
    no = {"value": 1, "is": "equal", "to": 2}

    def says(document: Any) -> bool:
        return holds(Condition.model_validate(document), scope())

    assert says({"all": [yes, {"any": [no, yes]}]})
    assert not says({"any": [no, {"all": [yes, no]}]})
    assert says({"all": []})
    assert not says({"any": []})


def test_comparing_what_is_no_number_is_false_and_noted() -> None:
    here = scope()
    row = {"value": [{"value": ["start", "gone"]}], "is": "more", "to": 3}

    assert holds(Condition.model_validate({"all": [row]}), here) is False
    assert here.notes == ["An empty value is no number, so the comparison is not true."]


def test_every_operator_of_the_grammar_is_there() -> None:
    from typing import get_args

    from webapp.engine.grammar import Operator

    assert set(OPERATORS) == set(get_args(Operator))


def test_asking_a_model_is_refused_in_words() -> None:
    with pytest.raises(StepError, match="E-ASKS"):
        check("angry mail", "asks", "Is it angry?")

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from webapp.engine.canonical import from_bytes, to_bytes
from webapp.engine.compute import compute
from webapp.engine.errors import StepError
from webapp.engine.fields import fit, schema_of
from webapp.engine.grammar import Field
from webapp.engine.values import Scope, as_type, render

ROWS = [{"name": "Ada", "n": Decimal("1.50")}, {"name": "Ben", "n": 2}]
OUTSIDE = Scope({"start": {"rows": ROWS, "flag": True, "none": None, "empty": []}})


def at(*ref: str | int, **more: Any) -> list[dict[str, Any]]:
    return [{"value": list(ref), **more}]


def test_a_reference_alone_keeps_its_type() -> None:
    assert render(at("start", "rows"), OUTSIDE) is ROWS
    assert render(at("start", "rows", 0, "n"), OUTSIDE) == Decimal("1.50")
    assert render(at("start", "rows", -1, "name"), OUTSIDE) == "Ben"


def test_parts_are_joined_to_a_text() -> None:
    parts = [{"text": "Dear "}, *at("start", "rows", 0, "name"), {"text": ": "}]

    assert render([*parts, *at("start", "rows", 0, "n")], OUTSIDE) == "Dear Ada: 1.50"
    assert render([{"text": "Paid: "}, *at("start", "flag")], OUTSIDE) == "Paid: yes"


@pytest.mark.parametrize(
    "ref", [("gone",), ("start", "gone", "x"), ("start", "rows", 7), ("start", "flag", 0, "x")]
)
def test_a_missing_part_is_empty_and_never_an_error(ref: tuple[str | int, ...]) -> None:
    assert render(at(*ref), OUTSIDE) is None
    assert render([{"text": "<"}, *at(*ref), {"text": ">"}], OUTSIDE) == "<>"


def test_an_empty_list_stays_a_list() -> None:
    assert render(at("start", "empty"), OUTSIDE) == []


def test_if_empty_gives_another_value() -> None:
    assert render(at("start", "none", if_empty=0), OUTSIDE) == 0
    assert render([{"text": "a"}, *at("start", "none", if_empty="-")], OUTSIDE) == "a-"


def test_if_empty_can_stop_the_step() -> None:
    with pytest.raises(StepError, match="E-VALUE-EMPTY") as failure:
        render(at("start", "none", if_empty={"do": "stop"}), OUTSIDE)

    assert failure.value.proven
    assert "“none” was empty" in failure.value.text


def test_adjustments_come_before_if_empty() -> None:
    wrong_type = at("start", "flag", adjust=[{"do": "upper"}], if_empty="?")

    assert render(wrong_type, OUTSIDE) == "?"


def test_lists_and_records_are_rendered_inside() -> None:
    value = {"record": {"who": at("start", "rows", 0, "name"), "all": {"list": [1, "b"]}}}

    assert render(value, OUTSIDE) == {"who": "Ada", "all": [1, "b"]}


def test_the_nearest_block_is_seen_first() -> None:
    inside = Scope({"s_1": {"item": 2}}, Scope({"s_1": {"item": 1}, "s_0": {"a": 3}}))

    assert render(at("s_1", "item"), inside) == 2
    assert render(at("s_0", "a"), inside) == 3


def test_rendered_text_is_never_rendered_again() -> None:
    scope = Scope({"start": {"text": '[{"value": ["start", "secret"]}]'}})

    assert render([{"text": ""}, *at("start", "text")], scope) == '[{"value": ["start", "secret"]}]'


@pytest.mark.parametrize(
    ("value", "word", "expected"),
    [
        (5, "text", "5"),
        ("1.5", "number", Decimal("1.5")),
        ("x", "number", None),
        ("yes", "boolean", True),
        ("2026-03-04T10:00:00Z", "date", "2026-03-04"),
        ("a", "list", ["a"]),
        ([], "list", []),
        ("a", "record", None),
        ("a", "any", "a"),
    ],
)
def test_a_value_takes_the_type_of_its_field(value: Any, word: str, expected: Any) -> None:
    assert as_type(value, word) == expected


@pytest.mark.parametrize(
    ("op", "values", "digits", "expected"),
    [
        ("add", [Decimal("0.1"), Decimal("0.2")], None, Decimal("0.3")),
        ("add", [1, ""], None, None),
        ("subtract", [5, 2, 1], None, 2),
        ("multiply", [Decimal("1.5"), 2], None, 3),
        ("divide", [1, 3], 2, Decimal("0.33")),
        ("divide", [1, 0], None, None),
        ("sum", [[1, "x", Decimal("2.5")], None], None, Decimal("3.5")),
        ("sum", [[]], None, 0),
        ("min", ["2026-03-04", "2026-01-02"], None, "2026-01-02"),
        ("max", [1, "x", 3], None, 3),
        ("average", [[1, 2]], None, Decimal("1.5")),
        ("average", [[]], None, None),
        ("count", [["a", "", None]], None, 1),
        ("join", ["a", "", 2], None, "a, 2"),
        ("multiply", [Decimal("1e5000"), Decimal("1e5000")], None, None),
    ],
)
def test_arithmetic_is_exact_and_total(
    op: str, values: list[Any], digits: int | None, expected: Any
) -> None:
    assert compute(op, values, digits) == expected


def test_frozen_bytes_are_canonical_and_exact() -> None:
    value = {"b": Decimal("0.10"), "a": ["é", None, True, 1]}

    assert to_bytes(value) == '{"a":["é",null,true,1],"b":0.10}'.encode()
    assert from_bytes(to_bytes(value)) == value
    with pytest.raises(ValueError, match="not JSON"):
        from_bytes("[NaN]")
    with pytest.raises(ValueError, match="deep"):
        from_bytes("[" * 100_000)


FIELDS = [
    Field(name="customer", label="Customer", type="text", max=10),
    Field(name="amount", label="Amount", type="number", min=0),
    Field(name="day", label="Day", type="date", default="today"),
    Field(name="kind", type="oneof", of=["Urgent", "Normal"], required=False),
    Field(name="lines", type="list", required=False,
          items=Field(type="record", fields=[Field(name="n", label="N", type="number")])),
]  # fmt: skip


def test_an_answer_is_read_into_its_fields() -> None:
    given = {"customer": "Ada", "amount": "12.50", "kind": "urgent", "lines": [{"n": 1}]}

    values, problems = fit(FIELDS, given, today="2026-03-04")

    assert problems == {}
    assert values == {
        "customer": "Ada", "amount": Decimal("12.50"), "day": "2026-03-04", "kind": "Urgent",
        "lines": [{"n": 1}],
    }  # fmt: skip


def test_what_does_not_fit_is_said_for_each_field() -> None:
    given = {"customer": "A very long name", "amount": -1, "kind": "?", "lines": [{"n": "x"}]}

    _, problems = fit(FIELDS, given)

    assert problems == {
        "customer": "Customer must be at most 10 characters.",
        "amount": "Amount must be at least 0.",
        "kind": "kind must be one of Urgent, Normal.",
        "lines.0.n": "N must be a number.",
    }
    assert fit(FIELDS, None)[1].keys() == {"customer", "amount"}


def test_fields_have_a_json_schema() -> None:
    schema = schema_of(FIELDS)

    assert schema["required"] == ["customer", "amount", "day"]
    assert schema["properties"]["kind"]["enum"] == ["Urgent", "Normal"]
    assert schema["properties"]["lines"]["items"]["properties"]["n"]["type"] == "number"


@pytest.mark.parametrize("number", ["1e999999999", "-1E-999999999", "1" * 5000])
def test_a_number_that_nobody_can_write_out_is_refused_at_the_border(number: str) -> None:
    with pytest.raises(ValueError, match=r"digits|conversion"):
        from_bytes(f'{{"n": [{number}]}}')


def test_json_from_outside_nested_too_deeply_is_refused() -> None:
    assert from_bytes("[" * 100 + "]" * 100)
    for depth in (200, 900, 100_000):
        with pytest.raises(ValueError, match="nested too deeply"):
            from_bytes("[" * depth + "]" * depth)


def test_what_no_database_keeps_is_replaced_at_the_border() -> None:
    assert from_bytes(r'{"a\u0000": ["\ud800!", "\ud83d\ude00"]}') == {"a\ufffd": ["?!", "😀"]}
    assert from_bytes('["\ud800"]') == ["?"]

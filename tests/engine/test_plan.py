"""What a plan document may say, and what is said about one that says it wrongly."""

from __future__ import annotations

import json
from copy import deepcopy
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.engine.drives import Doc, each, http, lanes, text
from tests.engine.worlds import _Author
from webapp.engine.plan import (
    Plan,
    PlanError,
    PlanTooNew,
    json_schema,
    load_plan,
    plan_sha,
)
from webapp.engine.plan_readers.canonical import canonical

INVOICES = json.loads("""
{"plan":1,"inputs":[{"name":"invoices","label":"Invoices","type":"file","required":true},
  {"name":"day","label":"As of","type":"date","required":false,"default":"today"}],
 "steps":[
  {"id":"s_1","kind":"tool","name":"Read rows","with":{"tool":"csv.read","args":{
    "file":[{"value":["start","invoices"]}],
    "columns":{"list":[{"record":{"name":"number","type":"text","unique":true}},
      {"record":{"name":"due","type":"date","formats":{"list":["YYYY-MM-DD","DD.MM.YYYY"]}}},
      {"record":{"name":"amount","type":"number"}},
      {"record":{"name":"customer","type":"text"}}]}}}},
  {"id":"s_2","kind":"list","name":"Overdue by customer","with":{
    "from":[{"value":["s_1","rows"]}],"do":[
    {"do":"filter","where":{"all":[{"value":[{"value":["item","due"]}],"is":"before",
      "to":[{"value":["start","day"]}]}]}},
    {"do":"group","by":["customer"],"take":[{"name":"total","op":"sum","field":"amount"},
      {"name":"count","op":"count"}]},
    {"do":"sort","by":[{"field":"total","down":true}]}]}},
  {"id":"s_3","kind":"each","name":"Reminders","with":{
    "list":[{"value":["s_2","items"]}],"at_once":5,"most":500,"item_failure":"continue",
    "steps":[{"id":"s_4","kind":"text","name":"Reminder","with":{"text":[{"text":"Dear "},
      {"value":["s_3","item","customer"]},{"text":", you owe "},
      {"value":["s_3","item","total"],"adjust":[{"do":"money","currency":"EUR"}]}]}}],
    "collect":[{"name":"customer","label":"Customer","type":"text",
      "value":[{"value":["s_3","item","customer"]}]},
      {"name":"text","label":"Text","type":"text","value":[{"value":["s_4","text"]}]}]}}],
 "result":[{"name":"totals","label":"Totals","type":"list","value":[{"value":["s_2","items"]}]}]}
""")


LIVE = Draft202012Validator(json_schema())


def problems(doc: Any, level: Any = "live") -> list[tuple[str, str]]:
    with pytest.raises(PlanError) as caught:
        load_plan(doc, level)
    return [(one.pointer, one.code) for one in caught.value.problems]


def plan(*steps: Doc, **rest: Any) -> Doc:
    return {"plan": 1, "steps": list(steps), **rest}


def test_the_example_of_the_language_is_a_plan() -> None:
    read = load_plan(INVOICES)

    assert [step.id for step in read.walk()] == ["s_1", "s_2", "s_3", "s_4"]
    assert read.limits.at_once == 20


@pytest.mark.parametrize("level", ["live", "draft"])
def test_the_schema_takes_what_the_reader_takes(level: Any) -> None:
    schema = Draft202012Validator(json_schema(level))

    Draft202012Validator.check_schema(schema.schema)
    assert list(schema.iter_errors(INVOICES)) == []
    assert not schema.is_valid(plan(text("s_1", {"foo": 1})))
    assert not schema.is_valid(plan(text("s_1", "a", colour="red")))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32))
def test_random_plans_fit_the_schema_and_lose_any_unknown_key(seed: int) -> None:
    doc = _Author(seed, 12, racy=True).plan()
    spoiled = deepcopy(doc)
    places = list(_records(spoiled))
    Random(seed).choice(places)["colour"] = "red"

    assert LIVE.is_valid(doc)
    assert load_plan(doc).plan == 1
    for level in ("live", "draft"):
        with pytest.raises(PlanError):
            load_plan(spoiled, level)  # type: ignore[arg-type]


def _records(doc: Any) -> Any:
    if isinstance(doc, dict):
        yield doc
        for inner in doc.values():
            yield from _records(inner)
    elif isinstance(doc, list):
        for inner in doc:
            yield from _records(inner)


@pytest.mark.parametrize(
    ("doc", "found"),
    [
        ([], [("", "P-TYPE")]),
        ({}, [("/plan", "P-VERSION")]),
        ({"plan": "1"}, [("/plan", "P-VERSION")]),
        ({"plan": True}, [("/plan", "P-VERSION")]),
        (plan(colour="red"), [("/colour", "P-KEY")]),
        ({"plan": 1, "steps": {}}, [("/steps", "P-TYPE")]),
        (plan("s_1"), [("/steps/0", "P-TYPE")]),
        (plan(text("1", "a")), [("/steps/0/id", "C-FIELD-RANGE")]),
        (plan(text("s_1", "a"), text("s_1", "b")), [("/steps/1/id", "P-ID")]),
        (plan({"id": "s_1", "kind": "text"}), [("/steps/0/with/text", "C-FIELD-EMPTY")]),
        (plan({"id": "s_1", "kind": "magic"}), [("/steps/0/kind", "C-KIND-UNKNOWN")]),
        (plan(text("s_1", "a", cost_usd="0")), [("/steps/0/cost_usd", "P-VALUE")]),
        (plan(text("s_1", "a", timeout_s=0)), [("/steps/0/timeout_s", "C-FIELD-RANGE")]),
        (plan(text("s_1", "a" * 200_001)), [("/steps/0/with/text", "P-VALUE")]),
        (plan(text("s_1", [{"value": ["s_1"] * 9}])), [("/steps/0/with/text/0/value", "P-VALUE")]),
        (plan(text("s_1", [{"value": ["x"]}])), [("/steps/0/with/text/0/value", "P-VALUE")]),
        (plan(text("s_1", [{"value": ["secret", "k"]}])),
         [("/steps/0/with/text/0/value", "P-VALUE")]),
        (plan(text("s_1", float("nan"))), [("/steps/0/with/text", "P-VALUE")]),
        (plan(text("s_1", [{"value": ["start"], "adjust": [{"do": "explode"}]}])),
         [("/steps/0/with/text/0/adjust/0/do", "P-VALUE")]),
        (plan(each("s_1", [1], most=10_001)), [("/steps/0/with/most", "C-FIELD-RANGE")]),
        (plan(lanes("s_1", [])), [("/steps/0/with/lanes", "C-FIELD-RANGE")]),
        (plan(limits={"at_once": 65}), [("/limits/at_once", "C-FIELD-RANGE")]),
        (plan(text("s_1", "a", on_failure={"do": "stop", "steps": [text("s_2", "b")]})),
         [("/steps/0/on_failure/steps", "P-KEY")]),
        (plan(*(text(f"s_{n}", "a") for n in range(501))), [("/steps/500", "C-STEPS")]),
        (plan(inputs=[{"label": "A"}]), [("/inputs/0/name", "C-FIELD-EMPTY")]),
    ],
)  # fmt: skip
def test_each_fault_is_named_with_its_place(doc: Any, found: list[tuple[str, str]]) -> None:
    assert problems(doc) == found


def test_of_what_may_be_of_several_types_all_are_named() -> None:
    items = {"name": "rows", "label": "Rows", "type": "list", "default": [1], "min": "few"}

    with pytest.raises(PlanError) as caught:
        load_plan(plan() | {"inputs": [items]})

    assert [one.text for one in caught.value.problems] == [
        "Default must be a number, a text, or yes or no",
        "Min must be a number",
    ]


def test_what_is_wrong_is_said_in_a_sentence() -> None:
    doc = plan(each("s_1", [1], most=10_001), text("s_2", "a", colour="red"))

    with pytest.raises(PlanError) as caught:
        load_plan(doc)

    assert [one.text for one in caught.value.problems] == [
        "“At most” must be at most 10,000",
        "There is no setting called “colour” here",
    ]


@pytest.mark.parametrize(
    "step",
    [
        {"id": "s_1", "kind": "text", "with_": {"text": "a"}},
        {"id": "s_1", "kind": "each", "with": {"source": 1, "list": 1}},
        {"id": "s_1", "kind": "stop", "with": {"end": "done"}},
    ],
)
def test_names_of_the_code_are_no_words_of_the_language(step: Doc) -> None:
    assert "P-KEY" in {code for _, code in problems(plan(step), "draft")}


def test_four_blocks_inside_each_other_are_enough() -> None:
    def nested(depth: int) -> Doc:
        inner = nested(depth - 1) if depth else text("s_0", "a")
        return each(f"s_{depth + 1}", [1], inner)

    load_plan(plan(nested(3)))
    deep = nested(4)
    assert problems(plan(deep))[0][1] == "C-DEPTH"
    for _ in range(3_000):
        deep = each("s_9", [1], deep)
    with pytest.raises(PlanError):
        load_plan(plan(deep))


def test_a_draft_may_lack_settings_and_keeps_what_is_inside() -> None:
    branch = {"id": "yes", "steps": [http("s_3")]}
    doc = plan(
        {"id": "s_1", "kind": "http", "with": {}},
        {"id": "s_2", "kind": "if", "with": {"branches": [branch]}},
        {"id": "s_4", "kind": "later_kind", "with": {"any": 1}},
    )

    draft = load_plan(doc, "draft")

    assert [step.id for step in draft.walk()] == ["s_1", "s_2", "s_3", "s_4"]
    assert [lack.code for step in draft.steps for lack in step.lacks] == [
        "C-FIELD-EMPTY",
        "C-FIELD-EMPTY",
        "C-KIND-UNKNOWN",
    ]
    assert draft.steps[0].with_ == {}
    assert len(problems(doc)) == 3


def test_a_draft_refuses_what_is_no_value() -> None:
    doc = plan({"id": "s_1", "kind": "http", "with": {"url": {"text": "a"}}})

    assert problems(doc, "draft") == [("/steps/0/with/url", "P-VALUE")]


def test_a_plan_of_a_later_format_is_left_to_a_later_worker() -> None:
    with pytest.raises(PlanTooNew):
        load_plan({"plan": 2})


def test_the_hash_does_not_depend_on_how_the_document_is_written() -> None:
    other = json.loads(json.dumps(INVOICES, sort_keys=True), parse_float=Decimal)

    assert plan_sha(INVOICES) == plan_sha(other)
    assert plan_sha(INVOICES) != plan_sha({**INVOICES, "result": []})


@pytest.mark.parametrize(
    ("value", "written"),
    [  # from RFC 8785, appendix B and section 3.2.3
        (333333333.33333329, "333333333.3333333"),
        (1e30, "1e+30"),
        (4.50, "4.5"),
        (2e-3, "0.002"),
        (1e-27, "1e-27"),
        (0, "0"),
        (-0.0, "0"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (9007199254740992, "9007199254740992"),
        (295147905179352830000, "295147905179352830000"),
        (9.999999999999997e22, "9.999999999999997e+22"),
        (1e23, "1e+23"),
        (0.000001, "0.000001"),
        (1e-7, "1e-7"),
        (Decimal("0.50"), "0.5"),
        (Decimal("0.10000000000000000001"), "0.10000000000000000001"),
        ("\u20ac$\u000f\nA'B\"\\\"/", '"€$\\u000f\\nA\'B\\"\\\\\\"/"'),
        ({"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\xf6": 7},
         '{"\\r":2,"1":4,"\x80":6,"\xf6":7,"\u20ac":1,"\U0001f600":5,"\ufb33":3}'),
    ],
)  # fmt: skip
def test_the_canonical_form_is_that_of_the_standard(value: Any, written: str) -> None:
    assert canonical(value) == written


def test_reading_is_quick_enough_for_the_largest_plan() -> None:
    steps = [each(f"s_e{n}", [1], *(text(f"s_{n}x{m}", "a") for m in range(9))) for n in range(50)]

    read = load_plan(plan(*steps))

    assert isinstance(read, Plan)
    assert sum(1 for _ in read.walk()) == 500

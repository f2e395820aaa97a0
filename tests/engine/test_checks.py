"""What is left in a plan, and what can be seen where."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.engine.drives import Doc, each, http, lanes, text
from tests.engine.test_plan import INVOICES, plan
from webapp.engine.checks import check, check_document, values_at
from webapp.engine.plan import load_plan


def found(*steps: Doc, **rest: Any) -> list[tuple[str, str, str, str]]:
    checks = check(load_plan(plan(*steps, **rest), "draft"))
    return [(one.kind, one.step, one.field, one.code) for one in checks]


def ref(*parts: Any, **rest: Any) -> list[Doc]:
    return [{"value": list(parts), **rest}]


def if_(step_id: str, yes: list[Doc], otherwise: list[Doc], **common: Any) -> Doc:
    when = {"all": [{"value": 1, "is": "equal", "to": 1}]}
    branches = [{"id": "yes", "when": when, "steps": yes}]
    settings = {"branches": branches, "otherwise": otherwise}
    return {"id": step_id, "kind": "if", "with": settings, **common}


STOP = {"id": "s_9", "kind": "stop", "with": {}}
FREE = {"instructions": "a", "model": "practice"}


def test_nothing_is_left_of_a_whole_plan() -> None:
    assert check(load_plan(INVOICES)) == []


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], ("todo", "", "steps", "C-ALL-OFF")),
        ([text("s_1", "a", off=True)], ("todo", "", "steps", "C-ALL-OFF")),
        ([{"id": "s_1", "kind": "http"}], ("todo", "s_1", "with.url", "C-FIELD-EMPTY")),
        ([http("s_1", "")  | {"with": {"url": ""}}], ("todo", "s_1", "with.url", "C-FIELD-EMPTY")),
        ([each("s_1", [1], most=0)], ("todo", "s_1", "with.most", "C-FIELD-RANGE")),
        ([{"id": "s_1", "kind": "x"}], ("broken", "s_1", "kind", "C-KIND-UNKNOWN")),
        ([{"id": "s_1", "kind": "tool", "with": {"tool": "no.such"}}],
         ("broken", "s_1", "with.tool", "C-TOOL-UNKNOWN")),
        ([text("s_1", ref("s_8", "text"))], ("broken", "s_1", "with.text", "C-REF-GONE")),
        ([text("s_1", "a"), text("s_2", ref("s_1", "body"))],
         ("broken", "s_2", "with.text", "C-REF-GONE")),
        ([text("s_1", ref("start", "mail"))], ("broken", "s_1", "with.text", "C-REF-GONE")),
        ([text("s_1", ref("item", "name"))], ("broken", "s_1", "with.text", "C-REF-GONE")),
        ([text("s_1", ref("s_2", "text")), text("s_2", "a")],
         ("broken", "s_1", "with.text", "C-REF-LATER")),
        ([each("s_1", [1], text("s_2", "a")), text("s_3", ref("s_2", "text"))],
         ("broken", "s_3", "with.text", "C-REF-LATER")),
        ([lanes("s_1", [text("s_2", "a")], [text("s_3", ref("s_2", "text"))])],
         ("broken", "s_3", "with.text", "C-REF-LATER")),
        ([if_("s_1", [text("s_2", "a")], []), text("s_3", ref("s_2", "text"))],
         ("todo", "s_3", "with.text", "C-REF-MAYBE-EMPTY")),
        ([http("s_1", on_failure={"do": "continue"}), text("s_2", ref("s_1", "body"))],
         ("todo", "s_2", "with.text", "C-REF-MAYBE-EMPTY")),
        ([text("s_1", "a"), each("s_2", []) | {"with": {"list": ref("s_1", "text")}}],
         ("broken", "s_2", "with.list", "C-REF-TYPE")),
        ([STOP, text("s_1", "a")], ("look", "s_1", "", "C-UNREACHABLE")),
        ([if_("s_1", [STOP], [{**STOP, "id": "s_8"}]), text("s_2", "a")],
         ("look", "s_2", "", "C-UNREACHABLE")),
        ([{"id": "s_1", "kind": "agent", "with": {"inline": {"model": "m"}, "message": "a"}}],
         ("look", "s_1", "cost_usd", "C-AGENT-NO-COST-LIMIT")),
        ([http("s_1", method="POST") | {"with": {"method": "POST", "url": "https://a.example"}}],
         ("look", "s_1", "", "C-NO-APPROVAL-BEFORE-OUTSIDE")),
    ],
)  # fmt: skip
def test_each_finding_names_its_step_and_field(
    steps: list[Doc], expected: tuple[str, str, str, str]
) -> None:
    assert found(*steps) == [expected]


@pytest.mark.parametrize(
    "steps",
    [
        [if_("s_1", [text("s_2", "a")], []), text("s_3", ref("s_2", "text", if_empty="none"))],
        [if_("s_1", [text("s_2", "a")], []), text("s_3", [{"text": "a"}, *ref("s_2", "text")])],
        [http("s_1", on_failure={"do": "branch", "steps": [text("s_2", ref("s_1", "error"))]})],
        [http("s_1", on_failure={"do": "continue"}), text("s_2", ref("s_1", "failed") * 2)],
        [each("s_1", [1], text("s_2", ref("s_1", "item", "name")))],
        [each("s_1", [1], each("s_2", [1], text("s_3", ref("s_1", "index"))))],
        [text("s_1", ref("now", "today"))],
        [if_("s_1", [STOP], []), text("s_2", "a")],
        [{"id": "s_1", "kind": "agent", "with": {"inline": FREE, "message": "a"}}],
        [text("s_1", "a"), text("s_2", ref("s_8", "text"), off=True)],
    ],
)
def test_what_is_right_is_not_mentioned(steps: list[Doc]) -> None:
    assert found(*steps) == []


def test_lanes_see_the_lanes_they_need() -> None:
    step = lanes("s_1", [text("s_2", ref("s_3", "text"))], [text("s_3", "a")], [])
    step["with"]["lanes"][0]["needs"] = ["l1"]

    assert found(step) == []


def test_lanes_that_wait_for_each_other_are_named() -> None:
    step = lanes("s_1", [], [], [])
    step["with"]["lanes"][0]["needs"] = ["l2"]
    step["with"]["lanes"][1]["needs"] = ["gone"]
    step["with"]["lanes"][2]["needs"] = ["l0"]

    checks = check(load_plan(plan(step)))

    assert [(one.field, one.code) for one in checks] == [
        ("with.lanes.1.needs", "C-LANE-GONE"),
        ("with.lanes.0.needs", "C-LANE-CYCLE"),
    ]
    assert "“l0” and “l2”" in checks[1].text


def test_sentences_name_the_step_by_its_number() -> None:
    checks = check(load_plan(plan(text("s_7", "a"), {"id": "s_1", "kind": "http"}), "draft"))

    assert [one.text for one in checks] == ["Step 2: fill in “Address”"]


def test_the_result_is_checked_as_well() -> None:
    result = [{"name": "a", "label": "Answer", "value": ref("s_9", "text")}]

    assert found(text("s_1", "a"), result=result) == [
        ("broken", "", "result.0.value", "C-REF-GONE")
    ]


def test_what_an_each_collects_sees_the_inside() -> None:
    collect = [
        {"name": "a", "value": ref("s_2", "text")},
        {"name": "b", "value": ref("s_1", "item")},
    ]

    assert found(each("s_1", [1], text("s_2", "a"), collect=collect)) == []


def test_a_document_that_is_no_plan_is_broken_where_it_is() -> None:
    read, checks = check_document(plan(each("s_1", [1], text("s_2", {"x": 1}))))

    assert read is None
    assert [(c.kind, c.step, c.field, c.code) for c in checks] == [
        ("broken", "s_2", "with.text", "P-VALUE")
    ]


def test_the_picker_offers_what_can_be_seen() -> None:
    inputs = [{"name": "mail", "label": "Mail", "type": "text", "required": False}]
    read = load_plan(
        plan(
            if_("s_1", [text("s_2", "a")], []),
            each("s_3", [1], text("s_4", "a"), text("s_5", "b")),
            text("s_6", "a"),
            inputs=inputs,
        )
    )

    def offered(step: str, **rest: Any) -> list[str]:
        groups = values_at(read, step, **rest)
        steps = [group for group in groups if group.root.startswith("s")]
        return [f"{v.ref[0]}.{v.ref[1]}" + "?" * v.may_be_empty for g in steps for v in g.values]

    assert offered("s_5") == [
        "s_4.text", "s_3.item", "s_3.index", "s_1.branch", "s_2.text?", "start.mail?",
    ]  # fmt: skip
    assert offered("s_3", collected=True)[0] == "s_5.text"
    assert "s_4.text" not in offered("s_6")
    assert offered("")[0] == "s_6.text"


def test_two_hundred_steps_are_checked_quickly() -> None:
    steps = [http("s_0")]
    steps += [text(f"s_{n}", [{"text": "a"}, *ref(f"s_{n - 1}", "text")]) for n in range(2, 200)]
    steps.insert(1, text("s_1", ref("s_0", "body")))
    read = load_plan(plan(*steps), "draft")
    took = []

    for _ in range(5):
        began = time.process_time()
        assert check(read) == []
        took.append(time.process_time() - began)

    assert min(took) < 0.05


def test_a_condition_that_asks_a_model_is_left_to_do_and_names_its_row() -> None:
    asks = {"value": "calm?", "is": "asks", "to": "Is it angry?"}
    plain = {"value": 1, "is": "equal", "to": 1}
    branch = {"id": "yes", "when": {"all": [plain, {"any": [asks]}]}, "steps": []}
    decide = {"id": "s_1", "kind": "if", "with": {"branches": [branch]}}
    keep = {"do": "filter", "where": {"any": [asks]}}
    rows = {"id": "s_2", "kind": "list", "with": {"from": {"list": [1]}, "do": [keep]}}

    assert found(decide, rows) == [
        ("todo", "s_1", "with.branches.0.when.all.1.any.0.is", "C-FIELD-RANGE"),
        ("todo", "s_2", "with.do.0.where.any.0.is", "C-FIELD-RANGE"),
    ]


def test_a_tool_that_lacks_what_it_needs_is_left_to_do() -> None:
    read = {"id": "s_1", "kind": "tool", "with": {"tool": "csv.read", "args": {"most": 5}}}
    empty = {
        "id": "s_2",
        "kind": "tool",
        "with": {"tool": "calculator", "args": {"expression": ""}},
    }

    checks = check(load_plan(plan(read, empty), "draft"))

    assert [(one.kind, one.step, one.field, one.text) for one in checks] == [
        ("todo", "s_1", "with.args.file", "Step 1: fill in “File”"),
        ("todo", "s_2", "with.args.expression", "Step 2: fill in “Calculation”"),
    ]


def test_rows_that_are_kept_without_a_condition_are_left_to_do() -> None:
    keep = {"do": "filter", "where": {"all": []}}
    rows = {"id": "s_1", "kind": "list", "with": {"from": {"list": [1]}, "do": [keep]}}

    assert found(rows) == [("todo", "s_1", "with.do.0.where", "C-FIELD-EMPTY")]


@pytest.mark.parametrize(
    ("row", "is_fixed"),
    [
        ({"value": "Amount", "is": "more", "to": 100}, True),
        ({"value": [{"text": "Amount"}], "is": "empty"}, True),
        ({"value": "Amount", "is": "one_of", "to": ["a", 2]}, True),
        ({"value": "Amount", "is": "in_last", "to": {"n": 2, "unit": "days"}}, True),
        ({"value": ref("item", "amount"), "is": "more", "to": 100}, False),
        ({"value": "new", "is": "equal", "to": ref("item", "state")}, False),
        ({"value": "new", "is": "between", "to": [1, ref("item", "state")]}, False),
    ],
)
def test_a_word_where_a_column_was_meant_is_worth_a_look(row: Doc, is_fixed: bool) -> None:
    keep = {"do": "filter", "where": {"all": [row]}}
    rows = {"id": "s_1", "kind": "list", "with": {"from": {"list": [1]}, "do": [keep]}}
    look = ("look", "s_1", "with.do.0.where.all.0.value", "C-CONDITION-FIXED")

    assert found(rows) == ([look] if is_fixed else [])


@pytest.mark.parametrize("seconds", [-1, "x", 99_999_999])
def test_a_time_that_nothing_can_wait_for_is_left_to_do(seconds: Any) -> None:
    wait = {"id": "s_1", "kind": "wait", "with": {"for_s": seconds}}

    assert found(wait) == [("todo", "s_1", "with.for_s", "C-FIELD-RANGE")]
    wait["with"] = {"for_s": 5}
    assert found(wait) == []


@pytest.mark.parametrize("words", ["tomorrow maybe", "2026-13-01"])
def test_words_that_are_no_moment_are_left_to_do(words: str) -> None:
    wait = {"id": "s_1", "kind": "wait", "with": {"until": words}}
    ask = {"id": "s_2", "kind": "approval", "with": {"who": [{"starter": True}]}}
    ask["with"]["due"] = {"at": [{"text": words}]}

    assert found(wait, ask) == [
        ("todo", "s_1", "with.until", "C-FIELD-RANGE"),
        ("todo", "s_2", "with.due.at", "C-FIELD-RANGE"),
    ]
    wait["with"]["until"] = "2026-12-01"
    ask["with"]["due"] = {"at": "2026-12-01T10:00"}
    assert found(wait, ask) == []


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ([{"text": "https://example.com/orders"}], True),
        ("https://example.com/orders", True),
        ([{"value": ["start", "url"]}], True),
        ([{"value": ["start", "site"]}, {"text": "/orders"}], True),
        ([{"text": "https://example.com/"}, {"value": ["start", "url"]}], True),
        ([{"text": "example.com/orders"}], False),
        ([{"text": "example.com/"}, {"value": ["start", "url"]}], False),
        ([{"text": "https://example.com/two words"}], False),
        ([{"text": "file:///etc/passwd"}], False),
    ],
)
def test_an_address_that_is_none_is_said_before_any_run(url: Any, fits: bool) -> None:
    ask = http("s_1", url)
    asked = [{"name": name, "label": name, "type": "text"} for name in ("url", "site")]

    assert found(ask, inputs=asked) == (
        [] if fits else [("todo", "s_1", "with.url", "C-FIELD-RANGE")]
    )


def test_a_step_that_is_allowed_more_than_the_run_is_worth_a_look() -> None:
    many = each("s_3", [1], text("s_4", "a"), most=100)
    limits = {"seconds": 60, "cost_usd": "0.10", "steps": 50}
    asks = {"id": "s_2", "kind": "agent", "with": {"inline": FREE, "message": "a"}}

    assert found(
        http("s_1", "https://a.example") | {"timeout_s": 61},
        {**asks, "cost_usd": "0.2"},
        many,
        limits=limits,
    ) == [
        ("look", "s_1", "timeout_s", "C-FIELD-RANGE"),
        ("look", "s_2", "cost_usd", "C-FIELD-RANGE"),
        ("look", "s_3", "with.most", "C-FIELD-RANGE"),
    ]
    assert found(many, limits={"steps": 100}) == []


def test_a_run_that_must_reach_its_limit_of_steps_is_left_to_do() -> None:
    steps = [text(f"s_{n}", "a") for n in range(1, 4)]

    assert found(*steps, limits={"steps": 2}) == [("todo", "", "limits.steps", "C-FIELD-RANGE")]
    steps[0]["off"] = True
    assert found(*steps, limits={"steps": 2}) == []


def test_where_somebody_is_asked_first_nothing_is_said_of_what_goes_outside() -> None:
    ask = {"id": "s_1", "kind": "approval", "with": {"who": [{"starter": True}]}}
    send = {"id": "s_2", "kind": "http", "with": {"method": "POST", "url": "https://a.example"}}

    assert found(ask, send) == []
    assert len(found(send, ask)) == 1
    assert len(found({**ask, "off": True}, send)) == 1

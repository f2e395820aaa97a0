"""Small plans that make much: they end with a sentence, not with the machine."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from tests.engine.drives import each, plan_of, run, text
from webapp.engine.allowance import MOST_DEPTH, MOST_IN_STEP, size_of
from webapp.engine.driver import drive
from webapp.engine.errors import StepError
from webapp.engine.journal import End
from webapp.engine.testing import MemoryJournal, facts_of, fake_ports
from webapp.engine.tools import TOOLS

ANYTHING = [{"name": "x", "type": "any"}]


def at(*ref: str | int) -> list[dict[str, Any]]:
    return [{"value": list(ref)}]


def set_(step_id: str, value: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": step_id,
        "kind": "set",
        "with": {"fields": [{"name": "v", "value": value}]},
    } | more


def listed(step_id: str, source: Any, *ops: dict[str, Any]) -> dict[str, Any]:
    return {"id": step_id, "kind": "list", "with": {"from": source, "do": list(ops)}}


def code_of(*steps: dict[str, Any], inputs: dict[str, Any]) -> str | None:
    end = run(plan_of(*steps, inputs=ANYTHING), inputs=inputs)
    assert isinstance(end, End)
    return (end.error or {}).get("code")


def test_steps_that_double_a_text_end_early() -> None:
    steps = [set_("s_1", "x" * 100_000)]
    for n in range(2, 60):
        before = {"value": [f"s_{n - 1}", "v"]}
        steps.append(set_(f"s_{n}", [before, before]))

    assert code_of(*steps, inputs={"x": 1}) == "E-VALUE-LARGE"


def test_steps_that_nest_one_list_in_another_end_early() -> None:
    wide = [set_("s_1", "x")]
    deep = [set_("s_1", "x")]
    for n in range(2, 200):
        wide.append(set_(f"s_{n}", {"list": [at(f"s_{n - 1}", "v")] * 100}))
        deep.append(set_(f"s_{n}", {"list": [at(f"s_{n - 1}", "v")]}))

    assert code_of(*wide, inputs={"x": 1}) == "E-VALUE-LARGE"
    assert code_of(*deep, inputs={"x": 1}) == "E-VALUE-LARGE"


@pytest.mark.parametrize(
    "ops",
    [
        [
            {"do": "compute", "name": "all", "value": at("start", "x")},
            {"do": "flatten", "field": "all"},
        ],
        [{"do": "compute", "name": "all", "op": "join", "of": [at("start", "x")]}],
        [{"do": "compute", "name": "all", "value": [{"text": "-" * 100_000}, *at("item", "n")]}],
        [
            {
                "do": "filter",
                "where": {"all": [{"value": at("start", "x"), "is": "contains", "to": "z"}]},
            }
        ],
        [
            {"do": "compute", "name": "all", "value": at("start", "x")},
            {"do": "unique", "by": ["all"]},
        ],
    ],
    ids=["flatten", "join", "text", "contains", "unique"],
)
def test_each_row_with_every_other_row_ends_early(ops: list[dict[str, Any]]) -> None:
    rows = [{"n": n} for n in range(5_000)]

    assert code_of(listed("s_1", at("start", "x"), *ops), inputs={"x": rows}) == "E-VALUE-LARGE"


def test_a_run_that_keeps_too_much_of_each_item_ends_as_failed() -> None:
    inner = text("s_2", [{"text": "x" * 100_000}, *at("start", "x"), *at("start", "x")])
    plan = each("s_1", [0] * 200, inner, at_once=1, most=10_000)

    outer = each("s_3", [0] * 200, plan, at_once=1)

    assert code_of(outer, inputs={"x": "y" * 150_000}) == "E-RUN-LARGE"


def test_a_large_list_that_is_honest_goes_through() -> None:
    rows = [{"n": n, "name": f"Customer {n}", "city": "Berlin"} for n in range(5_000)]
    ops: list[dict[str, Any]] = [
        {"do": "filter", "where": {"all": [{"value": at("item", "n"), "is": "more", "to": 10}]}},
        {"do": "compute", "name": "twice", "op": "multiply", "of": [at("item", "n"), 2]},
        {"do": "sort", "by": [{"field": "twice", "down": True}]},
    ]

    assert code_of(listed("s_1", at("start", "x"), *ops), inputs={"x": rows}) is None


def test_rows_may_be_looked_up_in_an_honest_list() -> None:
    wanted = [f"Customer {n}" for n in range(100)]
    where = {"value": at("start", "x", "wanted"), "is": "contains", "to": at("item", "name")}
    rows = [{"name": f"Customer {n}"} for n in range(2_000)]
    step = listed("s_1", at("start", "x", "rows"), {"do": "filter", "where": {"all": [where]}})

    assert code_of(step, inputs={"x": {"rows": rows, "wanted": wanted}}) is None


def test_counting_stops_at_the_bound() -> None:
    bomb: list[Any] = ["x"]
    for _ in range(60):
        bomb = [bomb] * 10
    deep: list[Any] = []
    for _ in range(MOST_DEPTH + 2):
        deep = [deep]

    with pytest.raises(StepError, match="E-VALUE-LARGE"):
        size_of(bomb, 100_000)
    with pytest.raises(StepError, match="E-VALUE-LARGE"):
        size_of(deep, MOST_IN_STEP)
    assert size_of({"a": ["bc", 1, None]}, 1_000) < 100


def test_a_step_that_calculates_for_too_long_ends_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("webapp.engine.allowance.MOST_S", 0.0)
    shout = {"do": "compute", "name": "b", "value": [{"value": ["item", "a"]}]}
    rows = [{"a": str(n)} for n in range(1_000)]

    end = run(plan_of(listed("s_1", at("start", "x"), shout), inputs=ANYTHING), inputs={"x": rows})

    assert isinstance(end, End)
    assert end.error is not None
    assert (end.error["code"], end.error["path"]) == ("E-VALUE-LARGE", "s_1")
    assert end.error["text"].startswith("This step calculated for longer than ")


def test_items_that_only_calculate_let_others_have_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("webapp.engine.driver.SLICE_S", 0.001)
    turns = []

    def slow(args: Any) -> dict[str, Any]:
        time.sleep(0.002)  # longer than a slice
        turns.append(others)
        return {"answer": 2}

    monkeypatch.setitem(TOOLS, "calculator", replace(TOOLS["calculator"], compute=slow))
    tool = {"tool": "calculator", "args": {"expression": "1 + 1"}}
    inner = {"id": "s_2", "kind": "tool", "with": tool}
    plan = plan_of(each("s_1", list(range(10)), inner, at_once=10))
    others = 0

    async def beside() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    async def both() -> None:
        other = asyncio.create_task(beside())
        await drive(plan, {}, facts_of(), [], MemoryJournal(), fake_ports())
        other.cancel()

    asyncio.run(both())

    assert turns == sorted(set(turns))

"""Long lists in parts: what comes of it is what would have come of one run."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.drives import Doc, each, http, plan_of, run, text
from tests.engine.families import Family
from tests.engine.test_crashes import decide, uncounted
from tests.engine.worlds import fails, random_plan
from webapp.engine.journal import End
from webapp.engine.plan import Plan
from webapp.engine.ports import HttpAnswer
from webapp.engine.testing import Died, FakeHttp, MemoryJournal, answered, fake_ports

GIVEN = [
    {"name": name, "value": [{"value": ["s_e", name]}]} for name in ("items", "count", "failed")
]
COLLECT = [{"name": "said", "value": [{"value": ["s_1", "text"]}]}]


def ten(*steps: Doc, more: Doc | None = None, **limits: Any) -> Plan:
    """A plan that does `steps` for each of ten items, and gives what the list gave."""
    settings = {"at_once": 4, "collect": COLLECT, **(more or {})}
    rest: Doc = {"limits": limits} if limits else {}
    return plan_of(each("s_e", list(range(10)), *steps, **settings), result=GIVEN, **rest)


def said() -> Doc:
    return text("s_1", [{"text": "No. "}, {"value": ["s_e", "item"]}])


def whole(plan: Plan, web: FakeHttp | None = None) -> tuple[End, MemoryJournal]:
    journal = MemoryJournal()
    end = run(plan, journal, fake_ports(web or FakeHttp()))
    assert isinstance(end, End)
    return end, journal


def test_parts_give_in_the_order_of_the_list_what_one_run_would() -> None:
    plan = ten(said())
    family = Family(plan, split=3)

    end = family.finish()

    expected, journal = whole(plan)
    assert end == expected
    assert family.states == journal.states()
    assert family.started == ["s_e[0-2]", "s_e[3-5]", "s_e[6-8]", "s_e[9-9]"]
    assert family.root.journal.states()["s_e[3-5]"] == "succeeded"


def test_a_list_that_is_not_longer_than_a_part_is_not_split() -> None:
    family = Family(ten(said()), split=10)

    assert family.finish() == whole(ten(said()))[0]
    assert family.started == []


def test_what_was_not_split_stays_whole_when_the_setting_changes() -> None:
    plan = ten(http("s_2"), said())
    family = Family(plan, split=0)
    family.root.journal.dies_at = 4
    family.live(family.root)
    family.split = 2

    end = family.finish()

    assert end == whole(plan)[0]
    assert family.started == []
    assert "s_e[9]/s_1" in family.root.journal.states()


def test_no_more_items_are_at_work_than_the_list_allows() -> None:
    family = Family(ten(http("s_2"), said(), more={"at_once": 2}), split=3)

    family.finish()

    assert family.most_at_once == 2
    assert {one.part.at_once for one in family.members.values() if one.part} == {1}


def test_failed_items_are_told_by_their_place_in_the_whole_list() -> None:
    async def reply(method: str, url: str) -> HttpAnswer | None:
        return answered("no", 404) if url.endswith(("/4", "/7")) else None

    plan = ten(http("s_2", [{"text": "http://t/"}, {"value": ["s_e", "index"]}]), said())
    family = Family(plan, split=3, web=FakeHttp(reply))

    end = family.finish()

    assert end == whole(plan, FakeHttp(reply))[0]
    assert [one["index"] for one in (end.result or {})["failed"]] == [4, 7]
    assert end.problems


def test_an_item_that_stops_the_list_ends_the_other_parts() -> None:
    async def reply(method: str, url: str) -> HttpAnswer | None:
        return answered("no", 404) if url.endswith("/4") else None

    address = [{"text": "http://t/"}, {"value": ["s_e", "index"]}]
    plan = ten(http("s_2", address), said(), more={"item_failure": "stop", "at_once": 2})
    family = Family(plan, split=3, web=FakeHttp(reply))

    end = family.finish()

    expected, _ = whole(plan, FakeHttp(reply))
    assert uncounted(end) == uncounted(expected)
    assert (end.error or {})["index"] == 4
    assert "s_e[9-9]" not in family.root.journal.states()


def test_a_stop_in_a_part_ends_the_whole_run() -> None:
    when = {"all": [{"value": [{"value": ["s_e", "index"]}], "is": "equal", "to": 4}]}
    for word in ("done", "failed"):
        stop = {"id": "s_3", "kind": "stop", "with": {"as": word, "message": "Enough."}}
        branch = {"id": "yes", "when": when, "steps": [stop]}
        choice = {"id": "s_2", "kind": "if", "with": {"branches": [branch]}}
        family = Family(ten(choice, said()), split=3)

        end = family.finish()

        assert end.state == word
        if word == "failed":
            error = end.error or {}
            assert (error["code"], error["path"]) == ("E-STOP", "s_e[4]/s_2:yes/s_3")


def test_steps_of_parts_count_against_the_limit_of_the_run() -> None:
    enough, too_many = ten(http("s_2"), said(), steps=21), ten(http("s_2"), said(), steps=15)

    assert Family(enough, split=3).finish() == whole(enough)[0]
    end = Family(too_many, split=3).finish()

    assert end.state == "failed"
    assert (end.error or {})["code"] == "E-STEPS-LIMIT"


def test_parts_at_work_beside_each_other_keep_the_limit_of_the_run() -> None:
    plan = plan_of(each("s_e", list(range(120)), said(), at_once=4), limits={"steps": 70})
    family = Family(plan, split=50)

    end = family.finish()

    assert (end.error or {})["code"] == "E-STEPS-LIMIT"
    assert "70 steps" in (end.error or {})["text"]
    assert sum(state == "succeeded" for state in family.states.values()) <= 70


def test_parts_that_keep_the_limit_to_the_step_are_all_done() -> None:
    plan = plan_of(each("s_e", list(range(120)), said(), at_once=4), limits={"steps": 121})

    assert Family(plan, split=50).finish().state == "done"
    assert Family(plan, split=7).finish().state == "done"


def test_a_part_that_fails_as_a_whole_makes_all_its_items_failed() -> None:
    family = Family(ten(said()), split=3)
    family.live(family.root)
    lost = next(one for one in family.members.values() if one.path == "s_e[3-5]")
    error = {"code": "E-RUN-LOST", "text": "Workers stopped."}
    lost.journal.end = End("failed", error=error)
    family._tell(lost, family.root)

    end = family.finish()

    failed = (end.result or {})["failed"]
    assert [(one["index"], one["code"]) for one in failed] == [(n, "E-RUN-LOST") for n in (3, 4, 5)]
    assert (end.result or {})["count"] == 7


def test_values_from_around_the_list_are_seen_in_its_parts() -> None:
    inner = text(
        "s_1",
        [
            {"value": ["s_o", "item"]}, {"text": "/"}, {"value": ["s_e", "item"]}, {"text": "/"},
            {"value": ["s_0", "text"]}, {"text": "/"}, {"value": ["start", "who"]}, {"text": "/"},
            {"value": ["run", "id"]},
        ],
    )  # fmt: skip
    nested = each("s_e", list(range(5)), inner, collect=COLLECT)
    collect = [{"name": "all", "value": [{"value": ["s_e", "items"]}]}]
    plan = plan_of(
        text("s_0", "before"),
        each("s_o", ["a", "b", "c"], nested, collect=collect),
        result=[{"name": "all", "value": [{"value": ["s_o", "items"]}]}],
        inputs=[{"name": "who", "label": "Who", "type": "text"}],
    )
    family = Family(plan, split=2, inputs={"who": "Ada"})

    end = family.finish()

    expected = run(plan, inputs={"who": "Ada"})
    assert end == expected
    assert "s_o[2]/s_e[4-4]" in family.started


def test_a_list_with_money_to_keep_together_or_signals_to_hear_stays_whole() -> None:
    asks = {"instructions": "x", "model": "m"}
    agent = {"id": "s_2", "kind": "agent", "with": {"inline": asks, "message": "x"}}
    waits = {"id": "s_2", "kind": "wait", "with": {"signal": {"name": "go"}}}
    limited = plan_of(each("s_e", [1, 2, 3], agent), limits={"cost_usd": "1"})
    for plan, parts in (
        (limited, 0),
        (plan_of(each("s_e", [1, 2, 3], agent)), 2),
        (plan_of(each("s_e", [1, 2, 3], waits)), 0),
        (plan_of(each("s_e", [1, 2, 3], said()), limits={"cost_usd": "1"}), 2),
    ):
        family = Family(plan, split=2)
        family.root.journal.dies_at = 4
        family.live(family.root)
        family.live(family.root)
        assert len(family.started) == parts


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 20), st.integers(0, 2**32), st.integers(1, 3))
def test_random_plans_in_parts_survive_random_deaths(
    seed: int, size: int, order: int, split: int
) -> None:
    plan = random_plan(seed, size, racy=False)
    orders = Random(order)

    async def calm(method: str, url: str) -> HttpAnswer | None:
        return answered("no", 404) if fails(url, seed) else None

    async def wild(method: str, url: str) -> HttpAnswer | None:
        if orders.random() < 0.05 and method != "POST":
            raise Died
        return await calm(method, url)

    def harm(journal: MemoryJournal) -> None:
        journal.dies_at = journal.commits + orders.randint(1, 12)
        journal.dies_after = orders.random() < 0.5

    expected, journal = whole(plan, FakeHttp(calm))
    family = Family(plan, split, FakeHttp(wild), harm=harm, decide=decide)

    end = family.finish()

    assert uncounted(end) == uncounted(expected)
    assert family.states == journal.states()
    assert all(len(bodies) == 1 for bodies in family.web.bodies.values())


@settings(max_examples=120, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 20), st.integers(1, 3))
def test_what_keeps_the_limit_of_steps_as_one_run_keeps_it_in_parts(
    seed: int, size: int, split: int
) -> None:
    plan = random_plan(seed, size, racy=False)
    expected, journal = whole(plan, FakeHttp())
    for steps in range(max(1, journal.done - 8), journal.done + 50):
        limits = plan.limits.model_copy(update={"steps": steps})
        limited = plan.model_copy(update={"limits": limits})
        if whole(limited, FakeHttp())[0].state == expected.state:
            break

    family = Family(limited, split, decide=decide)

    assert uncounted(family.finish()) == uncounted(expected)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 20), st.integers(1, 3))
def test_stops_deaths_and_parts_leave_nothing_open(seed: int, size: int, split: int) -> None:
    plan, chance = random_plan(seed, size, racy=True), Random(seed)

    async def reply(method: str, url: str) -> HttpAnswer | None:
        if chance.random() < 0.03:
            raise Died
        return answered("no", 404) if fails(url, seed) else None

    def harm(journal: MemoryJournal) -> None:
        journal.dies_at = journal.commits + chance.randint(1, 12)
        journal.dies_after = chance.random() < 0.5

    family = Family(plan, split, FakeHttp(reply), harm=harm, decide=lambda j: decide(j, chance))

    family.finish()

    for member in family.members.values():
        last = {path: row for (path, _), row in sorted(member.journal.rows.items())}
        assert [row for row in last.values() if not row.ends_path] == []
        for row in last.values():
            if row.effect == "at_most_once" and row.idem_key:
                assert family.web.keys[row.idem_key] <= row.attempt

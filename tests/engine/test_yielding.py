"""A step that a run does not do again, and that gave nothing, in lanes that race each other."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.drives import Doc, each, http, lanes, plan_of, run, text
from tests.engine.worlds import World, random_plan
from webapp.engine.errors import ServiceAway
from webapp.engine.journal import End, Park, Record
from webapp.engine.ports import HttpAnswer
from webapp.engine.testing import FakeHttp, MemoryJournal, answered, fake_ports


def lost(path: str) -> Record:
    """The row of an effect that was on its way in the earlier run when another lane was first."""
    step_id = path.rpartition("/")[2]
    said = {"lost": True}
    return Record(
        path, 1, step_id, "http", "skipped", "idempotent", error=said, reason="sent_before"
    )


def journal_with(*rows: Record) -> MemoryJournal:
    journal = MemoryJournal()
    journal.rows = {(row.path, row.attempt): row for row in rows}
    return journal


def finished_lanes(journal: MemoryJournal) -> list[str]:
    found: list[str] = journal.rows[("s_p", 1)].result["finished"]
    return found


def test_a_lane_with_nothing_to_show_lets_the_others_be_first() -> None:
    journal, web = journal_with(lost("s_p:l0/s_1")), FakeHttp()
    race = lanes("s_p", [http("s_1", method="PUT"), http("s_2")], [http("s_3")], until="first")

    end = run(plan_of(race, text("s_4", "a")), journal, fake_ports(web))

    assert end == End("done", result={})
    assert finished_lanes(journal) == ["l1"]
    assert web.seen == [("GET", "http://t/s_3")]
    assert "s_p:l0/s_2" not in journal.states()


def test_what_gave_a_value_in_the_earlier_run_is_first_as_it_was() -> None:
    before = lost("s_p:l0/s_1")
    journal = journal_with(replace(before, result={"status": 200}, error=None))
    race = lanes("s_p", [http("s_1", method="PUT")], [http("s_3")], until="first")

    run(plan_of(race), journal)

    assert finished_lanes(journal) == ["l0"]


@pytest.mark.parametrize("until", ["first", {"n": 2}])
def test_when_the_others_are_not_enough_they_race_as_any_lanes_do(until: Any) -> None:
    async def reply(method: str, url: str) -> HttpAnswer | None:
        return answered("no", 404) if url.endswith("s_4") and until == "first" else None

    web = FakeHttp(reply)
    journal = journal_with(lost("s_p:l0/s_1"), lost("s_p:l1/s_3"))
    blocks = [http("s_1", method="PUT"), http("s_2")], [http("s_3", method="PUT")], [http("s_4")]
    race = lanes("s_p", *blocks, until=until, lane_failure="continue")

    end = run(plan_of(race), journal, fake_ports(web))

    assert isinstance(end, End)
    assert end.state == "done"
    assert finished_lanes(journal) == (["l1"] if until == "first" else ["l1", "l2"])
    assert web.seen[0] == ("GET", "http://t/s_4")


def test_lanes_that_waited_for_each_other_hear_and_wait_beside_each_other() -> None:
    journal = journal_with(lost("s_p:l0/s_1"), lost("s_p:l1/s_2"))
    ask: Doc = {"id": "s_3", "kind": "approval", "with": {"who": [{"starter": True}]}}
    wait: Doc = {"id": "s_4", "kind": "wait", "with": {"for_s": 86_400}}
    race = lanes("s_p", [http("s_1"), ask], [http("s_2"), wait], until="first")

    parked = run(plan_of(race), journal)

    assert isinstance(parked, Park)
    assert parked.due_in_s is not None
    states = journal.states()
    assert (states["s_p:l0/s_3"], states["s_p:l1/s_4"]) == ("waiting", "waiting")


def test_a_lane_that_has_given_such_a_step_up_can_be_first() -> None:
    """Another item fails, so the list does, and the lane goes on behind it."""

    async def reply(method: str, url: str) -> HttpAnswer | None:
        await asyncio.sleep(0.2 if url.endswith("s_5") else 0)
        return answered("no", 404) if url.endswith("s_f") else None

    first = {"all": [{"value": [{"value": ["s_e", "index"]}], "is": "equal", "to": 0}]}
    branches = [{"id": "yes", "when": first, "steps": [http("s_2", method="PUT")]}]
    chosen = {"branches": branches, "otherwise": [http("s_f")]}
    step = {"id": "s_i", "kind": "if", "with": chosen}
    items = each("s_e", [0, 1], step, at_once=2, item_failure="stop")
    items["on_failure"] = {"do": "continue"}
    journal = journal_with(lost("s_p:l0/s_1"), lost("s_p:l1/s_e[0]/s_i:yes/s_2"))
    soon: Doc = {"id": "s_w", "kind": "wait", "with": {"for_s": 0.05}}
    race = lanes("s_p", [soon, http("s_1")], [items, http("s_5")], until="first")

    run(plan_of(race), journal, fake_ports(FakeHttp(reply)))

    assert finished_lanes(journal) == ["l1"]


def test_a_lane_goes_on_when_the_other_was_closed_by_an_ending_that_is_lost() -> None:
    race = lanes("s_p", [http("s_1")], [http("s_2")], until="first")
    opened = Record("s_p", 1, "s_p", "parallel", "intent", request=b'{"now":{}}', new=False)
    closed = Record("s_p:l1/s_2", 1, "s_2", "http", "cancelled")

    end = run(plan_of(race), journal_with(lost("s_p:l0/s_1"), opened, closed))

    assert end == End("done", result={})


def test_what_waits_for_a_service_and_is_closed_says_that_nothing_was_sent() -> None:
    async def reply(method: str, url: str) -> HttpAnswer | None:
        if url.endswith("s_1"):
            raise ServiceAway("t", 0.5, 3600.0)
        await asyncio.sleep(0.05)
        return None

    journal = MemoryJournal()
    race = lanes("s_p", [http("s_1", method="PUT")], [http("s_2")], until="first")

    run(plan_of(race), journal, fake_ports(FakeHttp(reply)))

    row = journal.rows[("s_p:l0/s_1", 1)]
    assert (row.state, row.reason, row.error) == ("skipped", "not_needed", {"held_s": 0.5})


def test_values_of_what_is_not_done_again_are_seen_from_behind_its_lanes_after_a_park() -> None:
    before = replace(lost("s_p:l0/s_1"), result={"body": "7"}, error=None)
    journal = journal_with(before)
    wait: Doc = {"id": "s_3", "kind": "wait", "with": {"for_s": 86_400}}
    said = text("s_4", [{"text": "order "}, {"value": ["s_1", "body"]}])
    result = [{"name": "said", "value": [{"value": ["s_4", "text"]}]}]
    plan = plan_of(lanes("s_p", [http("s_1")], [text("s_2", "a")]), wait, said, result=result)

    parked = run(plan, journal)
    waiting = journal.rows[("s_3", 1)]
    waiting.due_s = 0.0
    end = run(plan, journal)

    assert isinstance(parked, Park)
    assert end == End("done", result={"said": "order 7"})


def test_where_all_lanes_are_waited_for_nobody_has_to_wait() -> None:
    journal = journal_with(lost("s_p:l0/s_1"))

    run(plan_of(lanes("s_p", [http("s_1", method="PUT")], [http("s_2")])), journal)

    assert finished_lanes(journal) == ["l0", "l1"]


@pytest.mark.parametrize("inner", ["all", "first"])
def test_an_outer_race_is_waited_for_too(inner: str) -> None:
    """Neither the list nor the lanes inside of the first lane come to an end before the other."""
    items = [f"s_p:l0/s_e[{n}]/s_i:l{lane}/s_{lane + 1}" for n in range(2) for lane in range(2)]
    journal = journal_with(*map(lost, items))
    within = lanes("s_i", [http("s_1")], [http("s_2")], until=inner)
    race = lanes("s_p", [each("s_e", [1, 2], within)], [http("s_3")], until="first")

    end = run(plan_of(race), journal)

    assert end == End("done", result={})
    assert finished_lanes(journal) == ["l1"]
    assert journal.states()["s_p:l0/s_e"] == "skipped"


def test_where_all_lanes_of_all_races_wait_they_race_as_others_do() -> None:
    paths = ["s_p:l0/s_i:l0/s_1", "s_p:l0/s_i:l1/s_2", "s_p:l1/s_3"]
    journal = journal_with(*map(lost, paths))
    within = lanes("s_i", [http("s_1"), http("s_4")], [http("s_2")], until="first")

    end = run(plan_of(lanes("s_p", [within], [http("s_3")], until="first")), journal)

    assert end == End("done", result={})
    assert finished_lanes(journal) == ["l1"]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 30), st.integers(0, 2**32))
def test_random_plans_come_to_an_end_whatever_is_not_done_again(
    seed: int, size: int, order: int
) -> None:
    """Of a run that has ended some effects are taken over with nothing, and it runs once more, in
    any order and over any crash.
    """
    plan, chance = random_plan(seed, size, racy=True), Random(seed)
    earlier = World(plan, seed, Random(order))
    earlier.run()
    skipped = {
        path: replace(lost(path), step_id=row.step_id)
        for path, row in earlier.rows.items()
        if row.kind == "http" and chance.random() < 0.5
    }

    world = World(plan, seed, Random(order), crash=0.15, rows=dict(skipped))
    end = world.run()

    assert end.state in {"done", "failed"}
    assert not set(world.sent) & set(skipped)
    assert [row for row in world.rows.values() if not row.ends_path] == []


def test_who_waits_for_the_others_ends_with_what_is_around_it() -> None:
    stop: Doc = {"id": "s_2", "kind": "stop", "with": {"as": "failed", "message": "Enough."}}
    journal = journal_with(lost("s_p:l0/s_1"))
    race = lanes("s_p", [http("s_1", method="PUT")], [http("s_3"), stop], until="first")

    end = run(plan_of(race), journal)

    assert isinstance(end, End)
    assert (end.error or {})["text"] == "Enough."

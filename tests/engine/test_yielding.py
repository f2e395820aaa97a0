"""A step that a run does not do again, and that gave nothing, in lanes that race each other."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.drives import Doc, each, http, lanes, plan_of, run, text
from tests.engine.worlds import World, random_plan
from webapp.engine.journal import End, Record
from webapp.engine.ports import HttpAnswer
from webapp.engine.testing import FakeHttp, MemoryJournal, answered, fake_ports


def sent_before(path: str, result: Any = None) -> Record:
    """The row of an effect that was sent in the earlier run, and not answered there."""
    step_id = path.rpartition("/")[2]
    return Record(
        path, 1, step_id, "http", "skipped", "idempotent", result=result, reason="sent_before"
    )


def journal_with(*rows: Record) -> MemoryJournal:
    journal = MemoryJournal()
    journal.rows = {(row.path, row.attempt): row for row in rows}
    return journal


def finished_lanes(journal: MemoryJournal, path: str = "s_p") -> list[str]:
    found: list[str] = journal.rows[(path, 1)].result["finished"]
    return found


def test_a_lane_with_nothing_to_show_lets_the_others_be_first() -> None:
    journal, web = journal_with(sent_before("s_p:l0/s_1")), FakeHttp()
    race = lanes("s_p", [http("s_1", method="PUT"), http("s_2")], [http("s_3")], until="first")

    end = run(plan_of(race, text("s_4", "a")), journal, fake_ports(web))

    assert end == End("done", result={})
    assert finished_lanes(journal) == ["l1"]
    assert web.seen == [("GET", "http://t/s_3")]
    assert "s_p:l0/s_2" not in journal.states()


def test_what_gave_a_value_in_the_earlier_run_is_first_as_it_was() -> None:
    journal = journal_with(sent_before("s_p:l0/s_1", {"status": 200}))
    race = lanes("s_p", [http("s_1", method="PUT")], [http("s_3")], until="first")

    run(plan_of(race), journal)

    assert finished_lanes(journal) == ["l0"]


@pytest.mark.parametrize("until", ["first", {"n": 2}])
def test_it_goes_on_when_the_others_are_not_enough(until: Any) -> None:
    async def reply(method: str, url: str) -> HttpAnswer | None:
        return answered("no", 404) if url.endswith("s_4") and until == "first" else None

    web = FakeHttp(reply)
    journal = journal_with(sent_before("s_p:l0/s_1"), sent_before("s_p:l1/s_3"))
    blocks = [http("s_1", method="PUT"), http("s_2")], [http("s_3", method="PUT")], [http("s_4")]
    race = lanes("s_p", *blocks, until=until, lane_failure="continue")

    end = run(plan_of(race), journal, fake_ports(web))

    assert isinstance(end, End)
    assert end.state == "done"
    assert finished_lanes(journal) == (["l0"] if until == "first" else ["l0", "l2"])
    assert [url for _, url in web.seen] == ["http://t/s_4", "http://t/s_2"]


def test_where_all_lanes_are_waited_for_nobody_has_to_wait() -> None:
    journal = journal_with(sent_before("s_p:l0/s_1"))

    run(plan_of(lanes("s_p", [http("s_1", method="PUT")], [http("s_2")])), journal)

    assert finished_lanes(journal) == ["l0", "l1"]


@pytest.mark.parametrize("inner", ["all", "first"])
def test_an_outer_race_is_waited_for_too(inner: str) -> None:
    """Neither the list nor the lanes inside of the first lane come to an end before the other."""
    items = [f"s_p:l0/s_e[{n}]/s_i:l{lane}/s_{lane + 1}" for n in range(2) for lane in range(2)]
    journal = journal_with(*map(sent_before, items))
    within = lanes("s_i", [http("s_1")], [http("s_2")], until=inner)
    race = lanes("s_p", [each("s_e", [1, 2], within)], [http("s_3")], until="first")

    end = run(plan_of(race), journal)

    assert end == End("done", result={})
    assert finished_lanes(journal) == ["l1"]
    assert journal.states()["s_p:l0/s_e"] == "skipped"


def test_where_all_lanes_of_all_races_wait_the_first_goes_on() -> None:
    paths = ["s_p:l0/s_i:l0/s_1", "s_p:l0/s_i:l1/s_2", "s_p:l1/s_3"]
    journal = journal_with(*map(sent_before, paths))
    within = lanes("s_i", [http("s_1"), http("s_4")], [http("s_2")], until="first")

    end = run(plan_of(lanes("s_p", [within], [http("s_3")], until="first")), journal)

    assert end == End("done", result={})
    assert finished_lanes(journal) == ["l0"]
    assert finished_lanes(journal, "s_p:l0/s_i") == ["l0"]


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
        path: replace(sent_before(path), step_id=row.step_id)
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
    journal = journal_with(sent_before("s_p:l0/s_1"))
    race = lanes("s_p", [http("s_1", method="PUT")], [http("s_3"), stop], until="first")

    end = run(plan_of(race), journal)

    assert isinstance(end, End)
    assert (end.error or {})["text"] == "Enough."

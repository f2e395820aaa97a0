"""The step that repeats steps until a condition holds."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.engine.drives import http, plan_of, run, text
from webapp.engine.checks import check
from webapp.engine.journal import End, Park, Record
from webapp.engine.plan import load_plan
from webapp.engine.testing import (
    Died,
    FakeClock,
    FakeHttp,
    MemoryJournal,
    answered,
    fake_ports,
)

Doc = dict[str, Any]


def until(value: list[Any], op: str, to: Any = None) -> Doc:
    compared = {} if op in {"empty", "not_empty"} else {"to": to}
    return {"all": [{"value": [{"value": value}], "is": op, **compared}]}


def repeat(step_id: str, when: Doc, *steps: Doc, **settings: Any) -> Doc:
    common = {key: settings.pop(key) for key in ("on_failure",) if key in settings}
    with_ = {"until": when, "steps": list(steps), **settings}
    return {"id": step_id, "kind": "repeat", "with": with_, **common}


def result_of(*names: tuple[str, list[Any]]) -> list[Doc]:
    return [{"name": name, "value": [{"value": ref}]} for name, ref in names]


def test_steps_are_repeated_until_the_condition_holds() -> None:
    plan = plan_of(
        repeat("s_1", until(["s_1", "round"], "equal", 3), text("s_2", "again")),
        result=result_of(("rounds", ["s_1", "rounds"]), ("met", ["s_1", "met"])),
    )
    journal = MemoryJournal()

    assert run(plan, journal) == End("done", result={"rounds": 3, "met": True})
    assert sorted(journal.states()) == ["s_1", "s_1#1/s_2", "s_1#2/s_2", "s_1#3/s_2"]


def test_a_round_hands_values_to_the_next() -> None:
    more = [{"value": ["s_1", "carry", "said"]}, {"value": ["s_2", "text"]}]
    plan = plan_of(
        repeat(
            "s_1",
            until(["s_1", "round"], "equal", 3),
            text("s_2", [{"value": ["s_1", "round"]}]),
            carry=[{"name": "said", "first": "0", "value": more}],
        ),
        result=result_of(("said", ["s_1", "said"])),
    )

    assert run(plan) == End("done", result={"said": "0123"})


def test_the_condition_sees_what_the_round_gave_and_hands_on() -> None:
    plan = plan_of(
        repeat(
            "s_1",
            until(["s_1", "carry", "said"], "equal", "aaa"),
            carry=[
                {
                    "name": "said",
                    "first": "",
                    "value": [{"value": ["s_1", "carry", "said"]}, {"text": "a"}],
                }
            ],
        ),
        result=result_of(("rounds", ["s_1", "rounds"])),
    )

    assert run(plan) == End("done", result={"rounds": 3})


def test_too_many_rounds_fail_the_step_or_go_on_as_the_plan_says() -> None:
    never = until(["s_2", "text"], "equal", "no")
    failing = plan_of(repeat("s_1", never, text("s_2", "yes"), most=4))
    going_on = plan_of(
        repeat("s_1", never, text("s_2", "yes"), most=4, at_limit="continue"),
        result=result_of(("met", ["s_1", "met"]), ("rounds", ["s_1", "rounds"])),
    )

    end = run(failing)

    assert isinstance(end, End)
    assert (end.error or {})["code"] == "E-REPEAT-LIMIT"
    assert run(going_on) == End("done", result={"met": False, "rounds": 4})


def test_a_failure_inside_fails_the_step_with_its_round() -> None:
    async def reply(method: str, url: str) -> Any:
        return answered("no", 404) if url.endswith("2") else None

    address = [{"text": "http://t/"}, {"value": ["s_1", "round"]}]
    plan = plan_of(repeat("s_1", until(["s_1", "round"], "equal", 5), http("s_2", address)))

    end = run(plan, ports=fake_ports(FakeHttp(reply)))

    assert isinstance(end, End)
    assert ((end.error or {})["code"], (end.error or {})["round"]) == ("E-HTTP-4XX", 2)


def test_a_death_between_rounds_repeats_no_finished_step() -> None:
    address = [{"text": "http://t/"}, {"value": ["s_1", "round"]}]
    plan = plan_of(repeat("s_1", until(["s_1", "round"], "equal", 6), http("s_2", address)))
    for dies_at in range(1, 7):
        journal, web = MemoryJournal(), FakeHttp()
        journal.dies_at = dies_at
        with pytest.raises(Died):
            run(plan, journal, fake_ports(web))
        first = [url for _, url in web.seen]

        assert run(plan, journal, fake_ports(web)) == End("done", result={})

        again = [url for _, url in web.seen][len(first) :]
        finished = {f"http://t/{n}" for n in range(1, 7)} - set(again)
        assert finished | set(again) == {f"http://t/{n}" for n in range(1, 7)}
        assert len(set(first) & set(again)) <= 1  # only what was in flight


def test_a_long_pause_gives_the_worker_back_and_goes_on_when_it_is_over() -> None:
    clock = FakeClock()
    plan = plan_of(repeat("s_1", until(["s_1", "round"], "equal", 2), text("s_2", "x"), pause_s=60))
    journal = MemoryJournal()

    parked = run(plan, journal, fake_ports(clock=clock))

    assert isinstance(parked, Park)
    assert parked.reason == "time"
    assert parked.due_in_s is not None
    assert 50 < parked.due_in_s <= 60
    clock.moment += timedelta(seconds=61)
    assert run(plan, journal, fake_ports(clock=clock)) == End("done", result={})


def test_nothing_is_waited_for_behind_rounds_that_were_taken_over() -> None:
    clock = FakeClock()
    steps = (text("s_2", "x"), text("s_3", "y"))
    plan = plan_of(repeat("s_1", until(["s_1", "round"], "equal", 4), *steps, pause_s=3600))
    taken = [f"s_1#{n}/{step}" for n in (1, 2) for step in ("s_2", "s_3")]
    journal = MemoryJournal()
    for path in taken:
        record = Record(path, 1, path[-3:], "text", "reused", result={"text": "z"}, new=False)
        journal.rows[path, 1] = record

    parked = run(plan, journal, fake_ports(clock=clock))

    assert isinstance(parked, Park)
    assert "s_1#3/s_3" in journal.states()
    assert "s_1#4/s_2" not in journal.states()
    again = run(plan, journal, fake_ports(clock=clock))
    assert isinstance(again, Park)
    assert again.due_in_s == pytest.approx(parked.due_in_s, abs=1)
    clock.moment += timedelta(hours=1, seconds=1)
    assert run(plan, journal, fake_ports(clock=clock)) == End("done", result={})


def test_a_cancel_in_a_pause_ends_the_run() -> None:
    plan = plan_of(repeat("s_1", until(["s_1", "round"], "equal", 2), text("s_2", "x"), pause_s=60))
    journal = MemoryJournal()
    run(plan, journal)
    cancel = asyncio.Event()
    cancel.set()

    assert run(plan, journal, cancel=cancel) == End("cancelled")
    assert journal.states()["s_1"] == "cancelled"


def test_checks_know_what_a_round_sees() -> None:
    inside = until(["s_2", "text"], "equal", "yes")
    good = plan_of(repeat("s_1", inside, text("s_2", "yes")))
    outside = [{"value": ["s_2", "text"]}]
    bad = load_plan(
        {
            "plan": 1,
            "steps": [repeat("s_1", inside, text("s_2", "yes")), text("s_3", outside)],
        },
        "draft",
    )

    assert [one for one in check(good) if one.kind != "look"] == []
    assert [one.step for one in check(bad) if one.kind != "look"] == ["s_3"]

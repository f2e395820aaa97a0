"""Steps whose service fails too often: they wait until it may be asked again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.engine.drives import http, lanes, plan_of, run, text
from webapp.engine.errors import ServiceAway, StepError
from webapp.engine.journal import End, Park
from webapp.engine.ports import HttpAnswer, KeptAnswer, Ports
from webapp.engine.testing import (
    Died,
    FakeHttp,
    MemoryJournal,
    ScriptedModels,
    fake_ports,
)

HOST = "api.example.com"


def away(*waits_s: float, most_s: float = 3600.0, then: Any = None) -> Ports:
    """Ports whose service may not be asked so many times, then answers, or does `then`."""
    left = list(waits_s)

    async def reply(method: str, url: str) -> HttpAnswer | None:
        if left:
            raise ServiceAway(HOST, left.pop(0), most_s)
        return await then(method, url) if then else None

    return fake_ports(FakeHttp(reply))


def due(journal: MemoryJournal) -> None:
    """Let the time of what waits be over, as a claim reads it then."""
    for key, row in journal.rows.items():
        if row.state == "waiting":
            journal.rows[key] = replace(row, due_s=0.0)


def test_the_run_waits_without_a_worker_until_the_service_may_be_asked() -> None:
    plan, journal = plan_of(http("s_1")), MemoryJournal()

    parked = run(plan, journal, away(30.0))

    assert isinstance(parked, Park)
    assert parked.reason == "breaker"
    assert parked.due_in_s == pytest.approx(30.0, abs=1.0)
    row = journal.rows["s_1", 1]
    assert (row.state, (row.error or {})["code"]) == ("waiting", "E-BREAKER")
    assert (row.error or {})["facts"] == {"host": HOST}


def test_it_goes_on_with_the_same_attempt_and_the_same_bytes() -> None:
    plan, journal, ports = plan_of(http("s_1", method="POST")), MemoryJournal(), away()
    run(plan, journal, away(30.0))
    frozen = journal.rows["s_1", 1].request

    due(journal)
    end = run(plan, journal, ports)

    assert end == End("done", result={})
    assert list(journal.rows) == [("s_1", 1)]
    assert journal.rows["s_1", 1].request == frozen
    assert len(ports.http.seen) == 1  # type: ignore[union-attr]


def test_waiting_for_a_service_uses_up_no_retries() -> None:
    step = http("s_1", retry={"times": 1, "wait_s": 0, "jitter": False})
    failures = [StepError("E-HTTP-5XX", "It has a problem.", proven=False)]

    async def fail_once(method: str, url: str) -> HttpAnswer | None:
        if failures:
            raise failures.pop()
        return None

    journal = MemoryJournal()
    end = run(plan_of(step), journal, away(0.01, 0.01, 0.01, then=fail_once))

    assert end == End("done", result={})
    assert list(journal.rows) == [("s_1", 1), ("s_1", 2)]


def test_a_step_that_has_waited_long_enough_fails() -> None:
    plan, journal = plan_of(http("s_1")), MemoryJournal()

    assert isinstance(run(plan, journal, away(40.0, most_s=60.0)), Park)
    due(journal)
    again = run(plan, journal, away(40.0, most_s=60.0))
    assert isinstance(again, Park)
    assert again.due_in_s == pytest.approx(20.0, abs=1.0)
    due(journal)
    end = run(plan, journal, away(40.0, most_s=60.0))

    assert isinstance(end, End)
    assert (end.state, (end.error or {})["code"]) == ("failed", "E-BREAKER")
    assert HOST in (end.error or {})["text"]


def test_other_lanes_go_on_meanwhile() -> None:
    plan, journal = plan_of(lanes("s_1", [http("s_2")], [text("s_3", "Hello.")])), MemoryJournal()

    assert isinstance(run(plan, journal, away(30.0)), Park)

    assert journal.states()["s_1:l1/s_3"] == "succeeded"


def test_a_worker_that_dies_while_a_step_waits_leaves_nothing_in_doubt() -> None:
    plan, journal = plan_of(http("s_1", method="POST")), MemoryJournal()
    journal.dies_at, journal.dies_after = 2, True
    with pytest.raises(Died):
        run(plan, journal, away(30.0))
    journal.dies_at = None

    due(journal)

    assert run(plan, journal) == End("done", result={})


def test_a_run_that_is_cancelled_does_not_wait_on() -> None:
    plan, journal = plan_of(http("s_1")), MemoryJournal()
    run(plan, journal, away(30.0))
    cancel = asyncio.Event()
    cancel.set()
    end = run(plan, journal, away(30.0), cancel=cancel)

    assert end == End("cancelled")
    assert journal.states() == {"s_1": "cancelled"}


# Answers that are given again


class Shelf:
    """`ports.Answers` in a dict."""

    def __init__(self, age_s: float = 125.0) -> None:
        self.kept: dict[tuple[str, bytes], dict[str, Any]] = {}
        self.fresh_s: list[float] = []
        self.age_s = age_s

    async def find(self, group: str, request: bytes) -> KeptAnswer | None:
        found = self.kept.get((group, request))
        return None if found is None else KeptAnswer(found, self.age_s)

    async def keep(
        self, group: str, request: bytes, result: dict[str, Any], fresh_s: float
    ) -> None:
        self.kept[group, request] = result
        self.fresh_s.append(fresh_s)


def asking(step_id: str, message: str, **common: Any) -> dict[str, Any]:
    agent = {"inline": {"instructions": "Sum up."}, "message": message, **common}
    return {"id": step_id, "kind": "agent", "with": agent}


def csv(step_id: str, content: str = "a\n1\n") -> dict[str, Any]:
    return {"id": step_id, "kind": "tool", "with": {"tool": "csv.read", "args": {"file": content}}}


def test_a_tool_that_says_how_long_it_stays_right_is_asked_once() -> None:
    shelf, journal = Shelf(), MemoryJournal()
    ports = replace(fake_ports(), answers=shelf)

    run(plan_of(csv("s_1"), csv("s_2"), csv("s_3", "b\n2\n")), journal, ports)

    assert len(shelf.kept) == 2
    assert journal.rows["s_2", 1].result == journal.rows["s_1", 1].result
    notes = [event.data.get("notes") for event in journal.events if event.type == "step.done"]
    assert notes == [None, ["From the cache, 2 minutes old."], None]


def test_a_model_is_asked_each_time_unless_the_step_says_otherwise() -> None:
    models, shelf = ScriptedModels(["One.", "Two.", "Three."]), Shelf()
    ports = replace(fake_ports(models=models), answers=shelf)
    plan = plan_of(
        asking("s_1", "Hello"),
        asking("s_2", "Hello"),
        asking("s_3", "Hello", fresh_s=60),
        asking("s_4", "Hello", fresh_s=60),
        result=[{"name": "said", "value": [{"value": ["s_4", "text"]}]}],
    )

    end = run(plan, MemoryJournal(), ports)

    assert end == End("done", result={"said": "Three."})
    assert (len(models.asked), shelf.fresh_s) == (3, [60])


def test_an_answer_that_failed_is_not_kept() -> None:
    refused = StepError("E-PROVIDER-KEY", "No.", proven=True, retryable=False)
    shelf = Shelf()
    ports = replace(fake_ports(models=ScriptedModels([refused])), answers=shelf)

    run(plan_of(asking("s_1", "Hello", fresh_s=60)), MemoryJournal(), ports)

    assert shelf.kept == {}


def test_answers_of_one_connection_are_not_given_for_another() -> None:
    shelf = Shelf()
    ports = replace(fake_ports(), answers=shelf)
    mine, yours = csv("s_1"), csv("s_2")
    mine["with"]["connection"], yours["with"]["connection"] = "cn_1", "cn_2"

    run(plan_of(mine, yours), MemoryJournal(), ports)

    assert len(shelf.kept) == 2

"""How many runs work at once, and what a start does beside a run under way; with real workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from flask import Flask

from tests.fixtures import House, Program
from tests.runs.counter import Counter
from tests.runs.following import API, Follow, until
from webapp.kernel.settings import Settings
from webapp.live.bell import RedisBell
from webapp.runs.execution.runner import Runner, make_runner

WORKERS = 3


Crew = Callable[[], None]


@pytest.fixture
def crew(settings: Settings) -> Iterator[Crew]:
    """Several workers; calling it rings them all."""
    with ExitStack() as stack:
        runners: list[Runner] = []
        for _ in range(WORKERS):
            made = make_runner(settings, RedisBell(settings.redis_url), lambda: None)
            made.start()
            stack.callback(made.drain, 5.0)
            runners.append(made)

        def ring() -> None:
            for runner in runners:
                runner.wake()

        yield ring


def pace(program: Program, workflow: str, **said: Any) -> None:
    body = {"run_mode": "parallel", "most_running": None} | said
    answer = program.put(f"{API}/workflows/{workflow}/settings", json=body)
    assert answer.status_code == 200, answer.text


def started(start: Any, workflow: str, count: int) -> list[str]:
    return [start(workflow).get_json()["id"] for _ in range(count)]


def all_done(follow: Follow, runs: list[str]) -> float:
    began = time.monotonic()
    for run in runs:
        follow.until(run, "done")
    return time.monotonic() - began


def test_no_more_runs_of_a_workflow_work_than_it_says_and_none_is_forgotten(
    make_live: Any, start: Any, program: Program, follow: Follow, counter: Counter, crew: Crew
) -> None:
    workflow = make_live(counter.plan("one"))
    pace(program, workflow, most_running=2)
    runs = started(start, workflow, 16)

    crew()
    until(lambda: len(counter.arrived) == 2, "two at work")
    waiting = [run for run in runs if follow.get(run)["state"] == "waiting"]
    until(lambda: follow.get(runs[-1])["state"] == "waiting", "the last one is set aside")
    held = follow.get(runs[-1])["line"]["held"]
    counter.open()
    took = all_done(follow, runs)

    assert len(waiting) <= 14
    assert held == "Waiting for room: this workflow runs 2 at the same time."
    assert (counter.most, len(counter.arrived)) == (2, 16)
    assert took < 10, "a freed place waited for the sweep each time"


def test_the_organization_has_a_limit_of_its_own(
    make_live: Any, start: Any, program: Program, follow: Follow, counter: Counter, crew: Crew
) -> None:
    program.put(f"{API}/queue", json={"most_running": 3})
    workflows = [make_live(counter.plan("one"), f"W{n}") for n in range(4)]
    pace(program, workflows[0], most_running=1)
    runs = [run for workflow in workflows for run in started(start, workflow, 3)]

    crew()
    until(lambda: len(counter.arrived) == 3, "three at work")
    counter.open()
    all_done(follow, runs)

    assert (counter.most, len(counter.arrived)) == (3, 12)


def test_a_raised_or_lifted_limit_lets_runs_go_on_at_once(
    make_live: Any, start: Any, program: Program, follow: Follow, counter: Counter, crew: Crew
) -> None:
    workflow = make_live(counter.plan("one"))
    pace(program, workflow, most_running=1)
    runs = started(start, workflow, 5)
    crew()
    until(lambda: len(counter.arrived) == 1, "one at work")

    pace(program, workflow, most_running=3)
    crew()
    until(lambda: len(counter.arrived) == 3, "three at work")
    pace(program, workflow)
    crew()
    until(lambda: len(counter.arrived) == 5, "all at work")

    counter.open()
    all_done(follow, runs)


def test_a_run_over_a_limit_is_cancelled_at_once_and_takes_nobodys_place(
    make_live: Any, start: Any, program: Program, follow: Follow, counter: Counter, crew: Crew
) -> None:
    workflow = make_live(counter.plan("one"))
    pace(program, workflow, most_running=1)
    first, second, third = started(start, workflow, 3)
    crew()
    follow.until(second, "waiting")

    assert follow.do(f"runs/{second}/cancel").get_json()["state"] == "cancelled"
    counter.open()

    all_done(follow, [first, third])
    assert len(counter.arrived) == 2


def test_runs_that_wait_for_a_time_take_no_place_at_work(
    make_live: Any, start: Any, program: Program, follow: Follow, counter: Counter, crew: Crew
) -> None:
    wait = {"id": "s_1", "kind": "wait", "name": "Later", "with": {"for_s": 3600}}
    workflow = make_live({"plan": 1, "steps": [wait]})
    pace(program, workflow, most_running=1)
    runs = started(start, workflow, 3)

    crew()

    for run in runs:
        until(lambda run=run: _waits(follow.get(run)), "its own wait")  # type: ignore[misc]


def _waits(run: dict[str, Any]) -> bool:
    return run["state"] == "waiting" and run["line"] is None


def _is_behind(run: dict[str, Any]) -> bool:
    return run["state"] == "waiting" and run["line"] is not None


# Modes


def test_queued_runs_go_one_after_the_other_in_their_order(
    make_live: Any, start: Any, program: Program, follow: Follow, counter: Counter, crew: Crew
) -> None:
    said = [{"text": "a "}, {"value": ["run", "id"]}]
    workflow = make_live({"plan": 1, "steps": [counter.call("s_1", said), counter.call("s_2")]})  # type: ignore[arg-type]
    pace(program, workflow, run_mode="queued")
    runs = started(start, workflow, 6)
    crew()
    until(lambda: len(counter.arrived) == 1, "the first is at work")
    until(lambda: follow.get(runs[-1])["state"] == "waiting", "the last one is set aside")
    assert follow.get(runs[-1])["line"]["held"] == (
        "Waiting for its turn: runs of this workflow go one after the other."
    )

    until(lambda: all(map(_is_behind, map(follow.get, runs[1:]))), "all others are set aside")
    assert [follow.get(run)["line"]["ahead"] for run in runs[1:]] == [0, 1, 2, 3, 4]

    counter.open()
    all_done(follow, runs)

    order = [body.removeprefix("a ") for body in counter.arrived if body.startswith("a ")]
    assert (counter.most, order) == (1, runs)
    assert counter.arrived[1::2] == ["s_2"] * 6


def test_a_line_behind_a_run_that_waits_for_somebody_says_for_whom(
    make_live: Any, start: Any, program: Program, follow: Follow, crew: Crew
) -> None:
    asks = {"id": "s_1", "kind": "approval", "name": "Ask", "with": {"who": [{"role": "owner"}]}}
    workflow = make_live({"plan": 1, "steps": [asks]})
    pace(program, workflow, run_mode="queued")
    first, second = started(start, workflow, 2)
    crew()
    until(lambda: _is_behind(follow.get(second)), "the second is set aside")
    until(lambda: _waits(follow.get(first)), "the first asks")

    said = follow.get(second)["line"]["held"]

    assert said == (
        "Waiting for its turn: runs of this workflow go one after the other. "
        f"Run {first[-6:]} is before it, and waits for somebody's answer."
    )
    assert program.get(f"{API}/queue").get_json()["oldest_s"] is not None


def test_a_second_start_of_a_workflow_that_runs_once_at_a_time_is_refused(
    make_live: Any, start: Any, program: Program, follow: Follow, counter: Counter, crew: Crew
) -> None:
    workflow = make_live(counter.plan("one"))
    pace(program, workflow, run_mode="single")
    first = start(workflow, key="morning")

    refused = start(workflow, key="noon")
    again = start(workflow, key="morning")

    assert (refused.status_code, refused.get_json()["code"]) == (409, "E-RUN-SINGLE")
    assert first.get_json()["id"] in refused.get_json()["detail"]
    assert again.get_json()["id"] == first.get_json()["id"]
    counter.open()
    crew()
    all_done(follow, [first.get_json()["id"]])
    assert start(workflow, key="evening").status_code == 202


def test_a_new_start_cancels_the_old_runs_where_it_shall(
    make_live: Any, start: Any, program: Program, follow: Follow, counter: Counter, crew: Crew
) -> None:
    waits = {"id": "s_1", "kind": "wait", "name": "Later", "with": {"for_s": 3600}}
    workflow = make_live({"plan": 1, "steps": [waits, counter.call("s_2")]})
    pace(program, workflow, run_mode="restart")
    [old] = started(start, workflow, 1)
    crew()
    until(lambda: follow.get(old)["started_at"], "the old one has begun")
    follow.until(old, "waiting")

    [new] = started(start, workflow, 1)

    assert follow.get(old)["state"] == "cancelled"
    follow.until(new, "waiting", "running")


def test_running_again_keeps_to_the_run_mode_as_every_start_does(
    make_live: Any, start: Any, program: Program, follow: Follow, counter: Counter, crew: Crew
) -> None:
    waits = {"id": "s_1", "kind": "wait", "name": "Later", "with": {"for_s": 3600}}
    workflow = make_live({"plan": 1, "steps": [waits]})
    [old] = started(start, workflow, 1)
    crew()
    follow.until(old, "waiting")
    program.post(f"{API}/runs/{old}/cancel")
    follow.until(old, "cancelled")

    def again(key: str) -> Any:
        keyed = {"Idempotency-Key": key}
        return program.post(f"{API}/runs/{old}/again", json={"from": ""}, headers=keyed)

    pace(program, workflow, run_mode="single")
    first = again("one").get_json()["id"]
    refused = again("two")
    pace(program, workflow, run_mode="restart")
    second = again("three").get_json()["id"]

    assert (refused.status_code, refused.get_json()["code"]) == (409, "E-RUN-SINGLE")
    follow.until(first, "cancelled")
    assert follow.get(second)["state"] in {"queued", "running", "waiting"}


def test_a_new_run_begins_only_when_the_old_one_has_stopped(
    make_live: Any, start: Any, program: Program, follow: Follow, counter: Counter, crew: Crew
) -> None:
    call = counter.call("s_1")
    call["with"]["repeat_safe"] = True
    workflow = make_live({"plan": 1, "steps": [call]})
    pace(program, workflow, run_mode="restart")
    [old] = started(start, workflow, 1)
    crew()
    until(lambda: len(counter.arrived) == 1, "the old one is at work")

    [new] = started(start, workflow, 1)
    crew()

    follow.until(old, "cancelled")
    counter.open()
    all_done(follow, [new])


def test_settings_that_make_no_sense_are_refused(program: Program, make_live: Any) -> None:
    workflow = make_live({"plan": 1, "steps": []}, live=False)
    address = f"{API}/workflows/{workflow}/settings"

    answers = [
        program.put(address, json={"run_mode": "sometimes"}),
        program.put(address, json={"most_running": 0}),
        program.put(address, json={"most_running": "many"}),
        program.put(address, json={"most_running": "2"}),
        program.put(f"{API}/queue", json={"most_running": "2"}),
    ]

    assert [answer.status_code for answer in answers] == [422] * 5
    for answer in answers[2:]:
        said = "Runs at the same time must be a whole number."
        assert answer.get_json()["errors"][0]["detail"] == said
    assert program.put(address, json={"most_running": 2.0}).get_json()["most_running"] == 2
    program.put(address, json={"most_running": None})
    assert program.get(address).get_json()["run_mode"] == "parallel"


# Places of a worker


def test_a_worker_that_is_full_of_one_organizations_runs_has_a_place_for_another(
    make_live: Any, start: Any, program: Program, follow: Follow, counter: Counter,
    settings: Settings, app: Flask, other: House, make_key: Any,
) -> None:  # fmt: skip
    ours = started(start, make_live(counter.plan("ours")), 4)
    theirs = Program(app, app.response_class, use_cookies=False)
    theirs.key = make_key(other)
    plan = {"plan": 1, "steps": [counter.call("s_1", "theirs")]}
    made = theirs.post(f"{API}/workflows", json={"name": "T", "plan": plan}).get_json()["id"]
    theirs.post(f"{API}/workflows/{made}/live", json={})
    small = settings.model_copy(update={"runs_per_worker": 2})
    worker = make_runner(small, RedisBell(settings.redis_url), lambda: None)
    worker.start()
    worker.wake()
    until(lambda: len(counter.arrived) == 2, "it is full")

    for n in range(2):
        key = {"Idempotency-Key": f"theirs:{n}"}
        theirs.post(f"{API}/workflows/{made}/run", json={}, headers=key)
    worker.wake()
    until(lambda: "theirs" in counter.arrived, "theirs is at work")
    at_work = list(counter.arrived)
    counter.open()
    all_done(follow, ours)
    worker.drain(5.0)

    assert at_work == ["ours", "ours", "theirs"]


def test_who_is_served_beside_a_crowd_that_stands_still_is_served_again_and_again(
    make_live: Any, start: Any, counter: Counter, settings: Settings, app: Flask, other: House,
    make_key: Any, follow: Follow,
) -> None:  # fmt: skip
    crowd = started(start, make_live(counter.plan("ours")), 70)
    theirs = Program(app, app.response_class, use_cookies=False)
    theirs.key = make_key(other)
    say = {"id": "s_1", "kind": "text", "name": "Say", "with": {"text": "Hello"}}
    quick = {"name": "T", "plan": {"plan": 1, "steps": [say]}}
    workflow = theirs.post(f"{API}/workflows", json=quick).get_json()["id"]
    theirs.post(f"{API}/workflows/{workflow}/live", json={})
    small = settings.model_copy(update={"runs_per_worker": 1})
    worker = make_runner(small, RedisBell(settings.redis_url), lambda: None)
    worker.start()
    worker.wake()
    until(lambda: len(counter.arrived) == 1, "it is full")

    for n in range(68):  # each has its turn behind one more of the crowd
        key = {"Idempotency-Key": f"theirs:{n}"}
        run = theirs.post(f"{API}/workflows/{workflow}/run", json={}, headers=key).get_json()["id"]
        worker.wake()
        done = lambda run=run: theirs.get(f"{API}/runs/{run}").get_json()["state"] == "done"
        until(done, f"their run {n} is done")
    counter.open()
    all_done(follow, crowd)
    worker.drain(5.0)

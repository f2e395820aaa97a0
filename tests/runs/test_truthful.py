"""What a run says about itself when something inside it failed and it went on, or did not."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest

from tests.runs.sink import Sink, post
from tests.runs.test_signals import eventually
from tests.workflows.plans import plan_of, text
from webapp.runs.execution.runner import Runner

NEVER = {"all": [{"value": 1, "is": "equal", "to": 2}]}
PAID = {"id": "s_2", "kind": "wait", "with": {"signal": {"name": "paid"}}}
ROUNDS = {
    "id": "s_2",
    "kind": "repeat",
    "with": {"until": NEVER, "most": 2, "steps": [text("s_3")]},
}


def asks(message: str) -> dict[str, Any]:
    inline = {"instructions": "Reckon.", "model": "practice", "tools": ["calculator"]}
    return {"id": "s_1", "kind": "agent", "with": {"inline": inline, "message": message}}


def test_a_run_whose_agent_went_on_without_a_tool_is_not_green(
    program: Any, make_live: Any, start: Any, runner: Runner
) -> None:
    run = start(make_live(plan_of(asks("1/0")))).get_json()["id"]

    found = eventually(program, run, "done", "failed")

    calls = [(one["path"], one["state"]) for one in found["tasks"]]
    assert calls == [("s_1", "succeeded"), ("s_1/call_1", "failed")]
    assert (found["word"], found["problems"]) == ("Finished with problems", True)


def test_it_still_says_so_after_it_has_waited(
    program: Any, make_live: Any, start: Any, runner: Runner
) -> None:
    run = start(make_live(plan_of(asks("1/0"), PAID))).get_json()["id"]
    eventually(program, run, "waiting")

    program.post(f"/api/v1/runs/{run}/signals", json={"name": "paid"})

    assert eventually(program, run, "done", "failed")["word"] == "Finished with problems"


def test_a_run_whose_agent_could_reckon_is_green(
    program: Any, make_live: Any, start: Any, runner: Runner
) -> None:
    run = start(make_live(plan_of(asks("6 * 7")))).get_json()["id"]

    assert eventually(program, run, "done", "failed")["word"] == "Done"


@pytest.mark.parametrize("then", [[], [PAID]], ids=["at once", "after a wait"])
def test_a_run_is_not_green_when_the_run_that_its_step_waited_for_is_not(
    program: Any, make_live: Any, start: Any, runner: Runner, then: list[Any]
) -> None:
    other = make_live(plan_of(asks("1/0")), "Other")
    called = {"id": "s_1", "kind": "workflow", "with": {"workflow": other}}
    run = start(make_live(plan_of(called, *then), "Caller")).get_json()["id"]
    if then:
        eventually_waits_for_paid(program, run)
        program.post(f"/api/v1/runs/{run}/signals", json={"name": "paid"})

    assert eventually(program, run, "done", "failed")["word"] == "Finished with problems"


def eventually_waits_for_paid(program: Any, run: str) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        tasks = program.get(f"/api/v1/runs/{run}").get_json()["tasks"]
        if ("s_2", "waiting") in [(one["path"], one["state"]) for one in tasks]:
            return
        time.sleep(0.05)
    raise AssertionError("the run does not wait for its signal")


def test_a_run_that_fails_by_a_step_that_holds_others_names_it_and_begins_there_again(
    program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink
) -> None:
    workflow = make_live(plan_of(post("s_1", f"{sink.url}/one"), ROUNDS))
    run = start(workflow).get_json()["id"]

    error = eventually(program, run, "failed")["error"]

    assert (error["code"], error["step"], error["path"]) == ("E-REPEAT-LIMIT", "s_2", "s_2")
    [cause] = program.get("/api/v1/failures").get_json()["items"]
    assert cause["step"] == "s_2"
    key = {"workflow": workflow, "step": "s_2", "code": "E-REPEAT-LIMIT"}
    answer = program.post(
        "/api/v1/failures/replay",
        json={"causes": [key], "pace": 600},
        headers={"Idempotency-Key": uuid.uuid4().hex},
    )
    [again] = answer.get_json()["runs"]
    tasks = eventually(program, again, "failed")["tasks"]
    assert ("s_1", "reused") in [(one["path"], one["state"]) for one in tasks]
    assert sink.sent == ["/one"]


def test_a_run_that_takes_over_a_list_of_which_some_failed_is_not_green_either(
    program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink
) -> None:
    sink.refused.add("/two")
    paths = [{"value": ["s_1", "item"]}]
    send = {"method": "POST", "url": [{"text": sink.url}, *paths]}
    items = {
        "id": "s_1",
        "kind": "each",
        "with": {
            "list": {"list": ["/one", "/two"]},
            "steps": [{"id": "s_2", "kind": "http", "with": send}],
        },
    }
    run = start(make_live(plan_of(items, text("s_3")))).get_json()["id"]
    assert eventually(program, run, "done", "failed")["word"] == "Finished with problems"

    headers = {"Idempotency-Key": uuid.uuid4().hex}
    again = program.post(f"/api/v1/runs/{run}/again", json={"from": "s_3"}, headers=headers)

    found = eventually(program, again.get_json()["id"], "done", "failed")
    assert [one["state"] for one in found["tasks"] if one["path"] == "s_1"] == ["reused"]
    assert found["word"] == "Finished with problems"
    assert sorted(sink.sent) == ["/one", "/two"]

"""What a run says about itself when something inside it failed and it went on, or did not."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest
from sqlalchemy import Engine, insert, literal, select
from sqlalchemy import text as sql

from tests.runs.sink import Sink, post
from tests.runs.test_signals import eventually
from tests.workflows.plans import plan_of, text
from webapp.runs.execution.runner import Runner
from webapp.runs.execution.statements import SEE_EVERYTHING
from webapp.runs.models import Step

NEVER = {"all": [{"value": 1, "is": "equal", "to": 2}]}
ALWAYS = {
    "id": "yes",
    "label": "Yes",
    "when": {"all": [{"value": 1, "is": "equal", "to": 1}]},
}
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
    tasks = replay(program, workflow)["tasks"]
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


def replay(program: Any, workflow: str) -> Any:
    [cause] = program.get("/api/v1/failures").get_json()["items"]
    key = {"workflow": workflow, "step": cause["step"], "code": cause["code"]}
    answer = program.post(
        "/api/v1/failures/replay",
        json={"causes": [key], "pace": 600},
        headers={"Idempotency-Key": uuid.uuid4().hex},
    )
    [again] = answer.get_json()["runs"]
    return eventually(program, again, "done", "failed")


def run_again(program: Any, run: str, start: str) -> Any:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    answer = program.post(f"/api/v1/runs/{run}/again", json={"from": start}, headers=headers)
    assert answer.status_code == 202, answer.text
    return eventually(program, answer.get_json()["id"], "done", "failed")


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a branch"])
@pytest.mark.parametrize("used", ["tool", "run"])
def test_neither_are_repetitions_that_take_over_a_step_of_which_something_failed(
    program: Any, owner: Any, make_live: Any, start: Any, runner: Runner, used: str, inside: bool
) -> None:
    step = asks("1/0")
    if used == "run":
        other = make_live(plan_of(asks("1/0")), "Other")
        step = {"id": "s_1", "kind": "workflow", "with": {"workflow": other}}
    if inside:
        step = {"id": "s_5", "kind": "if", "with": {"branches": [ALWAYS | {"steps": [step]}]}}
    run = start(make_live(plan_of(step, text("s_3")), "Caller")).get_json()["id"]
    assert eventually(program, run, "done", "failed")["word"] == "Finished with problems"

    for _ in range(2):
        found = run_again(program, run, "s_3")
        run = found["id"]

        assert (step["id"], "reused") in [(one["path"], one["state"]) for one in found["tasks"]]
        assert found["word"] == "Finished with problems"
        said = "A tool call failed" if used == "tool" else "Its run had problems"
        assert said in owner.get(f"/o/acme/runs/{run}").text


@pytest.mark.parametrize("used", ["tool", "run"])
def test_nor_are_those_that_skip_such_a_step_since_it_was_sent(
    program: Any, owner: Any, make_live: Any, start: Any, runner: Runner, engine: Engine, used: str
) -> None:
    step = asks("1/0")
    if used == "run":
        reckons = {"tool": "calculator", "args": {"expression": "1/0"}}
        fails = {"id": "s_1", "kind": "tool", "with": reckons, "on_failure": {"do": "continue"}}
        other = make_live(plan_of(fails, text("s_2")), "Other")
        step = {"id": "s_1", "kind": "workflow", "with": {"workflow": other}}
    run = start(make_live(plan_of(step, text("s_3")), "Caller")).get_json()["id"]
    assert eventually(program, run, "done", "failed")["word"] == "Finished with problems"
    if used == "tool":
        send_by_a_call(engine)

    for _ in range(2):
        found = run_again(program, run, "s_1")
        run = found["id"]

        assert ("s_1", "skipped") in [(one["path"], one["state"]) for one in found["tasks"]]
        assert (found["word"], found["problems"]) == ("Finished with problems", True)
        assert (
            "Was sent before, so not again. Something in it failed"
            in owner.get(f"/o/acme/runs/{run}").text
        )


def send_by_a_call(engine: Engine) -> None:
    """Let the agent that has reckoned have sent something as well."""
    ours = {"path": "s_1/call_2", "state": "succeeded", "effect": "idempotent"}
    same = [column for column in Step.__table__.c if column.name not in ours]
    second = select(*map(literal, ours.values()), *same).where(Step.path == "s_1/call_1")
    with engine.begin() as writing:
        if writing.dialect.name == "postgresql":
            writing.execute(sql(SEE_EVERYTHING))
        writing.execute(insert(Step).from_select([*ours, *same], second))


def test_nor_are_those_that_many_failed_runs_get_at_once(
    program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink
) -> None:
    sink.refused.add("/one")
    workflow = make_live(plan_of(asks("1/0"), post("s_2", f"{sink.url}/one")))
    eventually(program, start(workflow).get_json()["id"], "failed")
    sink.refused.clear()

    assert replay(program, workflow)["word"] == "Finished with problems"


def test_what_failed_inside_a_step_that_is_taken_over_is_there_for_later_steps(
    program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink
) -> None:
    sink.refused.add("/one")
    risky = post("s_1", f"{sink.url}/one") | {"on_failure": {"do": "continue"}}
    branch = {"id": "s_5", "kind": "if", "with": {"branches": [ALWAYS | {"steps": [risky]}]}}
    said = {"text": [{"text": "Failed: "}, {"value": ["s_1", "failed"]}]}
    later = {"id": "s_3", "kind": "text", "with": said}
    why = [{"value": ["s_3", "text"]}]
    result = [{"name": "why", "label": "Why", "type": "text", "value": why}]
    run = start(make_live(plan_of(branch, later, result=result))).get_json()["id"]
    first = eventually(program, run, "done", "failed")
    assert first["result"] == {"why": "Failed: yes"}

    for _ in range(2):
        found = run_again(program, run, "s_3")
        run = found["id"]

        assert (found["word"], found["result"]) == (first["word"], first["result"])
        states = {one["path"]: one["state"] for one in found["tasks"]}
        assert states == {"s_5": "reused", "s_5:yes/s_1": "failed", "s_3": "succeeded"}
    assert sink.sent == ["/one"]


def test_a_run_is_as_green_as_itself_when_what_it_only_set_going_has_problems(
    program: Any, make_live: Any, start: Any, runner: Runner
) -> None:
    other = make_live(plan_of(asks("1/0")), "Other")
    sets_going = {"id": "s_1", "kind": "workflow", "with": {"workflow": other, "wait": False}}
    run = start(make_live(plan_of(sets_going, PAID), "Caller")).get_json()["id"]
    eventually_waits_for_paid(program, run)
    child = program.get(f"/api/v1/tasks/{run}.s_1").get_json()["output"]["run"]
    assert eventually(program, child, "done")["word"] == "Finished with problems"

    program.post(f"/api/v1/runs/{run}/signals", json={"name": "paid"})

    assert eventually(program, run, "done", "failed")["word"] == "Done"


def test_a_run_that_was_cancelled_before_the_next_attempt_says_of_no_step_that_it_tries_again(
    program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink
) -> None:
    gets = {"method": "GET", "url": f"{sink.url}/unknown"}
    retry = {"times": 3, "wait_s": 600}
    step = {"id": "s_1", "kind": "http", "retry": retry, "with": gets}
    run = start(make_live(plan_of(step))).get_json()["id"]
    [waits] = eventually(program, run, "waiting")["tasks"]

    program.post(f"/api/v1/runs/{run}/cancel")

    [task] = eventually(program, run, "cancelled")["tasks"]
    assert (waits["word"], task["word"], task["attempts"]) == ("Trying again", "Cancelled", 2)

"""Run again from a step: what is kept, what is sent twice, and what is not."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, insert, literal, select

from jobs.base import Machine
from jobs.housekeeping import tidy
from tests.fixtures import House, MakeKey, Program
from tests.runs.sink import Sink, post
from tests.runs.test_pages import url_of
from tests.runs.test_sent_outside import NOT_CERTAIN, arrived, repeatable
from tests.runs.test_signals import eventually
from tests.workflows.plans import plan_of, text
from webapp.access.permissions import Role
from webapp.kernel.clock import now
from webapp.runs import upkeep
from webapp.runs.execution.runner import Runner
from webapp.runs.models import Step

Doc = dict[str, Any]


def plan(sink: Sink) -> Doc:
    value = [{"value": ["s_1", "body", "number"]}, {"text": "-"}, {"value": ["s_3", "text"]}]
    return plan_of(
        post("s_1", f"{sink.url}/one"),
        post("s_2", f"{sink.url}/two"),
        text("s_3", "end"),
        result=[{"name": "said", "label": "Said", "type": "text", "value": value}],
    )


def again(program: Any, run: str, body: Doc) -> Any:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    return program.post(f"/api/v1/runs/{run}/again", json=body, headers=headers)


@pytest.fixture
def failed(program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink) -> str:
    sink.refused.add("/two")
    run: str = start(make_live(plan(sink))).get_json()["id"]
    eventually(program, run, "failed")
    return run


def test_a_failed_step_is_tried_again_and_what_came_before_it_is_kept(
    program: Any, sink: Sink, failed: str
) -> None:
    sink.refused.clear()

    answer = again(program, failed, {"from": "s_2"})

    assert answer.status_code == 202, answer.text
    new = eventually(program, answer.get_json()["id"], "done", "failed")
    assert new["result"] == {"said": "1-end"}
    assert sink.sent == ["/one", "/two", "/two"]
    assert [task["state"] for task in new["tasks"]] == ["reused", "succeeded", "succeeded"]
    assert eventually(program, failed, "failed")["state"] == "failed"


def test_what_was_sent_is_told_before_and_skipped_unless_it_is_wanted(
    program: Any, sink: Sink, failed: str
) -> None:
    sink.refused.clear()
    told = program.get(f"/api/v1/runs/{failed}/again").get_json()
    assert [(one["path"], one["effect"]) for one in told["sent"]] == [("s_1", "at_most_once")]
    assert told["kept"] == 0

    careful = again(program, failed, {}).get_json()["id"]
    assert eventually(program, careful, "done", "failed")["result"] == {"said": "1-end"}
    assert sink.sent == ["/one", "/two", "/two"]

    bold = again(program, failed, {"send_again": ["s_1", "s_2"]}).get_json()["id"]
    assert eventually(program, bold, "done", "failed")["result"] == {"said": "4-end"}
    assert sink.sent == ["/one", "/two", "/two", "/one", "/two"]


def test_what_was_skipped_since_it_was_sent_is_not_forgotten_by_the_next_repetition(
    program: Any, owner: Any, sink: Sink, failed: str
) -> None:
    run = again(program, failed, {}).get_json()["id"]
    eventually(program, run, "failed")

    told = program.get(f"/api/v1/runs/{run}/again").get_json()
    page = owner.get(f"/o/acme/runs/{run}/again").text
    new = again(program, run, {}).get_json()["id"]

    assert [(one["path"], one["effect"]) for one in told["sent"]] == [("s_1", "at_most_once")]
    assert f"POST {sink.url}/one" in page
    eventually(program, new, "failed")
    assert sink.sent == ["/one", "/two", "/two", "/two"]


def test_a_tool_call_that_is_kept_still_says_what_was_asked(
    program: Any, make_live: Any, start: Any, runner: Runner
) -> None:
    inline = {"instructions": "Reckon.", "model": "practice", "tools": ["calculator"]}
    agent = {"id": "s_1", "kind": "agent", "with": {"inline": inline, "message": "6 * 7"}}
    run = start(make_live(plan_of(agent, text("s_2")))).get_json()["id"]
    eventually(program, run, "done")

    new = again(program, run, {"from": "s_2"}).get_json()["id"]

    eventually(program, new, "done")
    calls = [program.get(f"/api/v1/tasks/{one}.s_1/call_1").get_json() for one in (run, new)]
    assert [call["state"] for call in calls] == ["succeeded", "reused"]
    assert calls[1]["input"] == calls[0]["input"]
    assert calls[0]["input"]["tool"] == "calculator"


def test_an_agent_that_is_kept_is_not_skipped_as_well_for_a_call_that_it_gave_up(
    program: Any, make_live: Any, start: Any, runner: Runner, engine: Engine
) -> None:
    inline = {"instructions": "Reckon.", "model": "practice", "tools": ["calculator"]}
    agent = {"id": "s_1", "kind": "agent", "with": {"inline": inline, "message": "6 * 7"}}
    run = start(make_live(plan_of(agent, text("s_2")))).get_json()["id"]
    eventually(program, run, "done")
    call = Step.path == "s_1/call_1"
    same = [column for column in Step.__table__.c if column.name not in {"path", "state", "effect"}]
    given_up = select(literal("s_1/call_2"), literal("intent"), literal("idempotent"), *same)
    names = ["path", "state", "effect", *same]
    with engine.begin() as writing:
        writing.execute(insert(Step).from_select(names, given_up.where(call)))

    new = again(program, run, {"from": "s_2"})

    assert new.status_code == 202, new.text
    tasks = eventually(program, new.get_json()["id"], "done")["tasks"]
    states = {task["path"]: task["state"] for task in tasks}
    assert (states["s_1"], states["s_2"]) == ("reused", "succeeded")


def test_what_was_sent_is_told_in_the_order_of_the_plan_and_a_slip_is_refused(
    program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink
) -> None:
    items = {"list": {"list": list(range(11))}, "steps": [post("s_3", f"{sink.url}/two")]}
    each = {"id": "s_2", "kind": "each", "with": items}
    last = post("s_10", f"{sink.url}/one")
    run = start(make_live(plan_of(each, last))).get_json()["id"]
    eventually(program, run, "done")

    told = program.get(f"/api/v1/runs/{run}/again").get_json()["sent"]
    slip = again(program, run, {"send_again": ["s_10", "s_2[11]/s_3"]})

    assert [one["path"] for one in told] == [*(f"s_2[{n}]/s_3" for n in range(11)), "s_10"]
    assert slip.status_code == 422
    assert [one["pointer"] for one in slip.get_json()["errors"]] == ["/send_again/1"]
    assert program.get("/api/v1/runs").get_json()["items"][0]["id"] == run
    assert len(sink.sent) == 12


def test_what_was_on_its_way_when_its_run_was_cancelled_is_told_and_skipped(
    program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink
) -> None:
    sink.speaks.clear()
    sends = post("s_1", f"{sink.url}/one")
    sends["with"] = {**sends["with"], "repeat_safe": True}
    run = start(make_live(plan_of(sends, text("s_2", "end")))).get_json()["id"]
    arrived(sink)
    program.post(f"/api/v1/runs/{run}/cancel")
    eventually(program, run, "cancelled")
    sink.speaks.set()

    [told] = program.get(f"/api/v1/runs/{run}/again").get_json()["sent"]
    assert (told["path"], told["effect"], told["doubtful"]) == ("s_1", "idempotent", True)

    careful = again(program, run, {}).get_json()["id"]
    assert eventually(program, careful, "done", "failed")["state"] == "done"
    assert sink.sent == ["/one"]
    bold = again(program, run, {"send_again": ["s_1"]}).get_json()["id"]
    assert eventually(program, bold, "done", "failed")["state"] == "done"
    assert sink.sent == ["/one", "/one"]


def lanes_with(*blocks: list[Doc], **settings: Any) -> Doc:
    made = [{"id": f"l{n}", "label": f"L{n}", "steps": steps} for n, steps in enumerate(blocks)]
    return {"id": "s_9", "kind": "parallel", "with": {"lanes": made, **settings}}


def items_with(steps: list[Doc]) -> Doc:
    return {"id": "s_9", "kind": "each", "with": {"list": {"list": [0, 1]}, "at_once": 2,
            "item_failure": "stop", "steps": steps}}  # fmt: skip


@pytest.mark.parametrize("around", ["lanes", "items", "stop"])
def test_what_was_on_its_way_when_something_beside_it_failed_is_told_and_skipped(
    program: Any, owner: Any, make_live: Any, start: Any, runner: Runner, sink: Sink, around: str
) -> None:
    sink.speaks.clear()
    fails: Doc = {"id": "s_2", "kind": "stop", "with": {"as": "failed", "message": "Enough."}}
    if around != "stop":  # what is there takes no GET
        fails = {"id": "s_2", "kind": "http", "with": {"method": "GET", "url": sink.url}}
        fails["retry"] = {"times": 0}
    sends = repeatable("s_1", f"{sink.url}/one")
    wait = {"id": "s_4", "kind": "wait", "with": {"for_s": 1}}
    step = lanes_with([sends], [wait, fails])
    if around == "items":
        second = {"id": "b", "when": {"all": [{"value": [{"value": ["s_9", "index"]}],
                  "is": "equal", "to": 1}]}, "steps": [wait, fails]}  # fmt: skip
        chosen = {"branches": [second], "otherwise": [sends]}
        step = items_with([{"id": "s_5", "kind": "if", "with": chosen}])
    run = start(make_live(plan_of(step))).get_json()["id"]
    eventually(program, run, "failed")
    sink.speaks.set()
    assert sink.sent == ["/one"]

    assert NOT_CERTAIN in owner.get(url_of(run)).text
    [told] = program.get(f"/api/v1/runs/{run}/again").get_json()["sent"]
    assert (told["path"].endswith("/s_1"), told["doubtful"]) == (True, True)
    careful = again(program, run, {}).get_json()["id"]
    eventually(program, careful, "failed")
    assert sink.sent == ["/one"]
    bold = again(program, run, {"send_again": [told["path"]]}).get_json()["id"]
    eventually(program, bold, "failed")
    assert sink.sent == ["/one", "/one"]
    [told] = program.get(f"/api/v1/runs/{careful}/again").get_json()["sent"]
    assert told["doubtful"], "it is no more certain when it was skipped once"


def test_what_was_on_its_way_in_a_lane_that_lost_is_skipped_and_does_not_win(
    program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink
) -> None:
    sink.speaks.clear()
    wait = {"id": "s_2", "kind": "wait", "with": {"for_s": 1}}
    after = post("s_3", f"{sink.url}/two")
    race = lanes_with([repeatable("s_1", f"{sink.url}/one"), after], [wait], until="first")
    run = start(make_live(plan_of(race))).get_json()["id"]
    eventually(program, run, "done")
    sink.speaks.set()

    told = program.get(f"/api/v1/runs/{run}/again").get_json()["sent"]
    careful = again(program, run, {}).get_json()["id"]
    tasks = eventually(program, careful, "done")["tasks"]

    assert [(one["path"], one["doubtful"]) for one in told] == [("s_9:l0/s_1", True)]
    assert sink.sent == ["/one"]
    assert {one["path"]: one["state"] for one in tasks}["s_9:l1/s_2"] == "succeeded"


def test_many_run_it_again_at_the_same_moment_and_each_gets_a_run(
    program: Any, make_live: Any, start: Any, finish: Any
) -> None:
    run = start(make_live(plan_of(text("s_1", "Hello.")))).get_json()["id"]
    finish(run)

    with ThreadPoolExecutor(4) as presses:
        said = list(presses.map(lambda _: again(program, run, {}), range(8)))

    assert {answer.status_code for answer in said} == {202}
    assert len({answer.get_json()["id"] for answer in said}) == 8


def test_only_a_run_that_is_over_is_run_again(program: Any, make_live: Any, start: Any) -> None:
    run = start(make_live(plan_of(text("s_1", "x")))).get_json()["id"]

    answer = again(program, run, {})

    assert (answer.status_code, answer.get_json()["code"]) == (409, "E-RUN-OPEN")


@pytest.mark.parametrize("step", ["s_77", "s_3", "../x"])
def test_a_step_that_the_run_has_not_reached_is_said_to_be_wrong(
    program: Any, failed: str, step: str
) -> None:
    looked = program.get(f"/api/v1/runs/{failed}/again?from={step}")
    for answer in (again(program, failed, {"from": step}), looked):
        assert answer.status_code == 422
        [wrong] = answer.get_json()["errors"]
        assert wrong["pointer"] == "/from"
        assert "has not reached such a step" in wrong["detail"]


def test_a_viewer_may_look_and_not_start_and_a_stranger_sees_nothing(
    app: Flask, acme: House, other: House, make_key: MakeKey, failed: str
) -> None:
    for key, look, begin in ((make_key(acme, Role.VIEWER), 200, 403), (make_key(other), 404, 404)):
        somebody = Program(app, app.response_class, use_cookies=False)
        somebody.key = key

        assert somebody.get(f"/api/v1/runs/{failed}/again").status_code == look
        assert again(somebody, failed, {}).status_code == begin


def test_items_that_went_well_are_kept_when_one_is_done_again(
    program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink
) -> None:
    sink.refused.add("/item1")
    address = [{"text": f"{sink.url}/item"}, {"value": ["s_1", "index"]}]
    inner = {"id": "s_2", "kind": "http", "with": {"method": "POST", "url": address}}
    each = {"list": {"list": ["a", "b", "c"]}, "item_failure": "continue", "steps": [inner]}
    count = [{"name": "n", "label": "N", "type": "number", "value": [{"value": ["s_1", "count"]}]}]
    workflow = make_live(
        plan_of({"id": "s_1", "kind": "each", "name": "All", "with": each}, result=count)
    )
    run = start(workflow).get_json()["id"]
    assert eventually(program, run, "done")["result"] == {"n": 2}
    sink.refused.clear()

    new = again(program, run, {"from": "s_1[1]/s_2"}).get_json()["id"]

    assert eventually(program, new, "done", "failed")["result"] == {"n": 3}
    assert sorted(sink.sent) == ["/item0", "/item1", "/item1", "/item2"]


def test_what_only_a_repetition_has_sent_is_told_and_skipped_when_the_first_is_run_again(
    program: Any, owner: Any, make_live: Any, start: Any, runner: Runner, sink: Sink
) -> None:
    sink.refused.add("/1")
    address = [{"text": f"{sink.url}/"}, {"value": ["s_1", "index"]}]
    inner = {"id": "s_2", "kind": "http", "with": {"method": "POST", "url": address}}
    items = {"list": {"list": ["a", "b"]}, "item_failure": "stop", "steps": [inner]}
    each = {"id": "s_1", "kind": "each", "with": items}
    run = start(make_live(plan_of(each, post("s_3", f"{sink.url}/end")))).get_json()["id"]
    eventually(program, run, "failed")
    sink.refused.clear()
    place = {"from": "s_1[1]/s_2"}
    eventually(program, again(program, run, place).get_json()["id"], "done")
    sent = ["/0", "/1", "/1", "/end"]

    told = program.get(f"/api/v1/runs/{run}/again?from=s_1[1]/s_2").get_json()["sent"]
    page = owner.get(f"{url_of(run)}/again?from=s_1[1]/s_2").text
    careful = again(program, run, place).get_json()["id"]
    assert eventually(program, careful, "done", "failed")["word"] == "Done"

    assert [(one["path"], one["doubtful"]) for one in told] == [
        ("s_1[1]/s_2", False),
        ("s_3", False),
    ]
    assert f"POST {sink.url}/end" in page
    assert sorted(sink.sent) == sent
    bold = again(program, run, {**place, "send_again": ["s_3"]}).get_json()["id"]
    eventually(program, bold, "done")
    assert sorted(sink.sent) == [*sent, "/end"]


def test_a_called_run_that_a_repetition_has_finished_is_run_anew_when_that_is_wanted(
    program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink
) -> None:
    sink.refused.add("/two")
    called = make_live(sends(sink), "Called")
    run = start(make_live(plan_of(calls("s_1", called)), "Caller")).get_json()["id"]
    eventually(program, run, "failed")
    sink.refused.clear()
    eventually(program, again(program, run, {}).get_json()["id"], "done")
    sent = ["/mail", "/two", "/two"]

    careful = again(program, run, {}).get_json()["id"]
    eventually(program, careful, "done")
    assert sink.sent == sent
    bold = again(program, run, {"send_again": ["s_1"]}).get_json()["id"]
    eventually(program, bold, "done")

    assert sink.sent == [*sent, "/mail", "/two"]


def test_a_rehearsal_sends_nothing_and_says_what_it_would_have_sent(
    program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink
) -> None:
    waits = {"id": "s_9", "kind": "wait", "with": {"for_s": 3600}}
    steps = [*plan(sink)["steps"], waits]

    run = start(make_live(plan_of(*steps)), rehearsal=True).get_json()["id"]

    assert eventually(program, run, "done", "failed")["state"] == "done"
    assert sink.sent == []
    output = program.get(f"/api/v1/tasks/{run}.s_1").get_json()["output"]
    assert output["rehearsal"] is True
    assert output["would_send"]["url"] == f"{sink.url}/one"


def calls(step_id: str, workflow: str, **inputs: Any) -> Doc:
    return {"id": step_id, "kind": "workflow", "with": {"workflow": workflow, "inputs": inputs}}


def sends(sink: Sink) -> Doc:
    return plan_of(
        post("s_1", f"{sink.url}/mail"),
        post("s_2", f"{sink.url}/two"),
        result=[{"name": "n", "label": "N", "type": "any", "value": [{"value": ["s_1", "body"]}]}],
    )


@pytest.mark.parametrize("levels", [1, 2])
def test_what_a_called_run_has_sent_is_not_sent_again_with_the_step_that_called_it(
    program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink, levels: int
) -> None:
    sink.refused.add("/two")
    called = make_live(sends(sink), "Called")
    for level in range(levels - 1):
        called = make_live(plan_of(calls("s_1", called)), f"Between {level}")
    run = start(make_live(plan_of(calls("s_1", called), text("s_2")), "Caller")).get_json()["id"]
    eventually(program, run, "failed")

    for _ in range(2):
        run = again(program, run, {"from": "s_1"}).get_json()["id"]
        eventually(program, run, "failed")
    sink.refused.clear()
    run = again(program, run, {}).get_json()["id"]

    assert eventually(program, run, "done", "failed")["word"] == "Done"
    assert sink.sent == ["/mail", *["/two"] * 4]


def test_a_run_that_is_called_with_something_else_begins_anew(
    program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink
) -> None:
    sink.refused.add("/two")
    who = {"name": "who", "label": "Who", "type": "any", "required": True}
    called = make_live(sends(sink) | {"inputs": [who]}, "Called")
    number = [{"value": ["s_1", "body", "number"]}]
    caller = plan_of(post("s_1", f"{sink.url}/one"), calls("s_2", called, who=number))
    run = start(make_live(caller, "Caller")).get_json()["id"]
    eventually(program, run, "failed")

    new = again(program, run, {"send_again": ["s_1"]}).get_json()["id"]

    eventually(program, new, "failed")
    assert sink.sent == ["/one", "/mail", "/two"] * 2


def test_what_a_cancelled_called_run_may_have_sent_is_not_sent_again(
    program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink
) -> None:
    stops = {"id": "s_2", "kind": "wait", "with": {"signal": {"name": "paid"}}}
    called = make_live(plan_of(post("s_1", f"{sink.url}/mail"), stops), "Called")
    run = start(make_live(plan_of(calls("s_1", called)), "Caller")).get_json()["id"]
    [child] = [sent_by(program, run)]
    eventually(program, child, "waiting")
    program.post(f"/api/v1/runs/{run}/cancel")
    eventually(program, run, "cancelled")

    new = again(program, run, {}).get_json()["id"]
    other = sent_by(program, new)
    eventually(program, other, "waiting")
    program.post(f"/api/v1/runs/{other}/signals", json={"name": "paid"})

    assert eventually(program, new, "done", "failed")["word"] == "Done"
    assert sink.sent == ["/mail"]


@pytest.mark.parametrize("ends", ["by a failure", "by a stop"])
def test_what_was_on_its_way_in_a_called_run_goes_on_with_its_key(
    program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink, ends: str
) -> None:
    sink.speaks.clear()
    wait = {"id": "s_2", "kind": "wait", "with": {"for_s": 1}}
    last: Doc = {"id": "s_3", "kind": "stop", "with": {"as": "failed", "message": "Enough."}}
    if ends == "by a failure":
        last = {"id": "s_3", "kind": "http", "with": {"method": "GET", "url": sink.url}}
        last["retry"] = {"times": 0}
    step = lanes_with([repeatable("s_1", f"{sink.url}/one")], [wait, last])
    called = make_live(plan_of(step), "Called")
    run = start(make_live(plan_of(calls("s_1", called)), "Caller")).get_json()["id"]
    eventually(program, run, "failed")
    sink.speaks.set()
    rev = program.get(f"/api/v1/workflows/{called}").get_json()["rev"]
    mended = plan_of(lanes_with([repeatable("s_1", f"{sink.url}/one")], [wait, text("s_3")]))
    program.put(f"/api/v1/workflows/{called}", json={"rev": rev, "plan": mended})
    program.post(f"/api/v1/workflows/{called}/live", json={})

    new = again(program, run, {}).get_json()["id"]

    assert eventually(program, new, "failed", "done")["state"] == "done"
    assert sink.sent == ["/one", "/one"]
    assert len(sink.keys) == 2
    assert len(set(sink.keys)) == 1
    assert all(one and one.startswith("run_") for one in sink.runs)


def test_a_called_run_that_was_mended_sends_nothing_twice(
    program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink
) -> None:
    sink.refused.add("/two")
    called = make_live(sends(sink), "Called")
    run = start(make_live(plan_of(calls("s_1", called)), "Caller")).get_json()["id"]
    eventually(program, run, "failed")
    sink.refused.clear()
    mended = sends(sink)
    mended["steps"].append(text("s_3", "end"))
    rev = program.get(f"/api/v1/workflows/{called}").get_json()["rev"]
    program.put(f"/api/v1/workflows/{called}", json={"rev": rev, "plan": mended})
    program.post(f"/api/v1/workflows/{called}/live", json={})

    new = again(program, run, {}).get_json()["id"]

    assert eventually(program, new, "done", "failed")["state"] == "done"
    assert sink.sent == ["/mail", "/two", "/two"]
    child = program.get(f"/api/v1/tasks/{new}.s_1").get_json()["input"]["child"]
    tasks = program.get(f"/api/v1/runs/{child}").get_json()["tasks"]
    assert {task["path"]: task["state"] for task in tasks} == {
        "s_1": "reused", "s_2": "succeeded", "s_3": "succeeded"
    }  # fmt: skip


@pytest.mark.parametrize("times", [1, 2])
def test_what_a_called_run_has_sent_that_was_run_again_by_itself_is_not_sent_again(
    program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink, times: int
) -> None:
    sink.refused.add("/two")
    two = [{"value": ["s_2", "body", "number"]}]
    gives = [{"name": "n", "label": "N", "type": "number", "value": two}]
    called = make_live(sends(sink) | {"result": gives}, "Called")
    given = [{"name": "n", "label": "N", "type": "number", "value": [{"value": ["s_1", "n"]}]}]
    caller = make_live(plan_of(calls("s_1", called), result=given), "Caller")
    run = start(caller).get_json()["id"]
    eventually(program, run, "failed")
    child = sent_by(program, run, "failed")
    for left in reversed(range(times)):
        if not left:
            sink.refused.clear()
        child = again(program, child, {"from": "s_2"}).get_json()["id"]
        eventually(program, child, "failed" if left else "done")

    new = again(program, run, {"from": "s_1"}).get_json()["id"]

    last = 2 + times
    assert eventually(program, new, "done", "failed")["result"] == {"n": last}
    assert sink.sent == ["/mail", *["/two"] * (last - 1)]
    tasks = program.get(f"/api/v1/runs/{sent_by(program, new, 'done')}").get_json()["tasks"]
    assert {task["path"]: task["state"] for task in tasks} == {"s_1": "reused", "s_2": "skipped"}


def test_what_a_run_sent_that_only_a_later_repetition_has_called_is_not_sent_again(
    program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink
) -> None:
    sink.refused |= {"/one", "/two"}
    inner = make_live(sends(sink), "Inner")
    between = make_live(plan_of(post("s_1", f"{sink.url}/one"), calls("s_2", inner)), "Between")
    run = start(make_live(plan_of(calls("s_1", between)), "Caller")).get_json()["id"]
    eventually(program, run, "failed")
    sink.refused.remove("/one")
    alone = again(program, sent_by(program, run, "failed"), {"from": "s_1"}).get_json()["id"]
    eventually(program, alone, "failed")
    sink.refused.clear()

    new = again(program, run, {"from": "s_1"}).get_json()["id"]

    assert eventually(program, new, "done", "failed")["state"] == "done"
    assert sink.sent == ["/one", "/one", "/mail", "/two", "/two"]


def test_what_is_not_come_to_any_more_is_not_on_its_way_for_ever(
    program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink
) -> None:
    """A list of which an item failed is kept whole, with what was on its way in it."""
    sink.speaks.clear()
    sink.refused.add("/two")
    wait = {"id": "s_2", "kind": "wait", "with": {"for_s": 1}}
    fails: Doc = {"id": "s_3", "kind": "http", "with": {"method": "GET", "url": sink.url}}
    fails["retry"] = {"times": 0}
    step = lanes_with([repeatable("s_1", f"{sink.url}/one")], [wait, fails])
    items = {"list": {"list": [0]}, "item_failure": "continue", "steps": [step]}
    each = {"id": "s_8", "kind": "each", "with": items}
    paid = {"id": "s_4", "kind": "wait", "with": {"signal": {"name": "paid"}}}
    called = make_live(plan_of(each, paid, post("s_7", f"{sink.url}/two")), "Called")
    run = start(make_live(plan_of(calls("s_1", called)), "Caller")).get_json()["id"]
    child = sent_by(program, run)
    eventually(program, child, "waiting")
    sink.speaks.set()
    program.post(f"/api/v1/runs/{child}/signals", json={"name": "paid"})
    eventually(program, run, "failed")
    sink.refused.clear()

    new = again(program, run, {}).get_json()["id"]

    assert eventually(program, new, "done", "failed")["state"] == "done"
    other = program.get(f"/api/v1/tasks/{new}.s_1").get_json()["input"]["child"]
    tasks = program.get(f"/api/v1/runs/{other}").get_json()["tasks"]
    states = {task["path"]: task["state"] for task in tasks}
    assert states["s_8[0]/s_9:l0/s_1"] == "skipped"
    assert set(states.values()) <= {"reused", "succeeded", "skipped", "failed"}


def test_a_call_that_was_not_waited_for_is_made_anew_when_that_is_wanted(
    program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink
) -> None:
    sink.refused.add("/two")
    called = make_live(sends(sink), "Called")
    call = calls("s_1", called)
    call["with"]["wait"] = False
    stop = {"id": "s_2", "kind": "stop", "with": {"as": "failed", "message": "Enough."}}
    wait = {"id": "s_3", "kind": "wait", "with": {"for_s": 1}}
    run = start(make_live(plan_of(call, wait, stop), "Caller")).get_json()["id"]
    eventually(program, run, "failed")
    assert sink.sent == ["/mail", "/two"]

    new = again(program, run, {"send_again": ["s_1"]}).get_json()["id"]
    eventually(program, new, "failed")

    assert sink.sent == ["/mail", "/two", "/mail", "/two"]


@pytest.mark.parametrize("ends", ["by itself", "by a stop"])
def test_a_called_run_that_was_done_before_its_caller_heard_is_not_done_again(
    program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink, ends: str
) -> None:
    wait = {"id": "s_2", "kind": "wait", "with": {"signal": {"name": "paid"}}}
    fails = post("s_3", f"{sink.url}/two") | {"on_failure": {"do": "continue"}}
    sink.refused.add("/two")
    steps = [post("s_1", f"{sink.url}/mail"), wait, fails]
    if ends == "by a stop":
        stop = {"id": "s_4", "kind": "stop", "with": {"as": "done"}}
        steps += [lanes_with([stop], [text("s_5")]), post("s_6", f"{sink.url}/never")]
    called = make_live(plan_of(*steps), "Called")
    caller = make_live(plan_of(calls("s_1", called)), "Caller")
    run = start(caller).get_json()["id"]
    child = sent_by(program, run)
    eventually(program, child, "waiting")
    program.post(f"/api/v1/workflows/{caller}/pause", json={})
    program.post(f"/api/v1/runs/{child}/signals", json={"name": "paid"})
    eventually(program, child, "done")
    program.post(f"/api/v1/runs/{run}/cancel")
    eventually(program, run, "cancelled")
    program.post(f"/api/v1/workflows/{caller}/resume", json={})

    new = again(program, run, {}).get_json()["id"]

    assert eventually(program, new, "done", "failed")["word"] == "Finished with problems"
    assert sink.sent == ["/mail", "/two"]


def test_a_repetition_of_a_run_that_is_forgotten_calls_as_any_run_does(
    program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink, machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    sink.refused.add("/two")
    waits = {"id": "s_1", "kind": "wait", "with": {"signal": {"name": "paid"}}}
    called = make_live(sends(sink), "Called")
    run = start(make_live(plan_of(waits, calls("s_2", called)), "Caller")).get_json()["id"]
    program.post(f"/api/v1/runs/{run}/signals", json={"name": "paid"})
    eventually(program, run, "failed")
    new = again(program, run, {}).get_json()["id"]
    eventually(program, new, "waiting")
    in_a_month = now() + timedelta(days=31)
    monkeypatch.setattr(upkeep, "now", lambda: in_a_month)
    tidy(replace(machine, settings=machine.settings.model_copy(update={"keep_runs_days": 30})))
    assert program.get(f"/api/v1/runs/{run}").status_code == 404

    program.post(f"/api/v1/runs/{new}/signals", json={"name": "paid"})

    assert eventually(program, new, "failed")["error"]["code"] == "E-CHILD"
    assert sink.sent == ["/mail", "/two"] * 2


def sent_by(program: Any, run: str, state: str = "waiting") -> str:
    """Return the run that the first step of a run has started."""
    eventually(program, run, state)
    asked = program.get(f"/api/v1/tasks/{run}.s_1").get_json()["input"]
    child: str = asked["child"]
    return child

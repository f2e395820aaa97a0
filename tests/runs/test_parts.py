"""Long lists in parts: runs of their own, spread over workers, that look like one run."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter as Counted
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, func, select, update

from tests.commands.test_commands import deckhand, env_of
from tests.conftest import test_settings
from tests.fixtures import House, MakeKey, Program
from tests.runs.counter import Counter
from tests.runs.durable import claim
from tests.runs.following import until
from tests.runs.sink import Sink, post
from tests.runs.test_again import again
from tests.workflows.plans import plan_of, text
from webapp.access.tenancy import across_organizations
from webapp.engine.errors import StepError
from webapp.engine.parts import PartOrder
from webapp.files.shelf import results_shelf
from webapp.kernel.db import make_sessions, writing
from webapp.kernel.ids import parse_id, public_id
from webapp.kernel.settings import Settings
from webapp.live.bell import RedisBell
from webapp.runs.execution.children import ChildRuns
from webapp.runs.execution.runner import Runner, make_runner
from webapp.runs.models import Lease, Run, Step

Doc = dict[str, Any]
COUNT = 1_000


def over(items: int, *steps: Doc, **settings: Any) -> Doc:
    """A plan that does `steps` for each of so many items and gives what was collected."""
    collect = [
        {"name": "n", "label": "N", "type": "number", "value": [{"value": ["s_e", "index"]}]},
        {"name": "said", "label": "Said", "type": "text", "value": [{"value": ["s_1", "text"]}]},
    ]
    each = {"list": {"list": []}, "most": 10_000, "collect": collect, "steps": list(steps)}
    each |= {"list": [{"value": ["start", "items"]}], **settings}
    got = [
        {"name": name, "label": name, "type": kind, "value": [{"value": ["s_e", name]}]}
        for name, kind in (("items", "list"), ("count", "number"), ("failed", "list"))
    ]
    return plan_of(
        {"id": "s_e", "kind": "each", "name": "All", "with": each},
        inputs=[{"name": "items", "label": "Items", "type": "list", "items": {"type": "number"}}],
        result=got,
    )


SAYS = text("s_1", [{"text": "No. "}, {"value": ["s_e", "item"]}])


@pytest.fixture
def settings(
    tmp_path: Any, database_url: str, redis_url: str, request: pytest.FixtureRequest
) -> Settings:
    more = {"REDIS_URL": redis_url, "EACH_SPLIT": "100", "LEASE_S": "60"}
    for name in ("counter", "sink"):
        if name in request.fixturenames:
            server = request.getfixturevalue(name)
            port = server.port if name == "counter" else server.server_address[1]
            more |= {"OUTBOUND_ALLOW": f"127.0.0.1/32:{port}", "EACH_SPLIT": "10"}
    return test_settings(tmp_path, database_url, **more)


@pytest.fixture
def runners(app: Flask, settings: Settings) -> Iterator[list[Runner]]:
    made = [make_runner(settings, RedisBell(settings.redis_url), lambda: None) for _ in range(2)]
    for one in made:
        one.start()
    yield made
    for one in made:
        one.drain(5.0)


def test_a_long_list_is_done_in_parts_and_looks_as_if_it_was_not(
    program: Any, make_live: Any, start: Any, runners: list[Runner], follow: Any
) -> None:
    run = start(make_live(over(COUNT, SAYS)), inputs={"items": list(range(COUNT))}).get_json()["id"]

    found = settled(follow, runners, run)
    assert found["state"] == "done", found["error"]
    assert found["result"]["count"] == COUNT
    assert found["result"]["items"] == [{"n": n, "said": f"No. {n}"} for n in range(COUNT)]


def settled(follow: Any, runners: list[Runner], run: str, *states: str) -> Doc:
    """Let the runners work until the run is in one of the states."""
    wanted = states or ("done", "failed", "cancelled", "needs_review")

    def is_there() -> bool:
        for one in runners:
            one.wake()
        return follow.get(run)["state"] in wanted

    until(is_there, f"{run} is {wanted}")
    found: Doc = follow.get(run)
    return found


@pytest.fixture
def parts(engine: Engine) -> Any:
    """Return a function that returns the parts of a run as rows, in the list's order."""

    def find(run: str) -> list[Run]:
        with make_sessions(engine)() as session, across_organizations(session, "a test"):
            query = select(Run).where(Run.parent_run == parse_id("run", run), Run.kind == "part")
            found = session.scalars(query).all()
        return sorted(found, key=lambda one: (one.part or {})["first"])

    return find


def public(run: Run) -> str:
    return public_id("run", run.id)


def test_parts_stand_in_no_list_and_are_opened_from_the_run(
    program: Any, owner: Any, make_live: Any, start: Any, runners: list[Runner], follow: Any,
    parts: Any,
) -> None:  # fmt: skip
    workflow = make_live(over(1_000, SAYS))
    run = start(workflow, inputs={"items": list(range(COUNT))}).get_json()["id"]
    settled(follow, runners, run)

    rows = parts(run)
    assert [(row.part or {})["first"] for row in rows] == list(range(0, 1_000, 100))
    for query in ("", f"?workflow={workflow}", "?state=done", f"?workflow={workflow}&state=done"):
        listed = program.get(f"/api/v1/runs{query}").get_json()["items"]
        assert [one["id"] for one in listed] == [run]
    told = program.get(f"/api/v1/runs/{run}").get_json()
    kinds = {task["path"]: task["kind"] for task in told["tasks"]}
    assert (kinds["s_e"], kinds["s_e[100-199]"]) == ("each", "part")
    part = program.get(f"/api/v1/runs/{public(rows[1])}").get_json()
    assert (part["kind"], part["state"]) == ("part", "done")
    assert part["tasks"][1]["path"] == "s_e[100]/s_1"
    page = owner.get(f"/o/acme/runs/{run}").text
    assert re.search(
        f'href="[^"]*/runs/{public(rows[1])}">.{{1,600}}Items 101–200', page, re.DOTALL
    )
    page = owner.get(f"/o/acme/runs/{public(rows[1])}").text
    assert re.search(f'Part of .{{1,200}}/runs/{run}".{{1,200}}items 101–200', page, re.DOTALL)


def calls(counter: Counter, **config: Any) -> Doc:
    """A step that calls with the place of its item."""
    step = counter.call("s_2")
    value = [{"value": ["s_e", "index"]}]
    step["with"] |= {"body": {"as": "text", "value": value}, **config}
    return step


def begun(start: Any, make_live: Any, items: int, *steps: Doc, **settings: Any) -> str:
    workflow = make_live(over(items, *steps, SAYS, **settings))
    run: str = start(workflow, inputs={"items": list(range(items))}).get_json()["id"]
    return run


def standing(runners: list[Runner], counter: Counter, count: int) -> None:
    """Let the runners work until so many have come to the counter."""

    def are_there() -> bool:
        for one in runners:
            one.wake()
        return len(counter.arrived) >= count

    until(are_there, f"{count} calls")


def kill(runner: Runner) -> None:
    """Let a worker be gone in the middle of everything: nobody renews its leases."""
    runner.keeper.closing.set()
    runner._on_loop(runner._stop.set)

    def has_let_go() -> bool:
        for active in list(runner.active.values()):
            if active.task is not None:
                runner._on_loop(active.task.cancel)
        return not runner.active

    until(has_let_go, "the worker has let go")
    with writing(), make_sessions(runner.engine)() as session:
        with across_organizations(session, "a test"):
            mine = update(Lease).where(Lease.worker == runner.name, Lease.state == "running")
            session.execute(mine.values(lease_until=0))  # as if LEASE_S had gone by
        session.commit()


def test_a_worker_that_dies_in_the_middle_loses_no_item_and_doubles_none(
    start: Any, make_live: Any, runners: list[Runner], follow: Any, counter: Counter, steward: Any
) -> None:
    run = begun(start, make_live, 60, calls(counter, repeat_safe=True), at_once=4)
    counter.serve(20)
    standing(runners, counter, 22)

    kill(runners[0])
    counter.open()
    found = settled(follow, runners, run)

    assert (found["state"], found["problems"]) == ("done", False), found["result"]["failed"]
    assert [item["n"] for item in found["result"]["items"]] == list(range(60))
    assert set(counter.arrived) == {str(n) for n in range(60)}
    assert len(counter.arrived) <= 60 + 4


def test_what_is_in_doubt_in_a_part_is_decided_there_and_keeps_no_other_part(
    program: Any, start: Any, make_live: Any, runners: list[Runner], follow: Any,
    counter: Counter, steward: Any, parts: Any,
) -> None:  # fmt: skip
    run = begun(start, make_live, 20, calls(counter), at_once=2)
    counter.serve(6)
    standing(runners, counter, 8)
    for one in runners:
        kill(one)

    more = make_runner(runners[0].settings, runners[0].bell, lambda: None)
    more.start()
    counter.open()
    doubtful = [public(row) for row in parts(run)]
    for part in doubtful:
        settled(follow, [more], part, "needs_review")
    settled(follow, [more], run, "needs_review")
    listed = program.get("/api/v1/runs").get_json()["items"]
    assert [(one["id"], one["word"]) for one in listed] == [(run, "Needs your decision")]
    assert follow.get(run)["word"] == "Needs your decision"
    for part in doubtful:
        [task] = [t for t in follow.get(part)["tasks"] if t["state"] == "unknown"]
        answer = program.post(f"/api/v1/tasks/{task['id']}/decide", json={"decision": "happened"})
        assert answer.status_code < 300, answer.text
    found = settled(follow, [more], run)
    more.drain(5.0)

    assert found["state"] == "done", found["error"]
    assert found["result"]["count"] == 20
    assert sorted(counter.arrived, key=int) == [str(n) for n in range(20)]


@pytest.mark.parametrize("in_a_list_in_the_list", [False, True])
def test_a_run_whose_part_needs_a_decision_is_found_by_that_and_by_no_other_state(
    in_a_list_in_the_list: bool, app: Flask, program: Any, owner: Any, other: House, make_key: MakeKey, start: Any,
    make_live: Any, runners: list[Runner], follow: Any, sink: Sink,
) -> None:  # fmt: skip
    sink.speaks.clear()
    is_last = {"value": [{"value": ["s_e", "item"]}], "is": "equal", "to": 11}
    sends = post("s_3", f"{sink.url}/last") | {"timeout_s": 1}
    branch = {"id": "b", "when": {"all": [is_last]}, "steps": [sends]}
    step = {"id": "s_2", "kind": "if", "with": {"branches": [branch], "otherwise": []}}
    if in_a_list_in_the_list:
        is_last["value"] = [{"value": ["s_f", "item"]}]
        inner = {"list": [{"value": ["start", "items"]}], "most": 20, "steps": [step]}
        is_first = {"value": [{"value": ["s_e", "item"]}], "is": "equal", "to": 0}
        branch = {"id": "a", "when": {"all": [is_first]}}
        branch["steps"] = [{"id": "s_f", "kind": "each", "with": inner}]
        step = {"id": "s_4", "kind": "if", "with": {"branches": [branch], "otherwise": []}}
    workflow = make_live(over(12, step, collect=[]))
    run = start(workflow, inputs={"items": list(range(12))}).get_json()["id"]
    settled(follow, runners, run, "needs_review")
    sink.speaks.set()

    words = "state=needs_review", f"workflow={workflow}&state=needs_review"
    for query in (*words, f"{words[0]}&since=2026-01-01"):
        listed = program.get(f"/api/v1/runs?{query}").get_json()["items"]
        assert [(one["id"], one["state"]) for one in listed] == [(run, "needs_review")], query
        assert f'/runs/{run}"' in owner.get(f"/o/acme/runs?{query}").text
        assert run in owner.get(f"/o/acme/runs.csv?{query}").text
    for query in ("state=waiting", f"workflow={workflow}&state=waiting"):
        assert program.get(f"/api/v1/runs?{query}").get_json()["items"] == []
    stranger = Program(app)
    stranger.key = make_key(other)
    assert stranger.get("/api/v1/runs?state=needs_review").get_json()["items"] == []

    asks = run
    while waits := [one for one in follow.get(asks)["tasks"] if one["state"] == "waiting"]:
        task = program.get(f"/api/v1/tasks/{waits[-1]['id']}").get_json()
        asks = task["input"]["child"]
    [task] = [one for one in follow.get(asks)["tasks"] if one["state"] == "unknown"]
    program.post(f"/api/v1/tasks/{task['id']}/decide", json={"decision": "happened"})
    assert settled(follow, runners, run, "done")["state"] == "done"
    assert program.get("/api/v1/runs?state=needs_review").get_json()["items"] == []


def test_a_run_whose_parts_wait_for_people_says_so(
    program: Any, start: Any, make_live: Any, runners: list[Runner], follow: Any, parts: Any
) -> None:
    asks = {"id": "s_1", "kind": "approval", "with": {"who": [{"role": "owner"}]}}
    plan = over(120, asks, collect=[])
    run = start(make_live(plan), inputs={"items": list(range(120))}).get_json()["id"]
    settled(follow, runners, run, "waiting")
    assert len(parts(run)) == 2
    for row in parts(run):
        settled(follow, runners, public(row), "waiting")

    [listed] = program.get("/api/v1/runs").get_json()["items"]

    assert (listed["id"], listed["word"]) == (run, "Waiting for a person")
    assert follow.get(run)["word"] == "Waiting for a person"
    asking = program.get("/api/v1/approvals").get_json()["items"]
    assert [one["run"] for one in asking] == [run, run]
    assert {one["part"] for one in asking} == {public(row) for row in parts(run)}


def test_parts_on_two_workers_keep_the_limit_of_steps_of_the_run(
    engine: Engine, start: Any, make_live: Any, runners: list[Runner], follow: Any, parts: Any
) -> None:
    plan = over(300, SAYS, at_once=8) | {"limits": {"steps": 200}}
    run = start(make_live(plan), inputs={"items": list(range(300))}).get_json()["id"]
    found = settled(follow, runners, run)
    for part in parts(run):
        settled(follow, runners, public(part))

    assert found["state"] == "failed"
    assert found["error"]["text"].startswith("This run reached its limit of 200 steps")
    with make_sessions(engine)() as session, across_organizations(session, "a test"):
        done = select(func.count()).select_from(Step)
        done = done.where(Step.kind == "text", Step.state == "succeeded")
        assert 100 < session.scalars(done).one() <= 200 + 3 * 12


def test_a_cancel_ends_the_parts_and_begins_nothing_more(
    start: Any, make_live: Any, runners: list[Runner], follow: Any, counter: Counter, parts: Any
) -> None:
    run = begun(start, make_live, 60, calls(counter, repeat_safe=True), at_once=4)
    standing(runners, counter, 4)

    follow.do(f"runs/{run}/cancel")
    counter.open()

    settled(follow, runners, run, "cancelled")
    for row in parts(run):
        settled(follow, runners, public(row), "cancelled")
    assert len(counter.arrived) == 4


def test_the_line_of_a_list_in_parts_says_how_many_items_failed(
    owner: Any, start: Any, make_live: Any, runners: list[Runner], follow: Any, sink: Sink
) -> None:
    sink.refused = {"/two"}
    is_early = {"value": [{"value": ["s_e", "index"]}], "is": "less", "to": 3}
    early = {"id": "b", "when": {"all": [is_early]}, "steps": [post("s_3", f"{sink.url}/two")]}
    step = {"id": "s_2", "kind": "if", "with": {"branches": [early], "otherwise": []}}
    run = begun(start, make_live, 20, step)
    settled(follow, runners, run)

    assert "17 of 20 done, 3 failed" in owner.get(f"/o/acme/runs/{run}").text


def test_a_part_that_is_cancelled_alone_leaves_its_items_failed(
    start: Any, make_live: Any, runners: list[Runner], follow: Any, counter: Counter, parts: Any,
    owner: Any,
) -> None:  # fmt: skip
    run = begun(start, make_live, 20, calls(counter, repeat_safe=True), at_once=2)
    standing(runners, counter, 2)

    follow.do(f"runs/{public(parts(run)[0])}/cancel")
    counter.open()
    found = settled(follow, runners, run)

    assert (found["state"], found["word"]) == ("done", "Finished with problems")
    assert [one["index"] for one in found["result"]["failed"]] == list(range(10))
    assert {one["code"] for one in found["result"]["failed"]} == {"E-PART"}
    page = owner.get(f"/o/acme/runs/{run}").text
    assert re.findall(r"\d+ of 20 done[^<]*", page) == ["10 of 20 done, 10 failed"]


@pytest.mark.parametrize("what", ["run", "workflow"])
def test_a_pause_holds_the_parts_and_they_go_on_where_they_were(
    start: Any, make_live: Any, runners: list[Runner], follow: Any, counter: Counter, parts: Any,
    what: str, steward: Any,
) -> None:  # fmt: skip
    run = begun(start, make_live, 20, calls(counter, repeat_safe=True), at_once=2)
    standing(runners, counter, 2)
    settled(follow, runners, run, "waiting")
    address = f"runs/{run}" if what == "run" else f"workflows/{follow.get(run)['workflow']['id']}"

    follow.do(f"{address}/pause")
    counter.open()
    for row in parts(run):
        settled(follow, runners, public(row), "paused")
    arrived = len(counter.arrived)
    follow.do(f"{address}/resume")

    assert arrived == 2
    found = settled(follow, runners, run)
    assert found["result"]["failed"] == []
    assert found["result"]["count"] == 20


def test_a_pause_of_the_workflow_holds_parts_that_wait_for_a_time(
    start: Any, make_live: Any, runners: list[Runner], follow: Any, counter: Counter, parts: Any,
    steward: Any,
) -> None:  # fmt: skip
    counter.open()
    due = datetime.now(UTC) + timedelta(seconds=6)
    rests = {"id": "s_3", "kind": "wait", "with": {"until": due.isoformat()}}
    run = begun(start, make_live, 12, rests, calls(counter, repeat_safe=True), at_once=2)
    until(lambda: len(parts(run)) == 2, "both parts have begun")
    for row in parts(run):
        settled(follow, runners, public(row), "waiting")
    address = f"workflows/{follow.get(run)['workflow']['id']}"

    follow.do(f"{address}/pause")
    for row in parts(run):
        settled(follow, runners, public(row), "paused")
    until(lambda: datetime.now(UTC) > due + timedelta(seconds=2), "the time has come and gone")

    assert [follow.get(public(row))["state"] for row in parts(run)] == ["paused", "paused"]
    assert counter.arrived == []
    follow.do(f"{address}/resume")
    counts = settled(follow, runners, run)["result"]
    assert (counts["count"], counts["failed"], len(counter.arrived)) == (12, [], 12)


def test_parts_stay_paused_with_their_run_when_the_workflow_goes_on(
    start: Any, make_live: Any, runners: list[Runner], follow: Any, parts: Any, steward: Any
) -> None:
    rests = {"id": "s_3", "kind": "wait", "with": {"for_s": 3600}}
    run = begun(start, make_live, 120, rests, at_once=2)
    until(lambda: len(parts(run)) == 2, "both parts have begun")
    for row in parts(run):
        settled(follow, runners, public(row), "waiting")
    settled(follow, runners, run, "waiting")
    address = f"workflows/{follow.get(run)['workflow']['id']}"

    for press in (f"{address}/pause", f"runs/{run}/pause", f"{address}/resume"):
        assert follow.do(press).status_code == 200

    assert [row.state for row in parts(run)] == ["paused", "paused"]
    assert {follow.get(public(row))["line"]["held"] for row in parts(run)} == {
        "Paused with the run that started it."
    }
    follow.do(f"runs/{run}/resume")
    for row in parts(run):
        settled(follow, runners, public(row), "waiting")


@pytest.mark.parametrize("mode", ["single", "queued", "parallel"])
def test_parts_need_no_room_of_their_own_in_their_workflow(
    program: Any, start: Any, make_live: Any, runners: list[Runner], follow: Any, mode: str
) -> None:
    workflow = make_live(over(300, SAYS))
    body = {"run_mode": mode, "most_running": 1}
    assert program.put(f"/api/v1/workflows/{workflow}/settings", json=body).status_code == 200

    run = start(workflow, inputs={"items": list(range(300))}).get_json()["id"]

    assert settled(follow, runners, run)["result"]["count"] == 300


def test_a_step_that_ended_starts_nothing_and_leaves_nothing_running(
    start: Any, make_live: Any, runners: list[Runner], follow: Any, counter: Counter, parts: Any
) -> None:
    step = calls(counter, repeat_safe=True)
    long = over(20, step, SAYS, at_once=2)["steps"][0]
    lanes = [{"id": "a", "steps": [long]}, {"id": "b", "steps": [counter.call("s_9", "b")]}]
    both = {"id": "s_p", "kind": "parallel", "with": {"lanes": lanes, "until": "first"}}
    plan = over(20, SAYS) | {"steps": [both], "result": []}
    run = start(make_live(plan), inputs={"items": list(range(20))}).get_json()["id"]
    standing(runners, counter, 3)
    assert "b" in counter.arrived

    counter.serve(3)
    found = settled(follow, runners, run)
    counter.open()

    assert found["state"] == "done", found["error"]
    for row in parts(run):
        assert settled(follow, runners, public(row))["state"] in {"cancelled", "done"}


def test_a_start_that_comes_too_late_for_its_step_is_refused(
    engine: Engine, settings: Settings, start: Any, make_live: Any, parts: Any, app: Flask
) -> None:
    run = begun(start, make_live, 300)
    [claimed] = claim(engine, lease_s=60, most=1)
    shelf, bell = results_shelf(settings.data), RedisBell(settings.redis_url)
    children = ChildRuns(make_sessions(engine), settings, bell, shelf, claimed)
    order = PartOrder({"path": "s_e"}, b"[]", b"{}")

    with pytest.raises(StepError, match="E-CHILD-START"):
        asyncio.run(children.start_part("s_e[0-99]", order))

    assert parts(run) == []


def test_running_again_from_an_item_keeps_the_other_items_of_all_parts(
    program: Any, start: Any, make_live: Any, runners: list[Runner], follow: Any, sink: Sink,
    parts: Any,
) -> None:  # fmt: skip
    url = [{"text": f"{sink.url}/"}, {"value": ["s_e", "index"]}]
    step = {"id": "s_2", "kind": "http", "name": "Post", "with": {"method": "POST", "url": url}}
    sink.refused.add("/13")
    run = begun(start, make_live, 30, step, at_once=1, item_failure="stop")
    failed = settled(follow, runners, run)
    assert (failed["state"], failed["error"]["path"]) == ("failed", "s_e[13]/s_2")
    assert failed["error"]["index"] == 13
    sent = list(sink.sent)
    sink.refused.clear()

    headers = {"Idempotency-Key": "again-from-13"}
    part = public(parts(run)[1])
    answer = program.post(
        f"/api/v1/runs/{part}/again", json={"from": "s_e[13]/s_2"}, headers=headers
    )

    assert answer.status_code == 202, answer.text
    found = settled(follow, runners, answer.get_json()["id"])
    assert found["state"] == "done", found["error"]
    assert [item["n"] for item in found["result"]["items"]] == list(range(30))
    assert sink.sent[len(sent) :] == [f"/{n}" for n in range(13, 30)]


def test_a_rehearsal_in_parts_says_what_it_would_have_sent(
    start: Any, make_live: Any, runners: list[Runner], follow: Any, sink: Sink, owner: Any
) -> None:
    url = [{"text": f"{sink.url}/"}, {"value": ["s_e", "index"]}]
    step = {"id": "s_2", "kind": "http", "name": "Post", "with": {"method": "POST", "url": url}}
    workflow = make_live(over(30, step, SAYS))

    run = start(workflow, inputs={"items": list(range(30))}, rehearsal=True).get_json()["id"]
    found = settled(follow, runners, run)

    assert found["state"] == "done", found["error"]
    assert sink.sent == []
    page = owner.get(f"/o/acme/runs/{run}").text
    assert f"{sink.url}/29" in page


def test_what_parts_of_a_rehearsal_call_is_rehearsed_and_so_are_the_parts_of_that(
    start: Any, make_live: Any, runners: list[Runner], follow: Any, sink: Sink, owner: Any
) -> None:
    letters = {"list": [str(n) for n in range(12)]}
    called = over(0, post("s_2", f"{sink.url}/inner"), SAYS, list=letters) | {"inputs": []}
    calls = {"id": "s_2", "kind": "workflow", "with": {"workflow": make_live(called, "Called")}}
    caller = make_live(over(0, calls, post("s_3", f"{sink.url}/outer"), SAYS), "Caller")
    inputs = {"items": list(range(12))}

    run = start(caller, inputs=inputs, rehearsal=True).get_json()["id"]

    found = settled(follow, runners, run)
    assert found["state"] == "done", found["error"]
    assert sink.sent == []
    listed = json.loads(owner.get(f"/o/acme/runs/{run}/would-send.json").text)
    asked = Counted(one["Request"].rpartition("/")[2] for one in listed)
    assert asked == {"inner": 12 * 12, "outer": 12}
    places = [one["step"] for one in listed]
    assert places.count("“outer” in step 1, item 12") == 1
    assert places.count("“inner” in step 1, item 12 of Called") == 12
    assert len({one["run"] for one in listed}) == 1 + 12


def test_another_organization_sees_no_part(
    start: Any, make_live: Any, runners: list[Runner], follow: Any, parts: Any,
    app: Flask, other: House, make_key: MakeKey,
) -> None:  # fmt: skip
    run = begun(start, make_live, 200)
    settled(follow, runners, run)
    client = Program(app)
    client.key = make_key(other)

    assert client.get(f"/api/v1/runs/{public(parts(run)[0])}").status_code == 404


def test_the_history_has_parts_with_the_place_they_come_from(
    settings: Settings, start: Any, make_live: Any, runners: list[Runner], follow: Any, parts: Any
) -> None:
    run = begun(start, make_live, 200)
    settled(follow, runners, run)

    told = json.loads(deckhand("history", "export", "--json", env=env_of(settings)).stdout)

    keys = {one["id"]: one["key"] for one in told["runs"]}
    second = public(parts(run)[1])
    assert keys[second] == f"child:{run}:s_e[100-199]"


def test_a_repetition_with_parts_is_run_again_and_sends_no_item_twice(
    program: Any, start: Any, make_live: Any, runners: Any, follow: Any, sink: Sink
) -> None:
    address = [{"text": f"{sink.url}/"}, {"value": ["s_e", "index"]}]
    sends = post("s_2", "") | {"with": {"method": "POST", "url": address}}
    sink.refused.add("/13")
    run = begun(start, make_live, 30, sends, item_failure="stop", at_once=1)
    settled(follow, runners, run)
    for _ in range(2):
        answer = again(program, run, {})
        assert answer.status_code == 202, answer.text
        run = answer.get_json()["id"]
        settled(follow, runners, run)
    told = program.get(f"/api/v1/runs/{run}/again").get_json()["sent"]
    sink.refused.clear()

    last = again(program, run, {}).get_json()["id"]

    assert settled(follow, runners, last)["state"] == "done"
    assert len(told) == len({one["path"] for one in told})
    assert sorted(set(sink.sent) - {"/13"}) == sorted(one for one in sink.sent if one != "/13")

"""Runs that wait for what comes from outside: signals, and the ends of runs they started."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from tests.fixtures import House, MakeKey, Program
from tests.runs.following import pausing
from tests.workflows.plans import plan_of, text
from webapp.access.permissions import Role
from webapp.access.tenancy import bind_organization
from webapp.kernel.db import writing
from webapp.kernel.ids import parse_id
from webapp.runs.execution.runner import Runner
from webapp.runs.models import Signal
from webapp.web.database import db

Doc = dict[str, Any]

PAID = [{"value": ["s_1", "signal", "data", "sum"]}]
WAITS = plan_of(
    {"id": "s_1", "kind": "wait", "name": "Paid?", "with": {"signal": {"name": "paid"}}},
    text("s_2", [{"text": "Got "}, *PAID]),
    result=[
        {"name": "said", "label": "Said", "type": "text", "value": [{"value": ["s_2", "text"]}]}
    ],
)


def eventually(program: Any, run: str, *states: str) -> Doc:
    pauses = pausing()
    while True:
        found: Doc = program.get(f"/api/v1/runs/{run}").get_json()
        if found["state"] in states:
            return found
        assert next(pauses), f"the run is {found['state']}"


@pytest.fixture
def waiting(program: Any, make_live: Any, start: Any, runner: Runner) -> str:
    run: str = start(make_live(WAITS)).get_json()["id"]
    eventually(program, run, "waiting")
    return run


def test_a_run_goes_on_with_the_signal_it_waits_for(program: Any, waiting: str) -> None:
    answer = program.post(
        f"/api/v1/runs/{waiting}/signals", json={"name": "paid", "data": {"sum": "12.50"}}
    )

    assert answer.status_code == 201, answer.text
    assert answer.get_json()["name"] == "paid"
    assert eventually(program, waiting, "done")["result"] == {"said": "Got 12.50"}


def test_a_signal_sent_before_anybody_waits_is_kept(
    program: Any, make_live: Any, start: Any, request: pytest.FixtureRequest
) -> None:
    run = start(make_live(WAITS)).get_json()["id"]
    sent = program.post(f"/api/v1/runs/{run}/signals", json={"name": "paid", "data": {"sum": 1}})
    assert sent.status_code == 201

    request.getfixturevalue("runner")

    assert eventually(program, run, "done")["result"] == {"said": "Got 1"}


def test_a_signal_says_what_is_wrong_with_it(program: Any, waiting: str) -> None:
    address = f"/api/v1/runs/{waiting}/signals"
    large = {"name": "paid", "data": "x" * 40_000}

    assert program.post(address, json={"name": "Not a name"}).status_code == 422
    assert program.post(address, json=large).get_json()["errors"][0]["pointer"] == "/data"
    program.post(f"/api/v1/runs/{waiting}/cancel")
    over = program.post(address, json={"name": "paid"})
    assert (over.status_code, over.get_json()["code"]) == (409, "E-RUN-OVER")


@pytest.mark.parametrize(("kind", "status"), [("child", 201), ("signal", 409)])
def test_a_thousand_signals_are_enough_however_many_runs_have_ended_for_it(
    program: Any, waiting: str, app: Flask, acme: House, kind: str, status: int
) -> None:
    with app.app_context(), writing(), Session(db.engine) as session:
        bind_organization(session, acme.organization_id)
        run = parse_id("run", waiting)
        session.add_all(Signal(run_id=run, kind=kind, key="old", by="Ada") for _ in range(1000))
        session.commit()

    answer = program.post(f"/api/v1/runs/{waiting}/signals", json={"name": "other"})

    assert answer.status_code == status


def test_a_viewer_may_not_send_signals_and_strangers_see_no_run(
    app: Flask, acme: House, other: House, make_key: MakeKey, waiting: str
) -> None:
    address = f"/api/v1/runs/{waiting}/signals"
    for key, status in ((make_key(acme, Role.VIEWER), 403), (make_key(other), 404)):
        somebody = Program(app, app.response_class, use_cookies=False)
        somebody.key = key

        assert somebody.post(address, json={"name": "paid"}).status_code == status


def test_a_signal_is_told_to_a_run_that_is_at_work_in_another_lane(
    program: Any, make_live: Any, start: Any, runner: Runner
) -> None:
    lanes = [
        {"id": "a", "steps": [WAITS["steps"][0]]},
        {"id": "b", "steps": [{"id": "s_3", "kind": "wait", "with": {"for_s": 0.9}}] * 1},
    ]
    plan = plan_of({"id": "s_9", "kind": "parallel", "with": {"lanes": lanes}})
    run = start(make_live(plan)).get_json()["id"]
    program.post(f"/api/v1/runs/{run}/signals", json={"name": "paid"})

    assert eventually(program, run, "done")["state"] == "done"


# Runs of runs


def calling(workflow: str, **more: Any) -> Doc:
    settings = {"workflow": workflow, "inputs": {}, **more}
    return plan_of(
        {"id": "s_1", "kind": "workflow", "name": "Other", "with": settings},
        result=[
            {"name": "got", "label": "Got", "type": "any", "value": [{"value": ["s_1", "said"]}]},
            {"name": "run", "label": "Run", "type": "text", "value": [{"value": ["s_1", "run"]}]},
        ],
    )


HELLO = plan_of(
    text("s_1", "Hello"),
    result=[
        {"name": "said", "label": "Said", "type": "text", "value": [{"value": ["s_1", "text"]}]}
    ],
)
FAILS = plan_of(
    {"id": "s_1", "kind": "stop", "with": {"as": "failed", "message": "No luck."}},
    result=[{"name": "said", "label": "Said", "type": "text", "value": "never"}],
)


def test_a_step_runs_another_workflow_and_gets_what_it_gives(
    program: Any, make_live: Any, start: Any, runner: Runner
) -> None:
    caller = make_live(calling(make_live(HELLO, "Hello")), "Caller")

    found = eventually(program, start(caller).get_json()["id"], "done", "failed")

    assert found["state"] == "done", found["error"]
    assert found["result"]["got"] == "Hello"
    child = program.get(f"/api/v1/runs/{found['result']['run']}").get_json()
    assert (child["state"], child["workflow"]["name"]) == ("done", "Hello")


def test_the_failure_of_a_run_is_the_failure_of_the_step_that_started_it(
    program: Any, make_live: Any, start: Any, runner: Runner
) -> None:
    caller = make_live(calling(make_live(FAILS, "Fails")), "Caller")

    found = eventually(program, start(caller).get_json()["id"], "done", "failed")

    assert found["error"]["code"] == "E-CHILD"
    assert "No luck." in found["error"]["text"]


def test_a_workflow_that_went_away_fails_the_step_in_words(
    program: Any, make_live: Any, start: Any, runner: Runner
) -> None:
    other = make_live(HELLO, "Hello")
    caller = make_live(calling(other), "Caller")
    assert program.delete(f"/api/v1/workflows/{other}").status_code < 300

    found = eventually(program, start(caller).get_json()["id"], "done", "failed")

    assert found["error"]["code"] == "E-CHILD-GONE"


@pytest.mark.parametrize("who", ["parent", "child"])
def test_a_cancel_reaches_the_other_of_parent_and_child(
    program: Any, make_live: Any, start: Any, runner: Runner, who: str
) -> None:
    caller = make_live(calling(make_live(WAITS, "Waits")), "Caller")
    parent = start(caller).get_json()["id"]
    eventually(program, parent, "waiting")
    [child] = [
        run["id"] for run in program.get("/api/v1/runs").get_json()["items"] if run["id"] != parent
    ]
    eventually(program, child, "waiting")

    program.post(f"/api/v1/runs/{parent if who == 'parent' else child}/cancel")

    assert eventually(program, child, "cancelled")["state"] == "cancelled"
    ended = eventually(program, parent, "cancelled", "failed")
    assert ended["state"] == ("cancelled" if who == "parent" else "failed")


@pytest.mark.parametrize("how", ["ends", "fails", "is cancelled"])
def test_a_run_that_nobody_waits_for_goes_on_however_the_other_ends(
    program: Any, make_live: Any, start: Any, runner: Runner, how: str
) -> None:
    plan = calling(make_live(WAITS, "Waits"), wait=False) | {"result": []}
    behind = {
        "ends": text("s_2", "Bye."),
        "fails": {"id": "s_2", "kind": "stop", "with": {"as": "failed", "message": "No luck."}},
    }
    waits = {"id": "s_2", "kind": "wait", "name": "Wait", "with": {"signal": {"name": "never"}}}
    plan["steps"].append(behind.get(how, waits))
    parent = start(make_live(plan, "Caller")).get_json()["id"]
    eventually(program, parent, "waiting", "done", "failed")
    [child] = [
        run["id"] for run in program.get("/api/v1/runs").get_json()["items"] if run["id"] != parent
    ]

    if how == "is cancelled":
        program.post(f"/api/v1/runs/{parent}/cancel")
    eventually(program, parent, "done", "failed", "cancelled")

    eventually(program, child, "waiting")
    program.post(f"/api/v1/runs/{child}/signals", json={"name": "paid", "data": {"sum": "1"}})
    assert eventually(program, child, "done", "cancelled")["state"] == "done"


def test_a_pause_leaves_alone_what_nobody_waits_for(
    program: Any, make_live: Any, start: Any, runner: Runner
) -> None:
    plan = calling(make_live(WAITS, "Waits"), wait=False) | {"result": []}
    waits = {"id": "s_2", "kind": "wait", "name": "Wait", "with": {"signal": {"name": "go"}}}
    plan["steps"].append(waits)
    parent = start(make_live(plan, "Caller")).get_json()["id"]
    eventually(program, parent, "waiting")
    [child] = [
        run["id"] for run in program.get("/api/v1/runs").get_json()["items"] if run["id"] != parent
    ]
    eventually(program, child, "waiting")

    program.post(f"/api/v1/runs/{parent}/pause")

    assert eventually(program, child, "waiting", "paused")["state"] == "waiting"


def test_a_workflow_that_would_start_itself_does_not_go_live(program: Any, make_live: Any) -> None:
    workflow = make_live(HELLO, "Itself")
    rev = program.get(f"/api/v1/workflows/{workflow}").get_json()["rev"]
    plan = {"plan": calling(workflow), "rev": rev}
    assert program.put(f"/api/v1/workflows/{workflow}", json=plan).status_code == 200

    answer = program.post(f"/api/v1/workflows/{workflow}/live", json={})

    assert answer.status_code == 422
    assert "C-WORKFLOW-SELF" in {one["code"] for one in answer.get_json()["checks"]}

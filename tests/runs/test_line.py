"""The line of runs: whose turn it is, how much may wait, where a run stands, what is measured."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from tests.fixtures import Browser, House, Program, context
from tests.workflows.plans import plan_of
from tests.workflows.plans import text as saying
from webapp.access.tenancy import across_organizations
from webapp.admin.service import machine_status
from webapp.kernel.db import writing
from webapp.kernel.hints import Hints
from webapp.kernel.ids import parse_id
from webapp.kernel.settings import Settings
from webapp.runs.execution import statements as st
from webapp.runs.execution.claims import Claims
from webapp.runs.models import QueueSetting
from webapp.runs.starting import start_run
from webapp.web.database import db

API = "/api/v1"
PLAN = plan_of(saying("s_1", "Hello.", "Greet"))


@pytest.fixture
def workflow(make_live: Any) -> str:
    made: str = make_live(PLAN)
    return made


def keep_queue(app: Flask, **kept: Any) -> None:
    with app.app_context(), writing(), Session(db.engine) as session:
        session.add(QueueSetting(queue="runs", opening=False, **({"mode": "fifo"} | kept)))
        session.commit()


def take(engine: Engine, most: int) -> list[str]:
    """Claim as a worker does; return the runs in the order of their turns."""
    claims = Claims(engine, "w1", 60)
    runs: list[str] = []
    for _ in range(most):
        runs += [run.public for run in claims.claim(1, Hints())]
    claims.close()
    return runs


def started(start: Any, workflow: str, *priorities: str) -> list[str]:
    return [start(workflow, priority=one).get_json()["id"] for one in priorities]


def ahead(program: Program, run: str) -> Any:
    return program.get(f"{API}/runs/{run}").get_json()["line"]["ahead"]


# Whose turn it is


def test_a_run_of_high_priority_goes_before_the_others_of_its_organization(
    workflow: str, start: Any, engine: Engine
) -> None:
    usual = started(start, workflow, *["normal"] * 5)
    [low] = started(start, workflow, "low")
    [high] = started(start, workflow, "high")

    assert take(engine, 7) == [high, *usual, low]


def test_low_priority_is_late_and_not_last_for_ever(
    workflow: str, start: Any, engine: Engine
) -> None:
    [low] = started(start, workflow, "low")
    usual = started(start, workflow, *["normal"] * 15)

    order = take(engine, 16)

    assert order.index(low) in range(9, 11)
    assert [run for run in order if run != low] == usual


def test_a_priority_that_does_not_exist_is_refused(workflow: str, start: Any) -> None:
    assert start(workflow, priority="urgent").status_code == 422


def test_an_organization_that_queues_thousands_does_not_keep_the_other_waiting(
    app: Flask, settings: Settings, workflow: str, engine: Engine, acme: House,
    stranger: Browser, other: House, make_key: Any,
) -> None:  # fmt: skip
    """L3: the other's runs begin among the first, wherever the crowd has got to."""
    crowd = 2000
    with app.app_context(), writing(), Session(db.engine) as session:
        ours = context(session, acme, settings)
        for n in range(crowd):
            start_run(ours, parse_id("wf", workflow), {}, key=f"crowd:{n}")
        session.commit()
    theirs = Program(app, app.response_class, use_cookies=False)
    theirs.key = make_key(other)
    made = theirs.post(f"{API}/workflows", json={"name": "T", "plan": PLAN}).get_json()["id"]
    theirs.post(f"{API}/workflows/{made}/live", json={})
    places = []
    for n in range(20):
        take(engine, 7)
        key = {"Idempotency-Key": f"theirs:{n}"}
        run = theirs.post(f"{API}/workflows/{made}/run", json={}, headers=key).get_json()["id"]
        places.append(ahead(theirs, run))
        assert run in take(engine, 2)

    assert max(places) <= 1


def test_who_waits_behind_a_limit_is_not_first_each_time_it_has_room(
    app: Flask, program: Program, workflow: str, make_live: Any, start: Any, engine: Engine
) -> None:
    limited = make_live(PLAN, "Limited")
    pace = {"run_mode": "parallel", "most_running": 1}
    assert program.put(f"{API}/workflows/{limited}/settings", json=pace).status_code == 200
    crowd = started(start, limited, *["normal"] * 8)
    claims = Claims(engine, "w1", 60)
    claims.claim(8, Hints())  # one is at work, the others are set aside
    plain = started(start, workflow, "normal", "normal", "normal")

    order: list[str] = []
    for _ in range(6):
        with app.app_context(), writing(), Session(db.engine) as session:
            with across_organizations(session, "what was at work is over"):
                session.execute(text("DELETE FROM lease WHERE state = 'running'"))
            session.commit()
        order += [run.public for run in claims.claim(1, Hints())]
    claims.close()

    assert [run for run in order if run in plain] == plain
    assert [run for run in order if run in crowd] == crowd[1:4]


def test_the_newest_goes_first_in_a_queue_that_is_kept_so(
    app: Flask, workflow: str, start: Any, engine: Engine
) -> None:
    keep_queue(app, mode="lifo")
    runs = [run for _ in range(4) for run in started(start, workflow, "normal")]

    assert take(engine, 4) == runs[::-1]


def test_priority_is_strict_in_a_queue_that_is_kept_so(
    app: Flask, workflow: str, start: Any, engine: Engine
) -> None:
    keep_queue(app, mode="priority")
    low, first, second, high = started(start, workflow, "low", "normal", "normal", "high")

    order = take(engine, 4)

    assert (order[0], order[3]) == (high, low)
    assert set(order[1:3]) == {first, second}


# How much may wait


def test_a_full_queue_refuses_and_says_when_to_try_again(
    app: Flask, workflow: str, start: Any, engine: Engine
) -> None:
    keep_queue(app, max_waiting=2)
    accepted = started(start, workflow, "normal", "high")

    refused = start(workflow)

    assert (refused.status_code, refused.get_json()["code"]) == (429, "E-QUEUE")
    assert refused.headers["Retry-After"] == "60"  # nothing has begun in the last minute
    assert "2 runs wait in line" in refused.get_json()["detail"]
    assert len(take(engine, 2)) == len(accepted)
    assert start(workflow).status_code == 202
    assert start(workflow).status_code == 202
    assert 25 <= int(start(workflow).headers["Retry-After"]) <= 60  # two began, or some of one


def test_a_full_line_that_is_paused_promises_no_place_in_a_few_seconds(
    app: Flask, workflow: str, start: Any, engine: Engine, program: Program
) -> None:
    keep_queue(app, max_waiting=4)
    started(start, workflow, *["normal"] * 4)
    take(engine, 4)
    started(start, workflow, *["normal"] * 4)
    assert int(start(workflow).headers["Retry-After"]) < 60
    program.post(f"{API}/queue/pause")

    assert start(workflow).headers["Retry-After"] == "60"


def test_a_full_queue_is_full_for_one_organization_only(
    app: Flask, workflow: str, start: Any, other: House, make_key: Any
) -> None:
    keep_queue(app, max_waiting=1)
    started(start, workflow, "normal")
    theirs = Program(app, app.response_class, use_cookies=False)
    theirs.key = make_key(other)
    made = theirs.post(f"{API}/workflows", json={"name": "T", "plan": PLAN}).get_json()["id"]
    theirs.post(f"{API}/workflows/{made}/live", json={})

    answer = theirs.post(f"{API}/workflows/{made}/run", json={}, headers={"Idempotency-Key": "one"})

    assert answer.status_code == 202


# Where a run stands


def test_a_run_in_line_says_how_many_are_before_it_and_about_how_long(
    workflow: str, start: Any, engine: Engine, program: Program
) -> None:
    runs = started(start, workflow, *["normal"] * 4)
    unknown = program.get(f"{API}/runs/{runs[3]}").get_json()["line"]

    take(engine, 2)
    found = program.get(f"{API}/runs/{runs[3]}").get_json()["line"]
    first = program.get(f"{API}/runs/{runs[2]}").get_json()["line"]

    assert first == {"ahead": 0, "wait_s": None, "held": ""}, "a free worker takes it at once"
    assert unknown == {"ahead": 3, "wait_s": None, "held": ""}
    assert (found["ahead"], found["held"]) == (1, "")
    assert 30 <= found["wait_s"] <= 120, "two began in the last minute, and two are to come"
    assert program.get(f"{API}/runs/{runs[0]}").get_json()["line"] is None


# What is measured


def test_what_waits_and_works_is_told(
    app: Flask, workflow: str, start: Any, engine: Engine, program: Program, owner: Browser
) -> None:
    runs = started(start, workflow, *["normal"] * 5)
    take(engine, 2)

    here = program.get(f"{API}/queue").get_json()
    page = owner.get("/admin/queues").text
    with app.app_context(), Session(db.engine) as session:
        said = machine_status(session, None)["parts"]["queue"]["text"]

    take(engine, 2)
    with app.app_context(), Session(db.engine) as session:
        one = machine_status(session, None)["parts"]["queue"]["text"]

    assert one.startswith("1 run waits, 4 are at work, 4 began in the last minute; the oldest")
    assert (here["waiting"], here["running"], here["begun_a_minute"]) == (3, 2, 2)
    assert here["oldest_s"] is not None
    assert said.startswith("3 runs wait, 2 are at work, 2 began in the last minute; the oldest")
    row = '<th scope="row">Acme</th><td data-label="Waiting" class="n">3</td>'
    assert f'{row}<td data-label="At work" class="n">2</td>' in page
    assert len(runs) == 5


def test_the_keeper_of_the_machine_pauses_the_queue_and_sets_its_order(
    app: Flask, workflow: str, start: Any, engine: Engine, owner: Browser, program: Program
) -> None:
    [run] = started(start, workflow, "normal")
    owner.get("/admin/queues")

    owner.submit("/admin/queues/pause")
    wrong = owner.submit("/admin/queues", mode="lifo", max_waiting="0")
    owner.submit("/admin/queues", mode="lifo", max_waiting="50")

    assert take(engine, 1) == []
    held = program.get(f"{API}/runs/{run}").get_json()["line"]["held"]
    assert held == "Paused: the queue is paused by Owner of acme."
    assert wrong.status_code == 422
    assert 'value="50"' in owner.get("/admin/queues").text
    owner.submit("/admin/queues/resume")
    assert take(engine, 1) == [run]


def test_a_run_at_work_rests_when_the_queue_is_paused_and_goes_on_with_it(
    app: Flask, workflow: str, start: Any, engine: Engine, owner: Browser, program: Program
) -> None:
    [run] = started(start, workflow, "normal")
    take(engine, 1)
    owner.get("/admin/queues")
    owner.submit("/admin/queues/pause")
    with app.app_context(), writing(), Session(db.engine) as session:
        with across_organizations(session, "its worker is lost"):
            session.execute(text("UPDATE lease SET lease_until = 0"))
        session.commit()
    claims = Claims(engine, "w2", 60)
    claims.take_back(Hints())

    assert program.get(f"{API}/runs/{run}").get_json()["state"] == "paused"
    owner.submit("/admin/queues/resume")
    assert [one.public for one in claims.claim(1, Hints())] == [run]
    claims.close()


def test_only_the_keeper_of_the_machine_sees_all_queues(member: Browser, stranger: Browser) -> None:
    assert [one.get("/admin/queues").status_code for one in (member, stranger)] == [403, 403]
    assert member.submit("/admin/queues/pause").status_code == 403


# What it costs


def test_a_claim_reads_the_head_of_the_line_by_its_index(
    workflow: str, start: Any, engine: Engine, dialect: str
) -> None:
    started(start, workflow, "normal")
    explain = "EXPLAIN" if dialect == "postgres" else "EXPLAIN QUERY PLAN"
    query = (
        "SELECT run_id FROM lease WHERE queue = 'runs' AND state = 'ready' ORDER BY vtime LIMIT 1"
    )
    with engine.begin() as connection:
        if dialect == "postgres":
            connection.execute(text(st.SEE_EVERYTHING))
            connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = " ".join(str(row) for row in connection.execute(text(f"{explain} {query}")))

    assert "lease_ready" in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan

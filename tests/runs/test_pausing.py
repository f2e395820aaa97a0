"""Pause and resume: one run, a workflow, the organization; what has begun is finished and kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from jobs.base import Machine
from jobs.sweeping import sweep
from tests.fixtures import House, Program
from tests.runs.counter import Counter
from tests.runs.durable import Yard, claim
from tests.runs.following import API, Follow, until
from tests.workflows.plans import plan_of
from webapp.access.permissions import Role
from webapp.access.tenancy import across_organizations, bind_organization
from webapp.audit.models import AuditEntry
from webapp.engine.journal import Batch, Event, PauseRequested, Record
from webapp.kernel.clock import now
from webapp.kernel.db import writing
from webapp.kernel.hints import Hints
from webapp.kernel.ids import parse_id
from webapp.kernel.settings import Settings
from webapp.live.bell import RedisBell
from webapp.runs.execution.claims import Claimed, Claims
from webapp.runs.execution.journal import RunJournal
from webapp.runs.execution.runner import Runner, make_runner
from webapp.runs.execution.statements import SEE_EVERYTHING
from webapp.runs.models import Lease
from webapp.runs.pausing import pause_run
from webapp.web.database import db
from webapp.workflows.models import Gate


@pytest.fixture
def hire(request: pytest.FixtureRequest) -> Callable[[], Runner]:
    """Return a function that lets a worker begin: until then nobody takes a run."""
    return lambda: request.getfixturevalue("runner")  # type: ignore[no-any-return]


def at_the_counter(run: str, runner: Runner, counter: Counter, count: int = 1) -> str:
    runner.wake()
    until(lambda: len(counter.arrived) == count, f"{count} stand at the counter")
    return run


# One run


def test_a_paused_run_finishes_what_it_has_begun_and_begins_nothing_more(
    make_live: Any, start: Any, runner: Runner, follow: Follow, counter: Counter
) -> None:
    run = start(make_live(counter.plan("one", "two"))).get_json()["id"]
    at_the_counter(run, runner, counter)

    told = follow.do(f"runs/{run}/pause").get_json()
    counter.serve()
    paused = follow.until(run, "paused")

    assert told["word"] == "Pausing…"
    assert [task["state"] for task in paused["tasks"]] == ["succeeded"]
    assert (counter.arrived, paused["word"]) == (["one"], "Paused")
    assert paused["line"]["held"] == "Paused by Test."

    assert follow.do(f"runs/{run}/resume").get_json()["state"] == "queued"
    counter.open()
    assert follow.until(run, "done")["progress"]["done"] == 2
    assert counter.arrived == ["one", "two"]


def test_a_pause_that_is_taken_back_before_it_came_about_changes_nothing(
    make_live: Any, start: Any, runner: Runner, follow: Follow, counter: Counter
) -> None:
    run = start(make_live(counter.plan("one", "two"))).get_json()["id"]
    at_the_counter(run, runner, counter)

    follow.do(f"runs/{run}/pause")
    follow.do(f"runs/{run}/resume")
    counter.open()

    assert follow.until(run, "done")["state"] == "done"
    assert counter.arrived == ["one", "two"]


def test_a_run_in_line_is_paused_at_once_and_stays_so_whatever_is_started_anew(
    make_live: Any, start: Any, follow: Follow, counter: Counter, settings: Settings
) -> None:
    counter.open()
    run = start(make_live(counter.plan("one"))).get_json()["id"]

    assert follow.do(f"runs/{run}/pause").get_json()["state"] == "paused"

    for _ in range(2):
        worker = make_runner(settings, RedisBell(settings.redis_url), lambda: None)
        worker.start()
        worker.wake()
        other = start(make_live(counter.plan("two"), f"Other {time.monotonic()}")).get_json()["id"]
        worker.wake()
        follow.until(other, "done")
        worker.drain(5.0)
    assert follow.get(run)["state"] == "paused"
    assert "one" not in counter.arrived

    follow.do(f"runs/{run}/resume")
    worker = make_runner(settings, RedisBell(settings.redis_url), lambda: None)
    worker.start()
    worker.wake()
    follow.until(run, "done")
    worker.drain(5.0)


def test_what_a_run_has_started_is_paused_and_goes_on_with_it(
    make_live: Any, start: Any, runner: Runner, follow: Follow, counter: Counter, program: Program
) -> None:
    inner = make_live(counter.plan("one", "two"), "Inner")
    calls = {"id": "s_1", "kind": "workflow", "name": "Inner", "with": {"workflow": inner}}
    run = start(make_live({"plan": 1, "steps": [calls]}, "Outer")).get_json()["id"]
    at_the_counter(run, runner, counter)
    follow.until(run, "waiting")
    address = f"{API}/runs?workflow={inner}"
    [child] = [one["id"] for one in program.get(address).get_json()["items"]]

    follow.do(f"runs/{run}/pause")
    counter.serve()

    held = follow.until(child, "paused")["line"]["held"]
    assert held == "Paused with the run that started it."
    assert (follow.get(run)["state"], counter.arrived) == ("paused", ["one"])
    assert follow.do(f"runs/{child}/resume").status_code == 409
    follow.do(f"runs/{run}/resume")
    counter.open()
    runner.wake()
    assert follow.until(run, "done")["state"] == "done"
    assert counter.arrived == ["one", "two"]


def test_a_paused_run_is_cancelled_at_once(make_live: Any, start: Any, follow: Follow) -> None:
    run = start(make_live(Counter.plan(_nowhere(), "one"))).get_json()["id"]
    follow.do(f"runs/{run}/pause")

    assert follow.do(f"runs/{run}/cancel").get_json()["state"] == "cancelled"


def _nowhere() -> Any:
    made = Counter.__new__(Counter)
    made.port = 9
    return made


@pytest.mark.parametrize("is_safe", [True, False], ids=["safe to repeat", "at most once"])
def test_a_run_that_is_cancelled_before_its_pause_came_about_is_not_paused_instead(
    make_live: Any, start: Any, runner: Runner, follow: Follow, counter: Counter, is_safe: bool
) -> None:
    one, two, three, four = (counter.call(f"s_{n}") for n in range(1, 5))
    for step in (one, two, three, four):
        step["with"]["repeat_safe"] = is_safe
    lanes = [{"id": "a", "steps": [one, two]}, {"id": "b", "steps": [three, four]}]
    run = start(make_live(plan_of({"id": "s_9", "kind": "parallel", "with": {"lanes": lanes}})))
    run = at_the_counter(run.get_json()["id"], runner, counter, 2)
    active = runner.active[parse_id("run", run)]
    follow.do(f"runs/{run}/pause")
    until(active.pause.is_set, "its worker has heard of the pause")
    counter.serve()
    until(lambda: "succeeded" in str(follow.get(run)["tasks"]), "one lane has nothing to begin")

    follow.do(f"runs/{run}/cancel")

    found = follow.until(run, "cancelled", "needs_review", "paused")
    assert found["state"] == ("cancelled" if is_safe else "needs_review")
    assert len(counter.arrived) == 2


def test_a_run_that_waits_for_a_time_is_paused_and_waits_again(
    make_live: Any, start: Any, runner: Runner, follow: Follow
) -> None:
    wait = {"id": "s_1", "kind": "wait", "name": "Later", "with": {"for_s": 3600}}
    run = start(make_live({"plan": 1, "steps": [wait]})).get_json()["id"]
    runner.wake()
    follow.until(run, "waiting")

    assert follow.do(f"runs/{run}/pause").get_json()["state"] == "paused"
    follow.do(f"runs/{run}/resume")
    runner.wake()

    assert follow.until(run, "waiting")["word"] == "Waiting"


def test_what_cannot_be_paused_or_resumed_says_why(
    make_live: Any, start: Any, follow: Follow, counter: Counter
) -> None:
    run = start(make_live(counter.plan("one"))).get_json()["id"]

    not_paused = follow.do(f"runs/{run}/resume")
    follow.do(f"runs/{run}/pause")
    twice = follow.do(f"runs/{run}/pause")
    follow.do(f"runs/{run}/cancel")
    over = follow.do(f"runs/{run}/pause")

    assert [one.status_code for one in (not_paused, twice, over)] == [409, 409, 409]
    assert not_paused.get_json()["detail"] == "This run is not paused."
    assert twice.get_json()["detail"] == "Test has paused this run already."
    assert over.get_json()["code"] == "E-RUN-OVER"


def test_a_pause_is_written_into_the_audit_record(
    app: Flask, make_live: Any, start: Any, follow: Follow, counter: Counter
) -> None:
    run = start(make_live(counter.plan("one"))).get_json()["id"]
    follow.do(f"runs/{run}/pause")
    follow.do(f"runs/{run}/resume")

    with app.app_context(), Session(db.engine) as session, across_organizations(session, "test"):
        found = session.scalars(select(AuditEntry.action).order_by(AuditEntry.seq)).all()
    assert list(found)[-2:] == ["run.paused", "run.resumed"]


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_viewer_may_not_pause_and_a_stranger_sees_nothing_to_pause(
    verb: str, make_live: Any, start: Any, acme: House, other: House, make_key: Any,
    app: Flask, counter: Counter,
) -> None:  # fmt: skip
    workflow = make_live(counter.plan("one"))
    run = start(workflow).get_json()["id"]
    answers = {}
    for house, role in ((acme, Role.VIEWER), (other, Role.OWNER)):
        client = Program(app, app.response_class, use_cookies=False)
        client.key = make_key(house, role)
        answers[role] = [
            client.post(f"{API}/runs/{run}/{verb}").status_code,
            client.post(f"{API}/workflows/{workflow}/{verb}").status_code,
        ]

    assert answers == {Role.VIEWER: [403, 403], Role.OWNER: [404, 404]}


def test_a_member_may_not_pause_the_organization(
    acme: House, make_key: Any, app: Flask, program: Program
) -> None:
    client = Program(app, app.response_class, use_cookies=False)
    client.key = make_key(acme, Role.MEMBER)

    assert client.post(f"{API}/queue/pause").status_code == 403
    assert client.put(f"{API}/queue", json={"most_running": 1}).status_code == 403


# The journal


def test_a_pausing_run_may_keep_what_is_done_and_begin_nothing(
    yard: Yard, engine: Engine, journal_of: Callable[[Claimed], RunJournal]
) -> None:
    run_id = yard.queue_run()
    [claimed] = claim(engine)
    journal = journal_of(claimed)
    done = Record("s_1", 1, "s_1", "text", "succeeded")
    intent = Record("s_2", 1, "s_2", "http", "intent", "at_most_once", "dh-key", b"{}")
    with writing(), yard.sessions() as session:
        pause_run(yard.context(session), run_id)
        session.commit()

    asyncio.run(journal.commit(Batch([done], [Event("step.done")])))
    with pytest.raises(PauseRequested):
        asyncio.run(journal.commit(Batch([intent], [Event("step.started")])))


def test_a_pausing_run_whose_worker_is_lost_is_paused(yard: Yard, engine: Engine) -> None:
    run_id = yard.queue_run()
    claim(engine, lease_s=-1)
    with writing(), yard.sessions() as session:
        pause_run(yard.context(session), run_id)
        session.commit()

    Claims(engine, "w2", 60).take_back(Hints())

    assert claim(engine, "w2") == []
    lease = yard.lease(run_id)
    assert lease is not None
    assert (lease.state, lease.wait_reason, yard.run(run_id).state) == ("paused", "run", "paused")


# Workflow and organization


@pytest.mark.usefixtures("steward")
def test_a_paused_workflow_accepts_starts_that_wait_and_says_so(
    make_live: Any, start: Any, runner: Runner, follow: Follow, counter: Counter
) -> None:
    workflow = make_live(counter.plan("one", "two"))
    working = at_the_counter(start(workflow).get_json()["id"], runner, counter)

    shown = follow.do(f"workflows/{workflow}/pause").get_json()
    late = start(workflow)
    counter.serve()
    runner.wake()

    assert (shown["paused"], shown["paused_by"], late.status_code) == (True, "Test", 202)
    for run in (working, late.get_json()["id"]):
        held = follow.until(run, "paused")["line"]["held"]
        assert held == "Paused: this workflow is paused by Test."
    alone = follow.do(f"runs/{working}/resume")
    assert alone.get_json()["detail"] == "Not this run alone is paused: resume its workflow."

    follow.do(f"workflows/{workflow}/resume")
    counter.open()
    runner.wake()
    assert [follow.until(run, "done")["state"] for run in (working, late.get_json()["id"])] == [
        "done", "done",
    ]  # fmt: skip
    assert len(counter.arrived) == 4


@pytest.mark.usefixtures("steward")
def test_a_run_that_was_paused_by_itself_stays_so_when_its_workflow_goes_on(
    make_live: Any, start: Any, hire: Callable[[], Runner], follow: Follow, counter: Counter
) -> None:
    counter.open()
    workflow = make_live(counter.plan("one"))
    alone, other = (start(workflow).get_json()["id"] for _ in range(2))
    follow.do(f"runs/{alone}/pause")
    follow.do(f"workflows/{workflow}/pause")
    runner = hire()
    runner.wake()
    follow.until(other, "paused")

    follow.do(f"workflows/{workflow}/resume")
    runner.wake()

    follow.until(other, "done")
    assert follow.get(alone)["state"] == "paused"


@pytest.mark.usefixtures("steward")
def test_a_paused_organization_stops_itself_only(
    make_live: Any, start: Any, hire: Callable[[], Runner], follow: Follow, counter: Counter,
    app: Flask, other: House, make_key: Any,
) -> None:  # fmt: skip
    counter.open()
    stranger = Program(app, app.response_class, use_cookies=False)
    stranger.key = make_key(other)
    made = stranger.post(f"{API}/workflows", json={"name": "T", "plan": counter.plan("x")})
    theirs = made.get_json()["id"]
    stranger.post(f"{API}/workflows/{theirs}/live", json={})
    run = start(make_live(counter.plan("one"))).get_json()["id"]

    follow.do("queue/pause")
    begun = stranger.post(
        f"{API}/workflows/{theirs}/run", json={}, headers={"Idempotency-Key": "t1"}
    )
    runner = hire()
    runner.wake()

    held = follow.until(run, "paused")["line"]["held"]
    assert held == "Paused: all runs of the organization are paused by Test."
    theirs = begun.get_json()["id"]
    until(lambda: stranger.get(f"{API}/runs/{theirs}").get_json()["state"] == "done", "theirs")
    follow.do("queue/resume")
    runner.wake()
    follow.until(run, "done")


def test_a_run_that_slipped_past_a_pause_is_told_by_the_sweep(
    make_live: Any, start: Any, runner: Runner, follow: Follow, counter: Counter, machine: Machine,
    app: Flask,
) -> None:  # fmt: skip
    workflow = make_live(counter.plan("one", "two"))
    run = at_the_counter(start(workflow).get_json()["id"], runner, counter)
    follow.do(f"workflows/{workflow}/pause")
    with app.app_context(), writing(), Session(db.engine) as session:
        with across_organizations(session, "as if it had been claimed meanwhile"):
            session.execute(text("UPDATE lease SET pause_at = NULL, wait_reason = NULL"))
        session.commit()

    sweep(machine)
    counter.serve()

    follow.until(run, "paused")
    assert counter.arrived == ["one"]


def test_a_paused_run_that_somebody_has_locked_comes_back_with_the_next_sweep(
    yard: Yard, engine: Engine, machine: Machine
) -> None:
    """A heartbeat of PostgreSQL that waited for the run's pause has its row until it commits."""
    from webapp.runs.holding import pause_organization, resume_organization

    run = yard.queue_run()
    with writing(), yard.sessions() as session:
        pause_organization(yard.context(session))
        session.commit()
    assert claim(engine) == []
    with ExitStack() as beat, writing(), yard.sessions() as session:
        if engine.dialect.name == "postgresql":  # SQLite has one writer, and no row is locked
            connection = beat.enter_context(engine.connect())
            connection.execute(text(SEE_EVERYTHING))
            connection.execute(text("SELECT run_id FROM lease FOR UPDATE"))
        resume_organization(yard.context(session))
        session.commit()

    sweep(machine)

    assert [one.run_id for one in claim(engine)] == [run]


def test_what_is_paused_elsewhere_keeps_no_run_from_coming_back(
    yard: Yard, engine: Engine, machine: Machine
) -> None:
    from webapp.runs.holding import pause_organization, resume_organization

    with writing(), yard.sessions() as session:
        bind_organization(session, yard.organization)
        for n in range(110):
            session.add(Gate(scope_id=UUID(int=n), run_mode="parallel", paused_at=now()))
        pause_organization(yard.context(session))
        session.commit()
    runs = {yard.queue_run() for _ in range(510)}
    assert claim(engine) == []
    with writing(), yard.sessions() as session:
        resume_organization(yard.context(session))
        session.commit()

    sweep(machine)

    with yard.sessions() as session, across_organizations(session, "test"):
        rows = session.scalars(select(Lease.run_id).where(Lease.state == "ready")).all()
    assert set(rows) == runs


def test_many_paused_runs_come_back_in_their_order_behind_those_of_the_others(
    yard: Yard, engine: Engine, settings: Settings, machine: Machine
) -> None:
    from webapp.runs.holding import pause_organization, resume_organization

    with writing(), yard.sessions() as session:
        pause_organization(yard.context(session))
        session.commit()
    runs = [yard.queue_run() for _ in range(600)]
    assert claim(engine) == []

    with writing(), yard.sessions() as session:
        resume_organization(yard.context(session))
        session.commit()
    sweep(machine)

    with yard.sessions() as session, across_organizations(session, "test"):
        rows = session.execute(select(Lease.run_id, Lease.state).order_by(Lease.vtime)).all()
    assert [run for run, _ in rows] == runs
    assert {state for _, state in rows} == {"ready"}

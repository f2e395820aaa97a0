"""The watchdog: a run whose worker lives and which does not get on is ended, honestly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from jobs.base import Machine
from jobs.sweeping import sweep
from tests.fixtures import Browser, Program
from tests.runs.counter import Counter
from tests.runs.durable import Yard, claim
from tests.runs.following import Follow, until
from webapp.access.tenancy import across_organizations
from webapp.engine.canonical import to_bytes
from webapp.engine.journal import Batch, Event, LostLease, Record
from webapp.kernel.db import writing
from webapp.kernel.settings import Settings
from webapp.runs.execution.claims import Claimed, Claims
from webapp.runs.execution.journal import RunJournal
from webapp.runs.execution.runner import Runner
from webapp.runs.hanging import end_hung_runs
from webapp.runs.models import Approval
from webapp.runs.models import Event as EventRow
from webapp.web.database import db

SLOW = {"id": "s_2", "kind": "http", "timeout_s": 3600, "with": {"method": "GET", "url": "x"}}
PLAN: dict[str, Any] = {
    "plan": 1,
    "steps": [{"id": "s_1", "kind": "http", "with": {"method": "GET", "url": "x"}}, SLOW],
}
JournalOf = Callable[[Claimed], RunJournal]


@pytest.fixture
def yard(engine: Engine, settings: Settings) -> Yard:
    return Yard(engine, settings).open(PLAN)


def at_work(yard: Yard, engine: Engine, journal_of: JournalOf, step: str, effect: str) -> UUID:
    """Return a run that has begun a step."""
    run_id = yard.queue_run()
    [claimed] = claim(engine)
    begin(journal_of(claimed), step, effect)
    return run_id


def begin(journal: RunJournal, step: str, effect: str) -> None:
    intent = Record(step, 1, step, "http", "intent", effect, "dh-key", b"{}")
    asyncio.run(journal.commit(Batch([intent], [Event("step.started", {"path": step})])))


def minutes_later(engine: Engine, minutes: int) -> None:
    """Move the marks of getting on back, as if time had passed."""
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT set_config('app.organization_id', '*', true)"))
        connection.execute(
            text("UPDATE lease SET wrote_at = wrote_at - :ms"), {"ms": minutes * 60_000}
        )


def watch(yard: Yard) -> int:
    with writing(), yard.sessions() as session:
        count = end_hung_runs(yard.upkeep(session))
        session.commit()
    return count


def test_a_run_in_which_nothing_happens_fails_and_its_worker_can_write_no_more(
    yard: Yard, engine: Engine, journal_of: JournalOf
) -> None:
    run_id = yard.queue_run()
    [claimed] = claim(engine)
    journal = journal_of(claimed)
    begin(journal, "s_1", "none")
    minutes_later(engine, 11)

    assert watch(yard) == 1

    run = yard.run(run_id)
    assert (run.state, run.reason) == ("failed", "E-RUN-HUNG")
    assert run.error is not None
    assert run.error["text"] == "Nothing happened in this run for 10 minutes, so we stopped it."
    assert (run.error["path"], yard.lease(run_id)) == ("s_1", None)
    late = Record("s_1", 1, "s_1", "http", "succeeded", "none", "dh-key")
    with pytest.raises(LostLease):
        asyncio.run(journal.commit(Batch([late], [Event("step.done")])))


def test_a_run_that_is_ended_for_its_worker_asks_people_nothing_any_more(
    yard: Yard, engine: Engine, journal_of: JournalOf
) -> None:
    yard.queue_run()
    [claimed] = claim(engine)
    journal = journal_of(claimed)
    begin(journal, "s_1", "none")
    asks = {"who": [], "need": "any", "not_starter": False, "at_due": "stop", "show": []}
    waiting = Record(
        "s_2", 1, "s_2", "approval", "waiting", "none", "", to_bytes({"approval": asks})
    )
    asyncio.run(journal.commit(Batch([waiting], [Event("step.waiting", {"path": "s_2"})])))
    minutes_later(engine, 61)

    assert watch(yard) == 1

    with yard.sessions() as session, across_organizations(session, "a test looks"):
        assert session.scalars(select(Approval.state)).all() == ["cancelled"]


def test_what_may_have_happened_is_asked(yard: Yard, engine: Engine, journal_of: JournalOf) -> None:
    run_id = at_work(yard, engine, journal_of, "s_1", "at_most_once")
    minutes_later(engine, 11)

    watch(yard)

    lease = yard.lease(run_id)
    assert lease is not None
    assert (yard.run(run_id).state, lease.wait_reason, lease.fence) == ("needs_review", "review", 2)


@pytest.mark.parametrize(("minutes", "ended"), [(11, 0), (61, 1)])
def test_a_step_that_may_take_long_is_left_alone_for_so_long(
    minutes: int, ended: int, yard: Yard, engine: Engine, journal_of: JournalOf
) -> None:
    at_work(yard, engine, journal_of, "s_2", "none")
    minutes_later(engine, minutes)

    assert watch(yard) == ended


def test_runs_whose_steps_may_take_long_hide_none_that_hangs(
    yard: Yard, engine: Engine, journal_of: JournalOf
) -> None:
    for _ in range(56):
        yard.queue_run()
    working = [*claim(engine), *claim(engine)]
    for claimed in working:
        begin(journal_of(claimed), "s_1" if claimed is working[-1] else "s_2", "none")
    minutes_later(engine, 11)

    until(lambda: watch(yard) == 1, "the one that hangs is ended")

    assert yard.run(working[-1].run_id).state == "failed"
    assert yard.run(working[0].run_id).state == "running"


def test_a_run_that_writes_or_streams_text_gets_on(
    yard: Yard, engine: Engine, journal_of: JournalOf
) -> None:
    wrote, spoke = yard.queue_run(), yard.queue_run()
    journals = {one.run_id: journal_of(one) for one in claim(engine)}
    for journal in journals.values():
        begin(journal, "s_1", "none")
    minutes_later(engine, 11)

    begin(journals[wrote], "s_2", "none")
    Claims(engine, "w1", 60).streamed([spoke])

    assert watch(yard) == 0


def test_a_run_that_waits_for_somebody_does_not_hang(yard: Yard, engine: Engine) -> None:
    yard.queue_run()
    minutes_later(engine, 600)

    assert watch(yard) == 0


def test_a_run_that_nobody_can_judge_keeps_no_lost_run_from_coming_back(
    engine: Engine, settings: Settings, journal_of: JournalOf, machine: Machine
) -> None:
    yard = Yard(engine, settings).open({"plan": 99, "steps": []})  # of a release to come
    at_work(yard, engine, journal_of, "s_1", "none")
    minutes_later(engine, 11)
    lost = yard.queue_run()
    claim(engine, worker="w2")
    Claims(engine, "w2", -1).beat()

    sweep(machine)

    lease = yard.lease(lost)
    assert lease is not None
    assert lease.state == "ready"


def test_a_worker_leaves_a_run_that_was_ended_for_it(
    make_live: Any, start: Any, runner: Runner, program: Program, counter: Counter,
    machine: Machine, engine: Engine, owner: Browser, app: Flask,
) -> None:  # fmt: skip
    call = counter.call("s_1") | {"timeout_s": 300}
    call["with"]["repeat_safe"] = True
    run = start(make_live({"plan": 1, "steps": [call]})).get_json()["id"]
    runner.wake()
    until(lambda: len(counter.arrived) == 1, "it stands at the counter")
    minutes_later(engine, 11)

    sweep(machine)

    assert Follow(program).get(run)["state"] == "failed"
    until(lambda: not runner.active, "the worker heard of it")
    page = owner.get(f"/o/acme/runs/{run}").text
    assert "Nothing happened in this run for 10 minutes" in page
    assert "Look whether the other system answers" in page
    with app.app_context(), Session(db.engine) as session, across_organizations(session, "test"):
        types = session.scalars(select(EventRow.type).order_by(EventRow.seq)).all()
    assert types[-1] == "run.failed"

"""What goes wrong at the edges: reboots, lost answers, full disks, runs that come back."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, delete, select, text, update
from sqlalchemy.exc import DBAPIError

from tests.runs.durable import LONG_S, Yard, claim, steps
from tests.workflows.plans import plan_of
from tests.workflows.plans import text as text_step
from webapp.access.tenancy import across_organizations, bind_organization
from webapp.engine.journal import Batch, Event, HandBack, LostLease, Record
from webapp.files.shelf import DiskShelf
from webapp.kernel.db import is_away, make_engine, make_sessions
from webapp.kernel.hints import Hints
from webapp.kernel.ids import new_id
from webapp.kernel.rawsql import sql_for
from webapp.kernel.settings import Settings
from webapp.kernel.sqlite import TurnstileBusy
from webapp.live.bell import SilentBell
from webapp.runs.execution import statements as st
from webapp.runs.execution.claims import Claimed, Claims
from webapp.runs.execution.driving import Active, Driving
from webapp.runs.execution.journal import RunJournal
from webapp.runs.execution.outside import RunFiles
from webapp.runs.execution.runner import Runner, make_runner
from webapp.runs.execution.writer import JournalWriter
from webapp.runs.models import Event as EventRow
from webapp.runs.models import Lease, Run
from webapp.runs.service import cancel_run
from webapp.runs.upkeep import close_silent_cancels


def intent(path: str = "s_1", effect: str = "idempotent", request: bytes = b"{}") -> Record:
    return Record(path, 1, path, "http", "intent", effect, "dh-key", request)


def numbers(yard: Yard) -> list[int]:
    with yard.sessions() as session:
        bind_organization(session, yard.organization)
        return list(session.scalars(select(EventRow.seq).order_by(EventRow.seq)))


def cancel(yard: Yard, run_id: UUID) -> None:
    with yard.sessions() as session:
        cancel_run(yard.context(session), run_id)
        session.commit()


def close_cancels(yard: Yard) -> int:
    with yard.sessions() as session:
        count = close_silent_cancels(yard.upkeep(session))
        session.commit()
        return count


def test_a_cancel_that_a_reboot_interrupted_is_closed_by_the_sweep(
    yard: Yard, engine: Engine, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = yard.queue_run()
    claim(engine)
    cancel(yard, run_id)
    # The boot clock begins again: what was a moment ago lies far in the future.
    with yard.sessions() as session:
        bind_organization(session, yard.organization)
        session.execute(update(Lease).values(cancel_at=Lease.cancel_at + 10**9, boot="before"))
        session.commit()

    closed = close_cancels(yard)

    # PostgreSQL's clock is its own: a reboot of this machine says nothing about it.
    assert closed == (1 if dialect == "sqlite" else 0)
    assert yard.run(run_id).state == ("cancelled" if dialect == "sqlite" else "running")


def test_cancelling_a_lost_run_whose_effect_is_in_doubt_asks_for_a_decision(
    yard: Yard, engine: Engine, journal_of: Callable[[Claimed], RunJournal]
) -> None:
    run_id = yard.queue_run()
    [claimed] = claim(engine)
    asyncio.run(journal_of(claimed).commit(Batch([intent("s_1", "at_most_once")])))
    Claims(engine, "w1", -1).beat()
    Claims(engine, "steward", 0).take_back(Hints())

    cancel(yard, run_id)

    assert yard.run(run_id).state == "needs_review"
    assert [row.state for row in steps(yard)] == ["unknown"]


def test_a_write_that_was_not_committed_is_made_again_though_its_row_looks_the_same(
    yard: Yard,
    engine: Engine,
    writer: JournalWriter,
    monkeypatch: pytest.MonkeyPatch,
    journal_of: Callable[[Claimed], RunJournal],
) -> None:
    """A step that holds steps stays an intent while it writes down what it decides."""
    yard.queue_run()
    [claimed] = claim(engine)
    journal = journal_of(claimed)
    original = writer._commit
    broken: list[bool] = []

    def break_before(batch: list[Any]) -> None:
        if not broken:
            broken.append(True)
            raise ConnectionError("the connection ended before the commit")
        original(batch)

    async def work() -> None:
        await journal.commit(Batch([intent("s_1", "none", b'{"now":{}}')]))
        monkeypatch.setattr(writer, "_commit", break_before)
        monkeypatch.setattr("webapp.runs.execution.writer.is_away", lambda error: True)
        decided = intent("s_1", "none", b'{"now":{},"error":{}}')
        await journal.commit(Batch([decided, intent("s_1:a/s_2", "at_most_once")]))

    asyncio.run(work())

    assert [(row.path, bytes(row.request or b"")) for row in steps(yard)] == [
        ("s_1", b'{"now":{},"error":{}}'),
        ("s_1:a/s_2", b"{}"),
    ]


def test_the_events_of_a_run_that_is_handed_back_have_no_gap(
    yard: Yard, engine: Engine, journal_of: Callable[[Claimed], RunJournal]
) -> None:
    yard.queue_run()
    [claimed] = claim(engine)
    asyncio.run(journal_of(claimed).hand_back(HandBack()))
    claim(engine, "w2")

    assert numbers(yard) == [1, 2, 3, 4]


def test_what_others_say_of_a_run_between_two_commits_of_its_worker_has_a_number_of_its_own(
    yard: Yard, engine: Engine, journal_of: Callable[[Claimed], RunJournal]
) -> None:
    yard.queue_run()
    yard.queue_run()
    [claimed, other] = claim(engine, lease_s=60, most=2)
    journal, beside = journal_of(claimed), journal_of(other)

    async def both(state: str) -> None:
        done = [Event("step.done", {"state": state})]
        await asyncio.gather(journal.commit(Batch([], done)), beside.commit(Batch([], done)))

    asyncio.run(both("before"))
    cancel(yard, claimed.run_id)
    asyncio.run(both("after"))

    assert numbers(yard) == [1, 1, 2, 2, 3, 3, 4, 4, 5]


def test_a_released_run_is_queued_again_and_says_so(yard: Yard, engine: Engine) -> None:
    run_id = yard.queue_run()
    [claimed] = claim(engine)

    Claims(engine, "w1", LONG_S).release(claimed.run_id, claimed.fence, Hints())

    assert (yard.run(run_id).state, yard.run(run_id).reason) == ("queued", "released")
    assert numbers(yard) == [1, 2, 3]


def test_a_run_that_is_to_pause_and_to_end_is_given_back_for_its_end(
    yard: Yard, engine: Engine
) -> None:
    run_id = yard.queue_run()
    [claimed] = claim(engine)
    with yard.sessions() as session, across_organizations(session, "a test"):
        session.execute(update(Lease).values(pause_at=1, cancel_at=1))
        session.commit()

    Claims(engine, "w1", LONG_S).release(claimed.run_id, claimed.fence, Hints())

    assert yard.run(run_id).state == "queued"
    assert [found.cancelling for found in claim(engine)] == [True]


def test_a_released_run_that_another_worker_holds_is_left_alone(yard: Yard, engine: Engine) -> None:
    run_id = yard.queue_run()
    [claimed] = claim(engine)

    Claims(engine, "w1", LONG_S).release(claimed.run_id, claimed.fence - 1, Hints())

    assert yard.run(run_id).state == "running"
    assert numbers(yard) == [1, 2]


def test_a_lease_without_its_run_stops_nobody(yard: Yard, engine: Engine) -> None:
    gone, kept = yard.queue_run(), yard.queue_run()
    with yard.sessions() as session, across_organizations(session, "a test"):
        session.execute(delete(Run).where(Run.id == gone))
        session.commit()

    assert [found.run_id for found in claim(engine)] == [kept]
    assert yard.lease(gone) is None


def test_a_large_result_waits_for_a_disk_that_is_full(
    yard: Yard,
    engine: Engine,
    shelf: DiskShelf,
    monkeypatch: pytest.MonkeyPatch,
    journal_of: Callable[[Claimed], RunJournal],
) -> None:
    yard.queue_run()
    [claimed] = claim(engine)
    original = shelf.put
    refused: list[bool] = []

    def put(content: bytes) -> str:
        if not refused:
            refused.append(True)
            raise OSError(28, "No space left on device")
        return original(content)

    monkeypatch.setattr(shelf, "put", put)
    large = Record("s_1", 1, "s_1", "text", "succeeded", result={"text": "x" * 100_000})

    asyncio.run(journal_of(claimed).commit(Batch([large], [Event("step.done")])))

    [row] = steps(yard)
    assert row.result_file is not None


def start_for(engine: Engine, organization: UUID) -> int:
    """Put a run in line as a start does; return its turn."""
    with make_sessions(engine)() as session:
        bind_organization(session, organization)  # a start sees its own leases only
        connection = session.connection()
        sql = sql_for(connection.dialect.name)
        line = {"queue": "runs", "org": sql.id(organization), "turn": 1_000_000, "most": 100}
        turn = int(connection.exec_driver_sql(sql(st.NEXT_TURN["normal"]), line).one()[0])
        lease = Lease(run_id=new_id(), organization_id=organization, state="ready", vtime=turn)
        session.add(lease)
        session.commit()
    return turn


def test_who_worked_much_is_not_behind_all_that_a_newcomer_queues(engine: Engine) -> None:
    old, new = new_id(), new_id()
    for _ in range(20):
        start_for(engine, old)
    with engine.begin() as connection:  # all of them are done by now
        if connection.dialect.name == "postgresql":
            connection.execute(text(st.SEE_EVERYTHING))
        connection.execute(text("DELETE FROM lease"))
        connection.execute(text("UPDATE fair SET claimed_vtime = last_vtime, waiting = 0"))

    ahead = [start_for(engine, new) for _ in range(10)]
    late = start_for(engine, old)

    assert late <= min(ahead) + 1_000_000


def test_a_claim_takes_no_more_than_it_may(yard: Yard, engine: Engine) -> None:
    for _ in range(5):
        yard.queue_run()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE lease"))

    assert len(claim(engine, most=1)) == 1


def test_a_run_that_comes_back_to_the_worker_that_lost_it_is_worked_on_once(
    yard: Yard, engine: Engine, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that was stopped for long finds its own run in line again."""
    began: list[int] = []
    going_on = threading.Event()

    async def drive(active: Active, _: RunJournal) -> HandBack:
        began.append(active.claimed.fence)
        if active.claimed.fence == 1:
            await asyncio.Event().wait()
        while not going_on.is_set():
            await asyncio.sleep(0.01)
        return HandBack()

    monkeypatch.setattr(Driving, "_drive", lambda _, active, journal: drive(active, journal))
    run_id = yard.queue_run()
    runner.wake()
    until(lambda: began == [1])
    first = runner.active[run_id].task
    Claims(engine, runner.name, -1).beat()  # as if nobody had beaten for long
    Claims(engine, "steward", 0).take_back(Hints())
    runner.wake()
    until(lambda: began == [1, 2])

    assert first is not None
    until(first.done)
    assert runner.active[run_id].claimed.fence == 2
    going_on.set()


def test_a_key_of_one_workflow_starts_no_other(program: Any, make_live: Any, start: Any) -> None:
    plan = plan_of(text_step("s_1", "Hello"))
    first, second = make_live(plan, "First"), make_live(plan, "Second")
    assert start(first, key="once-a-day").status_code == 202

    answer = program.post(
        "/api/v1/execute",
        json={"workflow": second},
        headers={"Idempotency-Key": "once-a-day"},
    )

    assert (answer.status_code, answer.get_json()["code"]) == (422, "E-IDEM-OTHER")


@pytest.mark.parametrize("key", ["child:{run}:s_1", "again:{run}:1", "form:0123456789abcdef"])
def test_nobody_takes_the_key_of_a_run_that_we_are_about_to_start(
    program: Any, make_live: Any, start: Any, key: str
) -> None:
    workflow = make_live(plan_of(text_step("s_1")))
    run = start(workflow).get_json()["id"]

    refused = start(workflow, key=key.format(run=run))

    assert (refused.status_code, refused.get_json()["code"]) == (400, "E-IDEM-OURS")
    assert key.partition(":")[0] in refused.get_json()["detail"]


def test_what_broke_a_look_across_organizations_is_what_is_told(engine: Engine) -> None:
    with (
        make_sessions(engine)() as session,
        pytest.raises(DBAPIError) as told,
        across_organizations(session, "a test"),
    ):
        session.execute(text("SELECT no_such_function()"))

    assert "no_such_function" in str(told.value.orig)


def lose(engine: Engine, times: int) -> None:
    """Let workers die over all runs again and again."""
    for _ in range(times):
        assert claim(engine, "dying", lease_s=-1)
        Claims(engine, "steward", 0).take_back(Hints())


def test_a_run_over_which_every_worker_dies_fails(
    yard: Yard, engine: Engine, request: pytest.FixtureRequest
) -> None:
    run_id = yard.queue_run()
    lose(engine, 10)

    request.getfixturevalue("runner").wake()

    until(lambda: yard.run(run_id).is_over)
    assert (yard.run(run_id).state, yard.run(run_id).reason) == ("failed", "E-RUN-LOST")


def test_a_run_that_was_lost_sometimes_goes_on(
    yard: Yard, engine: Engine, request: pytest.FixtureRequest
) -> None:
    run_id = yard.queue_run()
    lose(engine, 9)

    request.getfixturevalue("runner").wake()

    until(lambda: yard.run(run_id).is_over)
    assert yard.run(run_id).state == "done"


def test_what_may_have_happened_is_asked_even_of_a_run_over_which_workers_die(
    engine: Engine,
    settings: Settings,
    journal_of: Callable[[Claimed], RunJournal],
    request: pytest.FixtureRequest,
) -> None:
    post = {"method": "POST", "url": "https://example.com"}
    step = {"id": "s_1", "kind": "http", "with": post}
    yard = Yard(engine, settings).open({"plan": 1, "steps": [step]})
    run_id = yard.queue_run()
    [claimed] = claim(engine)
    begun = Batch([intent("s_1", "at_most_once")], [Event("step.started")])
    asyncio.run(journal_of(claimed).commit(begun))
    Claims(engine, "w1", -1).beat()
    Claims(engine, "steward", 0).take_back(Hints())
    lose(engine, 10)

    request.getfixturevalue("runner").wake()

    until(lambda: yard.run(run_id).state == "needs_review")
    assert [row.state for row in steps(yard)] == ["unknown"]


def test_what_was_intended_too_long_ago_is_not_begun(
    yard: Yard, engine: Engine, writer: JournalWriter, shelf: DiskShelf
) -> None:
    """A worker that was stopped behind its commit may have lost the run while it slept."""
    yard.queue_run()
    [claimed] = claim(engine)
    overslept = RunJournal(claimed, writer, sql_for(engine.dialect.name), shelf, "w1", -1)

    asyncio.run(overslept.commit(Batch([], [Event("step.done")])))
    with pytest.raises(LostLease):
        asyncio.run(overslept.commit(Batch([intent("s_1", "at_most_once")])))


def break_connections(engine: Engine) -> None:
    """End every other session of the database, as its restart does."""
    other = make_engine(engine.url.render_as_string(hide_password=False))
    with other.begin() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    other.dispose()


def test_a_journal_survives_a_database_that_was_started_again(
    yard: Yard,
    engine: Engine,
    dialect: str,
    writer: JournalWriter,
    monkeypatch: pytest.MonkeyPatch,
    journal_of: Callable[[Claimed], RunJournal],
) -> None:
    yard.queue_run()
    [claimed] = claim(engine)
    journal = journal_of(claimed)
    asyncio.run(journal.commit(Batch([intent("s_1")])))

    if dialect == "sqlite":
        original = writer._commit_here
        full = [sqlite3.OperationalError("database or disk is full")]

        def commit(cursor: Any, batch: list[Any]) -> None:
            if full:
                raise full.pop()
            original(cursor, batch)

        monkeypatch.setattr(writer, "_commit_here", commit)
    else:
        break_connections(engine)
    asyncio.run(journal.commit(Batch([intent("s_2")])))

    assert [row.path for row in steps(yard)] == ["s_1", "s_2"]


def test_a_step_waits_for_its_file_while_the_database_is_away(
    yard: Yard, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = RunFiles(yard.sessions, settings, yard.organization, "run_1")
    original, away = files._write, [TurnstileBusy()]

    def write(content: bytes, name: str, media_type: str) -> str:
        if away:
            raise away.pop()
        return original(content, name, media_type)

    monkeypatch.setattr(files, "_write", write)
    file_id = asyncio.run(files.write(b"rows", "a.csv", "text/csv"))

    assert asyncio.run(files.read(file_id)) == b"rows"


def test_a_postgresql_that_cannot_be_reached_is_away() -> None:
    nowhere = make_engine("postgresql://deckhand@127.0.0.1:1/nothing")

    with pytest.raises(DBAPIError) as told:
        nowhere.connect()

    assert is_away(told.value)


def test_a_worker_leaves_in_time_while_the_database_is_away(
    yard: Yard, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: list[Any]) -> None:
        raise TurnstileBusy

    runner = make_runner(settings, SilentBell(), lambda: None)
    monkeypatch.setattr(runner.writer, "_commit", gone)
    yard.queue_run()
    runner.start()
    runner.wake()
    until(lambda: bool(runner.active))

    began = time.monotonic()
    runner.drain(1.0)

    assert time.monotonic() - began < 3


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)

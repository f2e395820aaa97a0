"""Claims, fences and the journal, on the real database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from tests.runs.durable import LONG_S, Yard, claim, steps
from webapp.access.tenancy import bind_organization
from webapp.engine.journal import (
    Batch,
    CancelRequested,
    End,
    Event,
    HandBack,
    LostLease,
    Park,
    Record,
)
from webapp.files.shelf import DiskShelf
from webapp.kernel import clock
from webapp.kernel.hints import Hints
from webapp.runs.execution.claims import Claimed, Claims
from webapp.runs.execution.journal import RunJournal
from webapp.runs.execution.readings import Readings
from webapp.runs.execution.writer import JournalWriter
from webapp.runs.models import Event as EventRow
from webapp.runs.models import Fair
from webapp.runs.service import cancel_run
from webapp.runs.upkeep import close_silent_cancels


def intent(path: str = "s_1", effect: str = "idempotent") -> Record:
    return Record(path, 1, path, "http", "intent", effect, "dh-key", b'{"url":"x"}')


def done(path: str = "s_1", result: Any = None) -> Record:
    return Record(path, 1, path, "http", "succeeded", "idempotent", "dh-key", result=result)


def test_a_run_goes_to_one_worker_only(yard: Yard, engine: Engine) -> None:
    run_id = yard.queue_run({"day": "2026-03-04"})

    first, second = claim(engine, "w1"), claim(engine, "w2")

    assert [found.run_id for found in first] == [run_id]
    assert second == []
    assert (first[0].fence, first[0].fresh, first[0].inputs) == (1, True, {"day": "2026-03-04"})
    assert yard.run(run_id).state == "running"


def test_runs_are_claimed_in_the_order_of_their_turn(yard: Yard, engine: Engine) -> None:
    runs = [yard.queue_run() for _ in range(5)]

    claimed = claim(engine, most=3)

    assert {found.run_id for found in claimed} == set(runs[:3])


def test_a_claimed_run_frees_its_place_in_line(yard: Yard, engine: Engine) -> None:
    yard.queue_run()
    claim(engine)

    with yard.sessions() as session:
        assert session.scalars(select(Fair.waiting)).one() == 0


def test_what_a_worker_wrote_is_read_back_by_the_next(
    yard: Yard, engine: Engine, journal_of: Callable[[Claimed], RunJournal], tmp_path: Path
) -> None:
    yard.queue_run()
    [claimed] = claim(engine)
    journal = journal_of(claimed)

    async def work() -> None:
        await journal.commit(Batch([intent("s_1")], [Event("step.started", {"step": "s_1"})]))
        value = {"total": 12, "rows": ["é"]}
        await journal.commit(Batch([done("s_1", value), intent("s_2")], [], done_delta=1))
        await journal.hand_back(HandBack())

    asyncio.run(work())
    [again] = claim(engine, "w2")
    records = Readings(engine, DiskShelf(tmp_path / "files")).records(again)

    assert again.fence == 2
    assert [(r.path, r.state, r.result, r.request) for r in records] == [
        ("s_1", "succeeded", {"total": 12, "rows": ["é"]}, b'{"url":"x"}'),
        ("s_2", "intent", None, b'{"url":"x"}'),
    ]


def test_a_large_result_lies_on_the_shelf_and_comes_back(
    yard: Yard, engine: Engine, journal_of: Callable[[Claimed], RunJournal], tmp_path: Path
) -> None:
    yard.queue_run()
    [claimed] = claim(engine)
    journal, large = journal_of(claimed), {"text": "x" * 100_000}

    asyncio.run(journal.commit(Batch([done("s_1", large)])))

    [row] = steps(yard)
    assert (row.result, row.result_file is not None) == (None, True)
    asyncio.run(journal.hand_back(HandBack()))
    [again] = claim(engine, "w2")
    [record] = Readings(engine, DiskShelf(tmp_path / "files")).records(again)
    assert record.result == large


def test_a_worker_that_lost_its_run_can_write_nothing(
    yard: Yard, engine: Engine, journal_of: Callable[[Claimed], RunJournal]
) -> None:
    yard.queue_run()
    [late] = claim(engine, "w1", lease_s=-1)
    assert Claims(engine, "steward", 0).take_back(Hints()) == 1
    [now_owner] = claim(engine, "w2")

    with pytest.raises(LostLease):
        asyncio.run(journal_of(late).commit(Batch([intent()], [Event("step.started")])))

    assert now_owner.fence == late.fence + 1
    assert steps(yard) == []


def test_one_lost_run_takes_no_other_down_with_it(
    yard: Yard, engine: Engine, journal_of: Callable[[Claimed], RunJournal]
) -> None:
    yard.queue_run()
    [late] = claim(engine, "w1", lease_s=-1)
    Claims(engine, "steward", 0).take_back(Hints())
    claim(engine, "w2")
    kept_id = yard.queue_run()
    [kept] = claim(engine, "w1")

    async def both() -> list[Any]:
        return await asyncio.gather(
            journal_of(late).commit(Batch([intent("s_lost")])),
            journal_of(kept).commit(Batch([intent("s_kept")])),
            return_exceptions=True,
        )

    lost, well = asyncio.run(both())

    assert isinstance(lost, LostLease)
    assert well is None
    assert [(row.run_id, row.path) for row in steps(yard)] == [(kept_id, "s_kept")]


def test_a_run_whose_worker_is_silent_goes_back_in_line(yard: Yard, engine: Engine) -> None:
    run_id = yard.queue_run()
    claim(engine, "w1", lease_s=-1)

    assert Claims(engine, "steward", 0).take_back(Hints()) == 1

    assert (yard.run(run_id).state, yard.run(run_id).reason) == ("queued", "lost")
    assert Claims(engine, "steward", 0).take_back(Hints()) == 0


def test_a_beat_keeps_the_runs_of_its_worker(yard: Yard, engine: Engine) -> None:
    run_id = yard.queue_run()
    claim(engine, "w1", lease_s=-1)

    held = Claims(engine, "w1", LONG_S).beat()

    assert list(held) == [run_id]
    assert Claims(engine, "steward", 0).take_back(Hints()) == 0


def test_a_reboot_ends_all_leases_on_sqlite(
    yard: Yard, engine: Engine, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard.queue_run()
    claim(engine)
    monkeypatch.setattr("webapp.runs.execution.claims.boot_id", lambda: "another boot")

    taken = Claims(engine, "steward", 0).take_back(Hints())

    # PostgreSQL's clock is its own: a reboot of this machine says nothing about it.
    assert taken == (1 if dialect == "sqlite" else 0)
    assert clock.boot_id() != "another boot"


def test_a_parked_run_comes_back_when_it_is_due(
    yard: Yard, engine: Engine, journal_of: Callable[[Claimed], RunJournal]
) -> None:
    run_id = yard.queue_run()
    [claimed] = claim(engine)
    asyncio.run(journal_of(claimed).commit(Batch(park=Park("time", due_in_s=0.0))))
    assert (yard.run(run_id).state, yard.run(run_id).reason) == ("waiting", "time")

    Claims(engine, "steward", 0).take_back(Hints())

    assert [found.run_id for found in claim(engine, "w2")] == [run_id]


def test_a_run_that_waits_for_an_hour_is_left_alone(
    yard: Yard, engine: Engine, journal_of: Callable[[Claimed], RunJournal]
) -> None:
    yard.queue_run()
    [claimed] = claim(engine)
    asyncio.run(journal_of(claimed).commit(Batch(park=Park("time", due_in_s=3600))))

    assert Claims(engine, "steward", 0).take_back(Hints()) == 0


def test_an_ended_run_keeps_its_result_and_loses_its_lease(
    yard: Yard, engine: Engine, journal_of: Callable[[Claimed], RunJournal]
) -> None:
    run_id = yard.queue_run()
    [claimed] = claim(engine)
    end = End("done", {"total": 12}, problems=True)

    asyncio.run(
        journal_of(claimed).commit(
            Batch([done()], [Event("step.done"), Event("run.done")], done_delta=1, end=end)
        )
    )

    run = yard.run(run_id)
    assert (run.state, run.result, run.problems, run.steps_done) == ("done", {"total": 12}, True, 1)
    assert run.took_ms is not None
    assert yard.lease(run_id) is None
    with yard.sessions() as session:
        bind_organization(session, yard.organization)
        events = session.scalars(select(EventRow).order_by(EventRow.seq)).all()
    assert [(e.seq, e.type) for e in events] == [
        (1, "run.queued"),
        (2, "run.started"),
        (3, "step.done"),
        (4, "run.done"),
    ]
    assert run.seq == 4


def test_a_cancel_refuses_what_is_new_and_takes_what_is_done(
    yard: Yard, engine: Engine, journal_of: Callable[[Claimed], RunJournal]
) -> None:
    run_id = yard.queue_run()
    [claimed] = claim(engine)
    journal = journal_of(claimed)
    asyncio.run(journal.commit(Batch([intent("s_1")])))
    with yard.sessions() as session:
        cancel_run(yard.context(session), run_id)
        session.commit()

    with pytest.raises(CancelRequested):
        asyncio.run(journal.commit(Batch([done("s_1"), intent("s_2")])))
    asyncio.run(journal.commit(Batch([done("s_1")], end=End("cancelled"))))

    assert [(row.path, row.state) for row in steps(yard)] == [("s_1", "succeeded")]
    assert yard.run(run_id).state == "cancelled"


def test_a_beat_tells_which_runs_are_to_be_cancelled(yard: Yard, engine: Engine) -> None:
    run_id = yard.queue_run()
    claim(engine)
    with yard.sessions() as session:
        cancel_run(yard.context(session), run_id)
        session.commit()

    assert Claims(engine, "w1", LONG_S).beat()[run_id].cancelling is True


@pytest.mark.parametrize(
    ("effect", "state"), [("idempotent", "cancelled"), ("at_most_once", "needs_review")]
)
def test_a_cancelled_run_of_a_silent_worker_is_closed_by_the_sweep(
    yard: Yard,
    engine: Engine,
    journal_of: Callable[[Claimed], RunJournal],
    monkeypatch: pytest.MonkeyPatch,
    effect: str,
    state: str,
) -> None:
    run_id = yard.queue_run()
    [claimed] = claim(engine)
    journal = journal_of(claimed)
    asyncio.run(journal.commit(Batch([intent("s_1", effect)])))
    with yard.sessions() as session:
        cancel_run(yard.context(session), run_id)
        session.commit()
    monkeypatch.setattr("webapp.runs.upkeep.SILENT_MS", -1000)

    with yard.sessions() as session:
        assert close_silent_cancels(yard.upkeep(session)) == 1
        session.commit()

    assert yard.run(run_id).state == state
    assert [row.state for row in steps(yard)] == [
        "unknown" if effect == "at_most_once" else "cancelled"
    ]
    with pytest.raises(LostLease):
        asyncio.run(journal.commit(Batch([done("s_1")])))


def test_a_queued_run_is_cancelled_at_once_and_frees_its_place(yard: Yard, engine: Engine) -> None:
    run_id = yard.queue_run()
    with yard.sessions() as session:
        cancel_run(yard.context(session), run_id)
        session.commit()

    assert yard.run(run_id).state == "cancelled"
    assert claim(engine) == []
    with yard.sessions() as session:
        assert session.scalars(select(Fair.waiting)).one() == 0


def test_a_commit_whose_answer_was_lost_is_not_made_twice(
    yard: Yard,
    engine: Engine,
    writer: JournalWriter,
    monkeypatch: pytest.MonkeyPatch,
    journal_of: Callable[[Claimed], RunJournal],
) -> None:
    run_id = yard.queue_run()
    [claimed] = claim(engine)
    original, broken = writer._commit, []

    def commit_and_break(batch: list[Any]) -> None:
        original(batch)
        if not broken:
            broken.append(True)
            raise TimeoutErrorOfTheDatabase("the connection ended before the answer")

    monkeypatch.setattr(writer, "_commit", commit_and_break)
    monkeypatch.setattr("webapp.runs.execution.writer.is_away", lambda error: True)

    asyncio.run(journal_of(claimed).commit(Batch([done("s_1")], [Event("step.done")], 1)))

    lease = yard.lease(run_id)
    assert lease is not None
    assert (lease.done, lease.seq) == (1, 3)


class TimeoutErrorOfTheDatabase(Exception):
    """What a driver raises when the server went away during COMMIT."""

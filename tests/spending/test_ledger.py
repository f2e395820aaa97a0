"""The ledger in the database: written once, in the journal's own commits, and never changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, delete, select, update
from sqlalchemy.exc import DBAPIError

from tests.runs.conftest import engine, journal_of, shelf, writer, yard
from tests.runs.durable import Yard, claim, steps
from webapp.access.tenancy import bind_organization
from webapp.engine.journal import Batch, LostLease, Record
from webapp.engine.ledger import Entry, Rates, Usage
from webapp.files.shelf import DiskShelf
from webapp.runs.execution.claims import Claimed
from webapp.runs.execution.journal import RunJournal
from webapp.runs.execution.readings import Readings
from webapp.runs.execution.writer import JournalWriter
from webapp.runs.hanging import end_hung_runs
from webapp.runs.models import Lease
from webapp.runs.service import cancel_run
from webapp.runs.upkeep import close_silent_cancels
from webapp.spending.models import LedgerEntry
from webapp.spending.queries import reserved_nano, spent_nano

__all__ = ["engine", "journal_of", "shelf", "writer", "yard"]

RATES = Rates(Decimal(10), Decimal("2.5"), Decimal(1))
RESERVED = Entry("s_1", 1, 1, "reserve", "m", Usage(100, 40), 1100, RATES, estimate=True)
SETTLED = RESERVED.closed("settle", Usage(100, 20, 50), estimate=False)

JournalOf = Callable[[Claimed], RunJournal]


def intent() -> Record:
    return Record("s_1", 1, "s_1", "agent", "intent", "none", "dh-1", b"{}")


def totals(yard: Yard) -> tuple[int, int]:
    with yard.sessions() as session:
        bind_organization(session, yard.organization)
        return spent_nano(session), reserved_nano(session)


def test_what_is_reserved_is_there_until_it_is_settled(
    yard: Yard, engine: Engine, journal_of: JournalOf, shelf: DiskShelf
) -> None:
    run = yard.queue_run()
    [claimed] = claim(engine)
    journal = journal_of(claimed)

    async def work() -> None:
        await journal.commit(Batch([intent()]))
        await journal.commit(Batch(entries=[RESERVED]))
        assert totals(yard) == (0, 1100)
        await journal.commit(Batch(entries=[SETTLED]))

    asyncio.run(work())

    assert SETTLED.amount_nano == 600
    assert totals(yard) == (600, 0)
    lease = yard.lease(run)
    assert lease is not None
    assert lease.cost_nano == 600
    (record,) = Readings(engine, shelf).records(replace(claimed, has_journal=True))
    assert record.entries == [RESERVED, SETTLED]


def test_a_reservation_whose_answer_was_lost_is_written_once(
    yard: Yard,
    engine: Engine,
    writer: JournalWriter,
    monkeypatch: pytest.MonkeyPatch,
    journal_of: JournalOf,
) -> None:
    run = yard.queue_run()
    [claimed] = claim(engine)
    journal = journal_of(claimed)
    original, broken = writer._commit, []

    def break_after(batch: list[Any]) -> None:
        original(batch)
        if not broken:
            broken.append(True)
            raise ConnectionError("the connection ended before the answer")

    async def work() -> None:
        await journal.commit(Batch([intent()]))
        await journal.commit(Batch(entries=[RESERVED]))
        monkeypatch.setattr(writer, "_commit", break_after)
        monkeypatch.setattr("webapp.runs.execution.writer.is_away", lambda error: True)
        await journal.commit(Batch(entries=[SETTLED]))

    asyncio.run(work())

    assert broken == [True]
    assert totals(yard) == (600, 0)
    lease = yard.lease(run)
    assert lease is not None
    assert lease.cost_nano == 600


@pytest.mark.parametrize("end", ["cancelled", "hung"])
def test_what_a_lost_worker_had_reserved_counts_when_its_run_is_ended_for_it(
    yard: Yard, engine: Engine, journal_of: JournalOf, end: str
) -> None:
    run_id = yard.queue_run()
    [claimed] = claim(engine)
    asyncio.run(journal_of(claimed).commit(Batch([intent()], entries=[RESERVED])))

    with yard.sessions() as session:
        if end == "cancelled":
            cancel_run(yard.context(session), run_id)
            session.execute(update(Lease).values(cancel_at=1))
            assert close_silent_cancels(yard.upkeep(session)) == 1
        else:
            bind_organization(session, yard.organization)
            session.execute(update(Lease).values(wrote_at=Lease.wrote_at - 3_600_000))
            assert end_hung_runs(yard.upkeep(session)) == 1
        session.commit()

    assert totals(yard) == (1100, 0)
    assert yard.run(run_id).cost_nano == 1100
    assert [(step.cost_nano, step.tokens_in) for step in steps(yard)] == [(1100, 100)]
    with pytest.raises(LostLease):
        asyncio.run(journal_of(claimed).commit(Batch(entries=[SETTLED])))


@pytest.mark.parametrize(
    "change", [update(LedgerEntry).values(amount_nano=0), delete(LedgerEntry)], ids=str
)
def test_nobody_changes_what_was_entered(
    yard: Yard, engine: Engine, journal_of: JournalOf, change: Any
) -> None:
    yard.queue_run()
    [claimed] = claim(engine)
    asyncio.run(journal_of(claimed).commit(Batch([intent()], entries=[RESERVED])))

    with yard.sessions() as session:
        bind_organization(session, yard.organization)
        with pytest.raises(DBAPIError, match="the ledger only grows"):
            session.execute(change)
        session.rollback()
        assert len(session.scalars(select(LedgerEntry)).all()) == 1


def test_other_organizations_do_not_count(
    yard: Yard, engine: Engine, journal_of: JournalOf
) -> None:
    yard.queue_run()
    [claimed] = claim(engine)
    asyncio.run(journal_of(claimed).commit(Batch([intent()], entries=[RESERVED, SETTLED])))

    with yard.sessions() as session:
        bind_organization(session, yard.workflow)  # some other id
        assert (spent_nano(session), reserved_nano(session)) == (0, 0)


def test_a_claim_finds_what_the_last_worker_left_open(
    yard: Yard, engine: Engine, journal_of: JournalOf, shelf: DiskShelf
) -> None:
    yard.queue_run()
    [claimed] = claim(engine)
    asyncio.run(journal_of(claimed).commit(Batch([intent()], entries=[RESERVED])))

    (record,) = Readings(engine, shelf).records(replace(claimed, has_journal=True))

    assert record.entries == [RESERVED]

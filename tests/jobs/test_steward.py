"""What the steward does by itself, with the real database and the real Valkey."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
import redis
from sqlalchemy import Engine, select, update

from jobs.base import Machine, make_machine
from jobs.deliveries import anchor, relay
from jobs.housekeeping import tidy
from jobs.marks import write_marks
from jobs.sweeping import sweep
from tests.runs.durable import Yard, claim
from webapp.access.idempotency import IdempotentAnswer
from webapp.access.tenancy import across_organizations, bind_organization
from webapp.accounts.models import LoginSession, User
from webapp.audit.service import record, verify
from webapp.kernel.clock import now
from webapp.kernel.db import make_engine
from webapp.kernel.outbox import Delivery
from webapp.kernel.settings import Settings
from webapp.live.bell import bell_key
from webapp.runs import upkeep
from webapp.runs.models import Event, Lease, Run


@pytest.fixture
def machine(settings: Settings) -> Iterator[Machine]:
    made = make_machine(settings)
    yield made
    made.close()


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    made = make_engine(settings.database_url)
    yield made
    made.dispose()


@pytest.fixture
def yard(engine: Engine, settings: Settings) -> Yard:
    return Yard(engine, settings).open()


def write_two_entries(yard: Yard) -> None:
    with yard.sessions() as session:
        ctx = yard.context(session)
        record(ctx, "workflow.created", "wf_1", after={"name": "Weekly report"})
        record(ctx, "workflow.renamed", "wf_1", before={"name": "Weekly report"})
        session.commit()


def test_the_sweep_takes_a_lost_run_back_and_rings(
    yard: Yard, machine: Machine, engine: Engine, redis_url: str
) -> None:
    run_id = yard.queue_run()
    claim(engine, "w1", -1)

    assert sweep(machine) == 1

    assert yard.run(run_id).state == "queued"
    with redis.Redis.from_url(redis_url) as client:
        assert client.exists(bell_key("runs"))


def test_the_heads_of_the_audit_chain_leave_the_database_once(
    yard: Yard, machine: Machine, settings: Settings
) -> None:
    write_two_entries(yard)

    assert anchor(machine) == 1
    assert anchor(machine) == 0
    assert relay(machine) == 1
    assert relay(machine) == 0

    [line] = (settings.data / "audit" / "heads.jsonl").read_text().splitlines()
    head = json.loads(line)
    assert (head["organization"], head["seq"]) == (str(yard.organization), 2)


def test_a_delivery_whose_sender_fails_is_tried_again_later(
    yard: Yard, machine: Machine, settings: Settings
) -> None:
    write_two_entries(yard)
    anchor(machine)
    (settings.data / "audit").write_text("a file stands where the folder belongs")

    assert relay(machine) == 1

    with yard.sessions() as session, across_organizations(session, "test"):
        delivery = session.scalars(select(Delivery)).one()
        assert (delivery.state, delivery.attempts) == ("due", 1)
        assert delivery.due_at > now()
        session.execute(update(Delivery).values(due_at=now()))
        session.commit()
    (settings.data / "audit").unlink()
    assert relay(machine) == 1
    with yard.sessions() as session:
        assert session.scalars(select(Delivery.state)).one() == "done"


def test_a_delivery_of_a_dead_sender_is_taken_over(
    yard: Yard, machine: Machine, settings: Settings
) -> None:
    write_two_entries(yard)
    anchor(machine)
    with yard.sessions() as session:
        session.execute(
            update(Delivery).values(state="sending", lease_until=now() - timedelta(seconds=1))
        )
        session.commit()

    assert relay(machine) == 1


def test_a_chain_that_nobody_touched_is_found_whole(yard: Yard) -> None:
    write_two_entries(yard)

    with yard.sessions() as session:
        verdict = verify(yard.context(session))

    assert (verdict.ok, verdict.entries) == (True, 2)


def test_a_chain_under_another_key_is_found_broken(yard: Yard) -> None:
    write_two_entries(yard)
    other = yard.settings.model_copy(update={"audit_key": type(yard.settings.audit_key)("x" * 40)})

    with yard.sessions() as session:
        ctx = Yard(yard.engine, other, yard.organization).context(session)
        verdict = verify(ctx)

    assert (verdict.ok, verdict.broken_at) == (False, 1)


def test_housekeeping_forgets_what_is_kept_only_for_a_while(yard: Yard, machine: Machine) -> None:
    old, fresh = now() - timedelta(hours=73), now()
    with yard.sessions() as session:
        bind_organization(session, yard.organization)
        for key, made_at in (("old", old), ("fresh", fresh)):
            session.add(
                IdempotentAnswer(
                    route="POST /x", key=key, principal="key:", request_sha="0" * 64,
                    made_at=made_at,
                )
            )  # fmt: skip
        session.commit()

    assert tidy(machine) == 1

    with yard.sessions() as session:
        bind_organization(session, yard.organization)
        assert session.scalars(select(IdempotentAnswer.key)).all() == ["fresh"]


def test_marks_of_use_are_written_once_a_minute(
    yard: Yard, machine: Machine, redis_url: str
) -> None:
    begun = now() - timedelta(hours=1)
    with yard.sessions() as session:
        person = User(name="Ada", email="a@x.eu", email_folded="a@x.eu", password_hash="-")
        session.add(person)
        session.flush()
        session.add(
            LoginSession(
                id_hash=b"\x01" * 32, user_id=person.id, csrf_secret="s", seen_at=begun,
                expires_at=now() + timedelta(days=1),
            )
        )  # fmt: skip
        session.commit()
    with redis.Redis.from_url(redis_url) as client:
        client.hset("dh:seen", (b"\x01" * 32).hex(), now().timestamp())
        client.hset("dh:used", str(UUID(int=5)), now().timestamp())

    assert write_marks(machine) == 2
    assert write_marks(machine) == 0

    with yard.sessions() as session:
        seen_at = session.scalars(select(LoginSession.seen_at)).one()
    assert seen_at > begun + timedelta(minutes=59)


def test_finished_runs_go_after_as_many_days_as_the_operator_says(
    yard: Yard, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, waits, child, later = (yard.queue_run() for _ in range(4))
    end_runs(yard, {ended: "done", child: "failed", later: "done"})
    with yard.sessions() as session:
        bind_organization(session, yard.organization)
        session.execute(update(Run).where(Run.id == child).values(parent_run=waits))
        session.execute(
            update(Run).where(Run.id == later).values(finished_at=now() + timedelta(days=2))
        )
        session.commit()
    in_a_month = now() + timedelta(days=31)
    monkeypatch.setattr(upkeep, "now", lambda: in_a_month)

    assert forgets(machine, keep_runs_days=0) == 0
    assert forgets(machine, keep_runs_days=30) == 1

    with yard.sessions() as session:
        bind_organization(session, yard.organization)
        left = set(session.scalars(select(Run.id)))
        assert left == {waits, child, later}
        for model in (Event, Lease):
            assert set(session.scalars(select(model.run_id))) == left


def end_runs(yard: Yard, states: dict[UUID, str]) -> None:
    with yard.sessions() as session:
        bind_organization(session, yard.organization)
        for run_id, state in states.items():
            ended = update(Run).where(Run.id == run_id)
            session.execute(ended.values(state=state, finished_at=now()))
        session.commit()


def forgets(machine: Machine, **settings: int) -> int:
    changed = machine.settings.model_copy(update=settings)
    return tidy(replace(machine, settings=changed))

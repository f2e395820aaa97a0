"""The engine beside the bare database: its statements by hand, resuming, and claiming."""

from __future__ import annotations

import asyncio
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import insert, update

from bench.measure import quantile, report
from bench.plans import chain
from tests import services
from tests.conftest import test_settings
from tests.runs.durable import Yard
from webapp.access.tenancy import bind_organization
from webapp.commands.db import migrate
from webapp.engine.effects import Effect
from webapp.engine.journal import Batch
from webapp.engine.plan import load_plan
from webapp.engine.ports import Journal
from webapp.engine.tools import TOOLS
from webapp.kernel.clock import now
from webapp.kernel.db import make_engine
from webapp.kernel.hints import Hints
from webapp.kernel.ids import new_id
from webapp.kernel.rawsql import sql_for
from webapp.runs.execution import statements as st
from webapp.runs.execution.claims import Claims
from webapp.runs.execution.readings import Readings
from webapp.runs.execution.runner import Runner, make_runner
from webapp.runs.models import Event, Lease, Run, Step
from webapp.workflows.models import Gate

STEPS = 1_000


@contextmanager
def yard(database: str, plan: dict[str, Any]) -> Iterator[Yard]:
    """Yield a migrated database with one organization and one workflow."""
    with tempfile.TemporaryDirectory() as folder:
        server = services.Postgres() if database == "postgresql" else None
        url = server.create() if server else f"sqlite:///{folder}/bench.db"
        settings = test_settings(Path(folder), url)
        migrate(settings)
        engine = make_engine(url)
        try:
            yield Yard(engine, settings).open(plan)
        finally:
            engine.dispose()
            if server is not None:
                server.stop()


def by_hand() -> None:
    """Steps per second of the hot path's own statements, written by hand, one commit a step."""
    for database in ("sqlite", "postgresql"):
        with yard(database, chain(1)) as place:
            run = place.queue_run()
            with closing(Claims(place.engine, "by-hand", 60)) as claims:
                claims.claim(1, Hints())
            for name, parts, rest_s in (
                ("one_run", range(5), 0.0),
                ("with_rests", range(5, 10), EFFECT_S),
            ):
                took = [_write_steps(place, run, _some(part), rest_s) for part in parts]
                report(f"by_hand.{database}.{name}", 400 / quantile(took, 0.5), "steps/s", 2000)


EFFECT_S = 200e-6
"""How long the thread that writes rests between two commits of a run whose steps have intents:
the effect and the next request are made by another one. Processor and disk rest, too, and
take longer to wake than a thread that never rests sees."""


def _some(part: int) -> range:
    return range(part * 400, part * 400 + 400)


def _write_steps(place: Yard, run: Any, numbers: range, rest_s: float) -> float:
    """Return how many seconds the commits took, without the rests between them."""
    sql = sql_for(place.engine.dialect.name)
    took = 0.0
    with place.engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        for number in numbers:
            time.sleep(rest_s)
            began = time.perf_counter()
            with connection.begin():
                if sql.postgresql:
                    with driver.pipeline():
                        _write_step(driver.cursor(), sql, place, run, number)
                else:
                    _write_step(driver.cursor(), sql, place, run, number)
            took += time.perf_counter() - began
    return took


def _write_step(cursor: Any, sql: Any, place: Yard, run: Any, number: int) -> None:
    if sql.postgresql:
        cursor.execute(st.SEE_EVERYTHING)
    key, org, at = sql.id(run), sql.id(place.organization), sql.moment(now())
    advance = {"run": key, "fence": 1, "events": 2, "done": 1, "cost": 0, "ran_ms": 1}
    cursor.execute(sql(st.ADVANCE), advance | {"lease_ms": 60_000, "begins": 1})
    step = dict.fromkeys(re.findall(r":([a-z_]+)", st.WRITE_STEP)) | {
        "run": key, "org": org, "attempt": 1, "step_id": "s_1", "kind": "tool", "effect": "none",
        "idem_key": "dh-abcdefghijklmnopqrstuvwxyz234567", "result_file": None, "error": None,
        "fence": 1, "seq": number, "started_at": at, "cost": 0,
        "tokens_in": 0, "tokens_out": 0, "worker": "by-hand",
    }  # fmt: skip
    done = {"path": f"s_{number}", "state": "succeeded", "request": None, "done_at": at}
    begun = {"path": f"s_{number + 1}", "state": "intent", "done_at": None, "result": None}
    request = b'{"args":{"expression":"1 + 1"},"tool":"calculator"}'
    cursor.executemany(
        sql(st.WRITE_STEP),
        [step | done | {"result": '{"value":2}'}, step | begun | {"request": request}],
    )
    event = {"run": key, "org": org, "at": at, "data": '{"path":"s_1","step":"s_1","attempt":1}'}
    cursor.executemany(
        sql(st.WRITE_EVENT),
        [
            event | {"seq": 10 + 2 * number, "type": "step.done"},
            event | {"seq": 11 + 2 * number, "type": "step.started"},
        ],
    )


class _Quiet:
    """A bell of which nobody hears more than that a run is done: asking costs the run time."""

    def __init__(self) -> None:
        self.done = threading.Event()

    def send(self, hints: list[Any]) -> None:
        """Forget the hints."""
        if any(getattr(hint, "type", "") == "run.done" for hint in hints):
            self.done.set()


def intents() -> None:
    """Steps per second of a chain of 100 that each have an effect: an intent is durable before,
    a result before the next begins. One worker in this process, which tells nobody.
    """
    note = replace(TOOLS["calculator"], name="bench.note", effect=Effect.AT_MOST_ONCE)
    TOOLS[note.name] = replace(note, compute=None, run=_note)
    for database in ("sqlite", "postgresql"):
        with yard(database, chain(100, note.name)) as place:
            url, nowhere = place.settings.database_url, "redis://127.0.0.1:1/0"
            with tempfile.TemporaryDirectory() as folder:
                settings = test_settings(Path(folder), url, REDIS_URL=nowhere)
                bell = _Quiet()
                runner = make_runner(settings, bell, lambda: None)
                runner.start()
                times = [_drive_ms(place, runner, bell) for _ in range(15)]
                runner.drain(5)
            report(f"intents.{database}.one_run", 100_000 / quantile(times, 0.5), "steps/s", 15)


async def _note(args: Any, ports: Any) -> dict[str, Any]:
    return {"answer": 2}


def _drive_ms(place: Yard, runner: Runner, bell: _Quiet) -> float:
    bell.done.clear()
    run = place.queue_run()
    runner.wake()
    assert bell.done.wait(30)
    with place.sessions() as session:
        bind_organization(session, place.organization)
        return float(session.get_one(Run, run).took_ms or 1)


class _FirstCommit(Exception):
    pass


class _Stops:
    """A journal that is done when the first batch comes."""

    async def commit(self, batch: Batch) -> None:
        raise _FirstCommit


def resume() -> None:
    """Milliseconds from a claim to the first new step of a run that has 1,000 finished ones."""
    for database in ("sqlite", "postgresql"):
        with yard(database, chain(STEPS // 2)) as place:
            run = place.queue_run()
            with place.sessions() as session:
                bind_organization(session, place.organization)
                session.execute(insert(Step), [_finished(run, place, n) for n in range(1, 499)])
                session.commit()
            times = [_resumed_ms(place) for _ in range(9)]
            report(f"resume_500.{database}.p50", quantile(times, 0.5), "ms", len(times))


def _finished(run: Any, place: Yard, number: int) -> dict[str, Any]:
    return {
        "run_id": run, "organization_id": place.organization, "path": f"s_{number}", "attempt": 1,
        "step_id": f"s_{number}", "kind": "tool", "state": "succeeded", "effect": "none",
        "idem_key": "dh-x", "result": {"value": 2}, "fence": 1, "seq": number,
    }  # fmt: skip


def _resumed_ms(place: Yard) -> float:
    from webapp.engine.driver import drive
    from webapp.engine.testing import fake_ports

    plan = load_plan(chain(STEPS // 2))
    claims = Claims(place.engine, f"w{time.perf_counter_ns()}", 60)
    with place.sessions() as session:
        bind_organization(session, place.organization)
        lease = session.query(Lease).one()
        lease.state, lease.fence = "ready", max(1, lease.fence)
        session.commit()
    began = time.perf_counter()
    [claimed] = claims.claim(1, Hints())
    readings = Readings(place.engine, None)  # type: ignore[arg-type]  # no large values here
    records = readings.records(claimed)
    facts = {"run": {"id": claimed.public}, "zone": "UTC"}
    journal: Journal = _Stops()
    try:
        asyncio.run(drive(plan, {}, facts, records, journal, fake_ports()))
    except _FirstCommit:
        pass
    took = time.perf_counter() - began
    claims.close()
    return took * 1000


def claim_cost() -> None:
    """Milliseconds of one claim with nothing else queued, with 100,000 queued runs, and beside
    100,000 paused runs and a workflow that has a limit.
    """
    for database in ("sqlite", "postgresql"):
        with yard(database, chain(1)) as place:
            with closing(Claims(place.engine, "bench", 60)) as claims:
                for queued in (0, 100_000):
                    _queue(place, queued)
                    times = [_claim_ms(place, claims) for _ in range(50)]
                    report(f"claim.{database}.at_{queued}", quantile(times, 0.5), "ms", len(times))
                _pause_all(place)
                times = [_claim_ms(place, claims) for _ in range(50)]
                report(f"claim.{database}.beside_paused", quantile(times, 0.5), "ms", len(times))


def _pause_all(place: Yard) -> None:
    """Let everything in line be paused, and limit the workflow of what is claimed."""
    with place.sessions() as session:
        bind_organization(session, place.organization)
        held = update(Lease).where(Lease.state == "ready")
        session.execute(held.values(state="paused", wait_reason="workflow"))
        session.add(Gate(scope_id=place.workflow, run_mode="parallel", most_running=1_000))
        session.commit()


def _claim_ms(place: Yard, claims: Claims) -> float:
    place.queue_run()
    began = time.perf_counter()
    assert claims.claim(1, Hints())
    return (time.perf_counter() - began) * 1000


def _queue(place: Yard, count: int) -> None:
    with place.sessions() as session:
        bind_organization(session, place.organization)
        for first in range(0, count, 5_000):
            ids = [new_id() for _ in range(min(5_000, count - first))]
            same = {"organization_id": place.organization}
            run = same | {
                "workflow_id": place.workflow, "version_id": place.version, "inputs": {},
                "started_by_kind": "system", "started_by_name": "bench",
            }  # fmt: skip
            session.execute(insert(Run), [run | {"id": one} for one in ids])
            lease = same | {"state": "ready", "workflow_id": place.workflow}
            session.execute(
                insert(Lease),
                [lease | {"run_id": one, "vtime": int(one.int >> 80)} for one in ids],
            )
            event = same | {"seq": 1, "at": now(), "type": "run.queued", "data": {}}
            session.execute(insert(Event), [event | {"run_id": one} for one in ids])
        session.commit()


PARTS: dict[str, Callable[[], None]] = {
    "by_hand": by_hand,
    "intents": intents,
    "resume": resume,
    "claim": claim_cost,
}

"""L3: one organization queues 2,000 runs; how long does another's run wait until it begins?"""

from __future__ import annotations

import time
from typing import Any, Final

from sqlalchemy import select

from bench.engine import yard
from bench.measure import quantile, report
from bench.plans import chain
from tests.runs.durable import Yard
from webapp.access.tenancy import bind_organization
from webapp.kernel.db import writing
from webapp.kernel.hints import Hints
from webapp.organizations.models import Organization
from webapp.runs.execution.runner import Runner, make_runner
from webapp.runs.models import Run
from webapp.runs.plans import learn_plan
from webapp.runs.starting import start_run
from webapp.workflows.models import Version, Workflow

CROWD: Final = 2_000
STARTS: Final = 100
EVERY_S: Final = 0.03


class Ring:
    """Wakes the one worker there is."""

    runner: Runner | None = None

    def send(self, _: list[Any]) -> None:
        if self.runner is not None:
            self.runner.wake()


def fairness() -> None:
    """Start delay (p95) of an organization alone, and beside one that has queued 2,000 runs."""
    for database in ("sqlite", "postgresql"):
        with yard(database, chain(5)) as crowd:
            quiet = _neighbor(crowd, chain(5))
            bell = Ring()
            nobody = {"redis_url": "redis://127.0.0.1:9"}  # these steps stream nothing
            settings = crowd.settings.model_copy(update=nobody)
            bell.runner = make_runner(settings, bell, lambda: None)
            bell.runner.start()
            alone = _delays_ms(quiet, bell, "alone")
            _start(crowd, bell, [f"crowd:{n}" for n in range(CROWD)])
            beside = _delays_ms(quiet, bell, "beside")
            bell.runner.drain(5.0)
            for name, delays in (("alone", alone), ("beside_2000", beside)):
                report(f"fairness.{database}.{name}.p95", quantile(delays, 0.95), "ms", len(delays))


def _neighbor(place: Yard, plan: dict[str, Any]) -> Yard:
    """Return another organization with a workflow of its own; both are made live."""
    other = Yard(place.engine, place.settings)
    with writing(), place.sessions() as session:
        session.add(Organization(id=other.organization, slug="quiet", name="Quiet"))
        session.flush()
        bind_organization(session, other.organization)
        session.add(Workflow(id=other.workflow, name="Weekly report"))
        session.flush()
        of = {"id": other.version, "workflow_id": other.workflow, "plan_sha": "0" * 64}
        session.add(Version(**of, number=1, plan=plan, by="Ada"))
        session.commit()
    for one in (place, other):
        with writing(), one.sessions() as session:
            bind_organization(session, one.organization)
            session.get_one(Workflow, one.workflow).live_version_id = one.version
            session.commit()
        learn_plan(one.version, one.workflow, 1, plan)
    return other


def _start(place: Yard, bell: Ring, keys: list[str]) -> None:
    with writing(), place.sessions() as session:
        ctx = place.context(session)
        for key in keys:
            start_run(ctx, place.workflow, {}, key=key)
        session.commit()
    hints = Hints()
    hints.ring("runs")
    hints.flush(bell)


def _delays_ms(place: Yard, bell: Ring, name: str) -> list[float]:
    for n in range(STARTS):
        _start(place, bell, [f"{name}:{n}"])
        time.sleep(EVERY_S)  # the pace of arrivals, not a wait for anything
    while True:
        with place.sessions() as session:
            bind_organization(session, place.organization)
            mine = select(Run).where(Run.idem_key.startswith(f"{name}:"))
            runs = session.scalars(mine).all()
        began = [run.started_at for run in runs if run.started_at is not None]
        if len(began) == STARTS:
            break
        time.sleep(0.05)
    return [
        (run.started_at - run.queued_at).total_seconds() * 1000
        for run in runs
        if run.started_at is not None
    ]

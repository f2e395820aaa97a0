"""Somebody moves the wall clock: what waits for a span waits on, what waits for a moment hears."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from jobs.base import make_machine
from webapp.access.tenancy import across_organizations
from webapp.kernel import clock
from webapp.kernel.ids import parse_id
from webapp.kernel.settings import Settings
from webapp.runs.execution import claims
from webapp.runs.execution.runner import Runner
from webapp.runs.models import Event, Lease, Step
from webapp.runs.upkeep import take_back_runs

DAY = timedelta(days=1)
Jump = Callable[[timedelta], None]


def waits(**how: Any) -> dict[str, Any]:
    return {"plan": 1, "steps": [{"id": "s_1", "kind": "wait", "name": "Wait", "with": how}]}


@pytest.fixture
def jump(monkeypatch: pytest.MonkeyPatch) -> Jump:
    """Return a function that moves this process's wall clock."""

    def by(span: timedelta) -> None:
        class Wrong(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Any:
                return datetime.now(tz) + span

        monkeypatch.setattr(clock, "datetime", Wrong)

    claims._WALL.jumped()  # since the test before, whose clock was wrong
    return by


class Watched:
    """One run as its rows say it is."""

    def __init__(self, engine: Any, run: str) -> None:
        self.engine = engine
        self.run_id = parse_id("run", run)

    def read(self, what: Any) -> list[Any]:
        with Session(self.engine) as session, across_organizations(session, "a test looks"):
            return list(session.scalars(what))

    def events(self) -> list[str]:
        asked = select(Event.type).where(Event.run_id == self.run_id).order_by(Event.seq)
        return self.read(asked)

    def parked(self, times: int) -> None:
        """Return when the run has begun to wait so often."""
        until = time.monotonic() + 20
        while self.events().count("run.waiting") < times:
            assert time.monotonic() < until, self.events()
            time.sleep(0.02)

    def left_s(self) -> float:
        """Return the seconds until the run is looked at again."""
        [lease] = self.read(select(Lease).where(Lease.run_id == self.run_id))
        assert lease.due_at is not None
        return (lease.due_at - self.lease_clock()) / 1000

    def lease_clock(self) -> int:
        if self.engine.dialect.name == "sqlite":
            return clock.boot_ms()
        return round(time.time() * 1000)


@pytest.fixture
def watch(runner: Runner) -> Callable[[str], Watched]:
    return lambda run: Watched(runner.engine, run)


def test_a_wait_for_an_hour_takes_an_hour_although_the_clock_jumps_by_a_day(
    make_live: Any, start: Any, jump: Jump, runner: Runner, watch: Any
) -> None:
    run = watch(start(make_live(waits(for_s=3600))).get_json()["id"])
    runner.wake()
    run.parked(1)

    jump(DAY)  # the worker's keeper notices, and looks at everything that waits

    run.parked(2)
    assert 3500 < run.left_s() <= 3600
    assert "run.done" not in run.events()


def test_a_wait_until_tomorrow_is_over_when_the_clock_says_so(
    make_live: Any, start: Any, finish: Any, jump: Jump, runner: Runner, watch: Any
) -> None:
    moment = (datetime.now(UTC) + timedelta(hours=20)).isoformat()
    started = start(make_live(waits(until=moment))).get_json()["id"]
    runner.wake()
    watch(started).parked(1)

    jump(DAY)

    assert finish(started)["state"] == "done"


def test_a_clock_that_goes_back_lets_a_moment_wait_on(
    make_live: Any, start: Any, jump: Jump, runner: Runner, watch: Any
) -> None:
    moment = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    run = watch(start(make_live(waits(until=moment))).get_json()["id"])
    runner.wake()
    run.parked(1)

    jump(-DAY)

    run.parked(2)
    assert run.left_s() > 20 * 3600


def test_after_a_reboot_the_wall_clock_tells_how_much_of_a_span_is_left(
    make_live: Any, start: Any, runner: Runner, watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = watch(start(make_live(waits(for_s=3600))).get_json()["id"])
    runner.wake()
    run.parked(1)
    [step] = run.read(select(Step).where(Step.run_id == run.run_id))
    another = runner.readings

    due, left_s = another._due(step.due_at, 99, "a boot of the past")

    on_postgres = runner.engine.dialect.name == "postgresql"
    assert due is None
    assert left_s == 0.099 if on_postgres else 3500 < left_s <= 3600


def test_the_steward_notices_too(
    make_live: Any, start: Any, jump: Jump, runner: Runner, watch: Any, settings: Settings
) -> None:
    moment = (datetime.now(UTC) + timedelta(hours=20)).isoformat()
    run = watch(start(make_live(waits(until=moment))).get_json()["id"])
    runner.wake()
    run.parked(1)
    runner.drain(5)  # no worker is left that could notice
    machine = make_machine(settings)
    take_back_runs(machine.sessions, machine.bell)
    assert run.events()[-1] == "run.waiting"

    jump(DAY)

    take_back_runs(machine.sessions, machine.bell)
    machine.close()
    assert run.events()[-1] == "run.requeued"

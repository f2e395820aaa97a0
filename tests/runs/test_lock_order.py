"""Runs that belong together are locked in one order, so that no two wait for each other.

Somebody holds the run above, as whoever cancels it does first of all. Who ends the run below has to
wait for that, and may hold nothing meanwhile that the other goes on to take.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from tests.fixtures import Program
from tests.runs.following import API, DEADLINE_S, Follow, until
from tests.runs.test_signals import HELLO, calling
from webapp.access.tenancy import across_organizations
from webapp.kernel.db import make_sessions, writing
from webapp.kernel.ids import parse_id, public_id
from webapp.runs.execution.runner import Runner
from webapp.runs.models import Lease, Run

ASKS = {"id": "s_9", "kind": "wait", "name": "Paid", "with": {"signal": {"name": "paid"}}}


@pytest.fixture
def family(make_live: Any, start: Any, runner: Runner, follow: Follow, engine: Engine) -> list[str]:
    """A run that waits for one that waits for a signal: both by their ids."""
    below = HELLO | {"steps": [*HELLO["steps"], ASKS]}
    above = calling(make_live(below, "Other"))
    run = start(make_live(above, "Caller")).get_json()["id"]
    runner.wake()
    follow.until(run, "waiting")
    with make_sessions(engine)() as session, across_organizations(session, "a test looks"):
        query = select(Run.id).where(Run.parent_run == parse_id("run", run))
        child = public_id("run", session.scalars(query).one())
    until(lambda: runner.wake() or follow.get(child)["state"] == "waiting", "both wait")
    return [run, child]


@contextmanager
def holding(engine: Engine, run: str, runner: Runner) -> Iterator[Callable[[str], None]]:
    """Hold a run, and give a function that takes another one, too, as soon as somebody waits."""
    with writing(), make_sessions(engine)() as session:
        with across_organizations(session, "a test holds a run"):
            lock(session, parse_id("run", run))

            def take(other: str) -> None:
                until(
                    lambda: runner.wake() or someone_waits(session),
                    "somebody waits for the run that is held",
                )
                if engine.dialect.name == "postgresql":
                    session.execute(text("SET LOCAL lock_timeout = '500ms'"))
                lock(session, parse_id("run", other))

            yield take
        session.rollback()


def lock(session: Session, run: UUID) -> None:
    session.execute(select(Lease.seq).where(Lease.run_id == run).with_for_update())


def someone_waits(session: Session) -> bool:
    """Whether somebody is kept waiting; on SQLite a writer keeps all others so."""
    if session.get_bind().dialect.name == "sqlite":
        return True
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    return bool(session.scalar(text(waits)))


def test_who_cancels_the_run_below_waits_for_the_one_above_with_empty_hands(
    family: list[str], program: Program, follow: Follow, runner: Runner, engine: Engine
) -> None:
    above, below = family
    pressed = threading.Thread(target=program.post, args=(f"{API}/runs/{below}/cancel",))

    with holding(engine, above, runner) as take:
        pressed.start()
        take(below)
    pressed.join(DEADLINE_S)

    follow.until(below, "cancelled")
    until(lambda: runner.wake() or follow.get(above)["state"] == "failed", "the run above hears")


def test_a_worker_that_ends_the_run_below_waits_with_empty_hands_too(
    family: list[str], program: Program, follow: Follow, runner: Runner, engine: Engine
) -> None:
    above, below = family

    with holding(engine, above, runner) as take:
        signals = threading.Thread(
            target=program.post,
            args=(f"{API}/runs/{below}/signals",),
            kwargs={"json": {"name": "paid"}},
        )
        signals.start()
        take(below)
    signals.join(DEADLINE_S)

    for run in (below, above):
        until(lambda run=run: runner.wake() or follow.get(run)["state"] == "done", "it is done")  # type: ignore[misc]

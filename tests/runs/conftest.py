"""Workflows that are live, a runner that works on their runs, and the parts it is made of."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import Engine

from jobs.base import Machine, make_machine
from jobs.sweeping import sweep
from tests.conftest import test_settings
from tests.fixtures import HeardBell, Program
from tests.runs.counter import Counter
from tests.runs.durable import Yard
from tests.runs.following import Follow, pausing
from tests.runs.sink import Sink
from webapp.files.shelf import DiskShelf
from webapp.kernel.db import make_engine
from webapp.kernel.hints import Ring, Tell
from webapp.kernel.rawsql import sql_for
from webapp.kernel.settings import Settings
from webapp.live.bell import RedisBell
from webapp.runs.execution.claims import Claimed
from webapp.runs.execution.journal import RunJournal
from webapp.runs.execution.runner import Runner, make_runner
from webapp.runs.execution.writer import JournalWriter

MakeLive = Callable[..., str]


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A server of this test's own that runs may reach."""
    made = Sink()
    threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
    yield made
    made.shutdown()
    made.server_close()


@pytest.fixture
def counter() -> Iterator[Counter]:
    made = Counter()
    yield made
    made.close()


@pytest.fixture
def settings(
    tmp_path: Path, database_url: str, redis_url: str, request: pytest.FixtureRequest
) -> Settings:
    """Settings of the profile `testing`, with the way open to the server the test has, if any."""
    more = {"REDIS_URL": redis_url}
    if "counter" in request.fixturenames:
        port = request.getfixturevalue("counter").port
        more["OUTBOUND_ALLOW"] = f"127.0.0.1/32:{port}"
    elif "sink" in request.fixturenames:
        port = request.getfixturevalue("sink").server_address[1]
        more["OUTBOUND_ALLOW"] = f"127.0.0.1/32:{port}"
    return test_settings(tmp_path, database_url, **more)


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    made = make_engine(settings.database_url)
    yield made
    made.dispose()


@pytest.fixture
def yard(engine: Engine, settings: Settings) -> Yard:
    return Yard(engine, settings).open()


@pytest.fixture
def writer(engine: Engine) -> Iterator[JournalWriter]:
    made = JournalWriter(engine, "w1")
    made.start()
    yield made
    made.close()


@pytest.fixture
def shelf(tmp_path: Path) -> DiskShelf:
    return DiskShelf(tmp_path / "files")


@pytest.fixture
def journal_of(
    writer: JournalWriter, engine: Engine, shelf: DiskShelf
) -> Callable[[Claimed], RunJournal]:
    sql = sql_for(engine.dialect.name)
    return lambda claimed: RunJournal(claimed, writer, sql, shelf, "w1", 15_000)


@pytest.fixture
def make_live(program: Any) -> MakeLive:
    """Return a function that makes a workflow, puts it live, and returns its id."""

    def make(plan: dict[str, Any], name: str = "Greeting", live: bool = True) -> str:
        made = program.post("/api/v1/workflows", json={"name": name, "plan": plan})
        assert made.status_code == 201, made.text
        workflow: str = made.get_json()["id"]
        if live:
            answer = program.post(f"/api/v1/workflows/{workflow}/live", json={})
            assert answer.status_code == 200, answer.text
        return workflow

    return make


class WakingBell(RedisBell):
    """Wakes a worker of this process, as the job that is rung for does in the worker's own."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.on_ring: Callable[[], None] = lambda: None

    def send(self, hints: list[Ring | Tell]) -> None:
        super().send(hints)
        if any(isinstance(hint, Ring) for hint in hints):
            self.on_ring()


@pytest.fixture
def runner(app: Flask, settings: Settings, bell: HeardBell) -> Iterator[Runner]:
    """A worker's runner in this process, which hears the bell."""
    own = WakingBell(settings.redis_url)
    made = make_runner(settings, own, lambda: None)
    own.on_ring = bell.on_ring = made.wake
    made.start()
    yield made
    made.drain(5.0)


Start = Callable[..., Any]


@pytest.fixture
def start(program: Any) -> Start:
    """Return a function that starts a run by the API and returns the answer."""

    def send(workflow: str, key: str = "", prefer: str = "", **body: Any) -> Any:
        headers = {"Idempotency-Key": key or str(uuid4())} | ({"Prefer": prefer} if prefer else {})
        return program.post(f"/api/v1/workflows/{workflow}/run", json=body, headers=headers)

    return send


Finish = Callable[[str], dict[str, Any]]


@pytest.fixture
def finish(program: Any, request: pytest.FixtureRequest) -> Finish:
    """Return a function that lets a runner work until the run is settled; before, none works."""

    def wait(run: str) -> dict[str, Any]:
        runner: Runner = request.getfixturevalue("runner")
        pauses = pausing()
        while True:
            runner.wake()
            found: dict[str, Any] = program.get(f"/api/v1/runs/{run}").get_json()
            if found["state"] in {"done", "failed", "cancelled", "needs_review"}:
                return found
            assert next(pauses), f"the run is still {found['state']}"

    return wait


@pytest.fixture
def machine(settings: Settings) -> Iterator[Machine]:
    made = make_machine(settings)
    yield made
    made.close()


@pytest.fixture
def follow(program: Program) -> Follow:
    return Follow(program)


@pytest.fixture
def steward(machine: Machine) -> Iterator[None]:
    """Sweeps, as beside every worker: what somebody else has locked is moved by the next sweep."""
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.1):
            sweep(machine)

    thread = threading.Thread(target=work)
    thread.start()
    yield
    over.set()
    thread.join()

"""L3 and L5 with processes of their own: what one organization does, and how another fares.

Everything runs as `deckhand up` starts it, with as many workers as it chooses itself. How long a
run waited before it began is told by its own record: from `run.queued` to `run.started`.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy.orm import Session

from bench.load import start_runs
from bench.measure import cpu_s, quantile, report
from bench.plans import chain
from tests import services
from tests.chaos.client import Client
from tests.chaos.house import House
from tests.chaos.model import Model
from tests.chaos.sink import Sink
from webapp import tables
from webapp.kernel.db import make_engine
from webapp.organizations.models import Organization

CROWD: Final = 10_000
STARTS: Final = 200
EVERY_S: Final = 0.1
SLOW_S: Final = 2.0
"""How long the service takes that the crowd's runs call: 64 places do 32 of them a second."""
HANGS_S: Final = 600.0
STUCK: Final = 200
"""Runs of the organization whose model hangs: more than all workers have places."""
ASKS: Final = 200


@contextmanager
def _street(database: str, **env: str) -> Iterator[tuple[House, Client]]:
    """Yield a Deckhand with default workers, and a client of a second organization."""
    with tempfile.TemporaryDirectory() as folder:
        server = services.Postgres() if database == "postgresql" else None
        url = server.create() if server else f"sqlite:///{folder}/deckhand.sqlite3"
        more = {"DATABASE_URL": url} if server else {}
        place = House(Path(folder), workers=None, **more, **env)
        place.boot()
        try:
            tables.load()
            engine = make_engine(url)
            with Session(engine) as session:
                session.add(Organization(slug="quiet", name="Quiet"))
                session.commit()
            engine.dispose()
            made = place.command("keys", "create", "--name", "q", "--org", "quiet", "--json")
            yield place, Client(place.url, json.loads(made)["key"])
        finally:
            place.stop()
            if server is not None:
                server.stop()


def _delays_ms(client: Client, workflow: str, name: str, starts: int = STARTS) -> list[float]:
    """Start runs at a quiet pace; return how long each waited before it began."""
    runs = []
    for number in range(starts):
        began = time.monotonic()
        runs.append(client.start(workflow, f"{name}-{number}"))
        time.sleep(max(0.0, EVERY_S - (time.monotonic() - began)))  # the pace of arrivals
    return [_delay_ms(client, run) for run in runs]


def _delay_ms(client: Client, run: str) -> float:
    client.settled(run, 120)
    told = client.until("GET", f"/api/v1/runs/{run}/logs")["items"]
    at = {one["type"]: datetime.fromisoformat(one["at"]) for one in reversed(told)}
    return (at["run.started"] - at["run.queued"]).total_seconds() * 1000


def _report(name: str, alone: list[float], beside: list[float]) -> None:
    for which, delays in (("alone", alone), ("beside", beside)):
        for q in (0.5, 0.95):
            report(f"{name}.{which}.p{q * 100:.0f}", quantile(delays, q), "ms", len(delays))
    report(f"{name}.times", quantile(beside, 0.95) / quantile(alone, 0.95), "x", len(beside))


def crowd() -> None:
    """L3: an organization queues 10,000 runs; start delay (p95) of another beside it."""
    for database in ("sqlite", "postgresql"):
        for kind, plan in (("calculates", chain(5)), ("waits", None)):
            with _street(database) as (place, quiet), _outside(SLOW_S) as sink:
                _one_crowd(f"crowd.{database}.{kind}", place, quiet, plan or _calls(sink))


def _calls(url: str) -> dict[str, Any]:
    step = {"id": "s_1", "kind": "http", "with": {"method": "PUT", "url": f"{url}/"}}
    return {"plan": 1, "inputs": [], "steps": [step], "result": []}


def _one_crowd(name: str, place: House, quiet: Client, plan: dict[str, Any]) -> None:
    theirs = place.live("Crowd", plan)
    mine = quiet.live("Weekly report", chain(5))
    _delays_ms(quiet, mine, "warm", 20)
    alone = _delays_ms(quiet, mine, "alone")
    held = "http" not in str(plan)  # what only calculates would be done before it is queued
    if held:
        place.until("POST", "/api/v1/queue/pause")
    began = time.monotonic()
    loader = multiprocessing.Process(target=_load, args=(place.url, place.key, theirs, CROWD))
    loader.start()
    queueing = _delays_ms(quiet, mine, "queueing")
    loader.join()
    report(f"{name}.queued_in", time.monotonic() - began, "s", CROWD)
    report(f"{name}.while_queueing.p95", quantile(queueing, 0.95), "ms", len(queueing))
    if held:  # put back in line 500 at a time, one time a sweep
        place.until("POST", "/api/v1/queue/resume")
    used, began = cpu_s(place.pids()), time.monotonic()
    beside = _delays_ms(quiet, mine, "beside")
    busy = (cpu_s(place.pids()) - used) / (time.monotonic() - began)
    left = place.until("GET", "/api/v1/queue")
    report(f"{name}.cores_busy", busy, "cores", os.cpu_count() or 1)
    print(json.dumps({"name": f"{name}.left", "queue": left}), flush=True)
    _report(name, alone, beside)


def _load(url: str, key: str, workflow: str, count: int) -> None:
    """Start so many runs, eight at a time: a program of its own."""
    numbers = iter(range(count))
    lock = threading.Lock()

    def work() -> None:
        client = Client(url, key)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            client.start(workflow, f"crowd-{number}")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def stuck() -> None:
    """L5: the model hangs for one organization; how long do another's runs take beside it?"""
    for database in ("sqlite", "postgresql"):
        with _model() as env, _street(database, **env) as (place, quiet):
            theirs = place.live("Stuck", _agent("hang"))
            mine = quiet.live("Quick", _agent("Be quick."))
            start_runs(place.port, quiet.key, mine, 1, 20, {})
            alone = _took_ms(place, quiet, mine)
            _load(place.url, place.key, theirs, STUCK)
            waits = place.until("GET", "/api/v1/queue")
            print(json.dumps({"name": f"stuck.{database}.queue", "queue": waits}), flush=True)
            _report(f"stuck.{database}", alone, _took_ms(place, quiet, mine))


def _took_ms(place: House, quiet: Client, workflow: str) -> list[float]:
    """Start runs one after the other; return how long each took to be answered as finished."""
    outcome = start_runs(place.port, quiet.key, workflow, 1, ASKS, {})
    assert not outcome.errors, outcome.errors[:3]
    return [took * 1000 for took in outcome.took_s]


def _agent(message: str) -> dict[str, Any]:
    inline = {"instructions": "Be brief.", "model": "default", "answer_tokens": 40}
    step = {"id": "s_1", "kind": "agent", "with": {"inline": inline, "message": message}}
    return {"plan": 1, "inputs": [], "steps": [step], "result": []}


@contextmanager
def _outside(pause_s: float) -> Iterator[str]:
    """Yield the address of a service that takes its time, in a process of its own."""
    with _elsewhere(_serve, pause_s) as url:
        yield str(url)


@contextmanager
def _model() -> Iterator[dict[str, str]]:
    """Yield what Deckhand needs to be told to ask a model that hangs when it is asked to."""
    with _elsewhere(_think, HANGS_S) as env:
        yield env


@contextmanager
def _elsewhere(work: Any, given: float) -> Iterator[Any]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=work, args=(theirs, given), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.kill()
        process.join()


def _serve(pipe: Any, pause_s: float) -> None:
    pipe.send(Sink(pause_s).url)
    threading.Event().wait()


def _think(pipe: Any, hangs_s: float) -> None:
    pipe.send(Model(hangs_s).env)
    threading.Event().wait()

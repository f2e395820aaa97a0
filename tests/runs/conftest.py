"""Workflows that are live, and a runner that works on their runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask

from webapp.kernel.settings import Settings
from webapp.live.bell import RedisBell
from webapp.runs.execution.runner import Runner, make_runner

MakeLive = Callable[..., str]
DEADLINE_S = 20.0


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


@pytest.fixture
def runner(app: Flask, settings: Settings) -> Iterator[Runner]:
    """A worker's runner in this process, rung by hand: `runner.wake()`."""
    made = make_runner(settings, RedisBell(settings.redis_url), lambda: None)
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
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            runner.wake()
            found: dict[str, Any] = program.get(f"/api/v1/runs/{run}").get_json()
            if found["state"] in {"done", "failed", "cancelled", "needs_review"}:
                return found
            time.sleep(0.02)
        raise AssertionError(f"the run is still {found['state']}")

    return wait

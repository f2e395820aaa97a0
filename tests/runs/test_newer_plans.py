"""A worker that meets a plan of a later format hands the run back; a newer one finishes it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from tests.workflows.plans import plan_of
from tests.workflows.plans import text as say
from webapp.engine import plan_readers
from webapp.runs import plans
from webapp.runs.execution import driving
from webapp.runs.execution.runner import Runner
from webapp.runs.execution.statements import SEE_EVERYTHING


@contextmanager
def every_row(engine: Engine) -> Iterator[Connection]:
    """Yield a transaction that row-level security hides nothing from."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text(SEE_EVERYTHING))
        yield connection


@pytest.fixture
def later(
    program: Any, start: Any, make_live: Any, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """A run of a plan that a newer process has put live, as this process finds it.

    No worker is there yet: the first look of one may come before the test itself begins.
    """
    monkeypatch.setattr(driving, "_NEWER_WORKER_S", 0.2)
    workflow = make_live(plan_of(say("s_1", "Hello.")))
    run = start(workflow).get_json()["id"]
    newer = json.dumps(plan_of(say("s_1", "Hello.")) | {"plan": 2})
    with every_row(engine) as connection:
        connection.execute(text("UPDATE version SET plan = :plan"), {"plan": newer})
    plans._plans.clear()
    return run


def until(program: Any, runner: Runner, run: str, states: set[str]) -> dict[str, Any]:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        runner.wake()
        found: dict[str, Any] = program.get(f"/api/v1/runs/{run}").get_json()
        if found.get("state") in states:
            return found
        time.sleep(0.02)
    raise AssertionError(found)


def test_a_later_plan_waits_for_a_newer_worker_and_does_not_fail(
    program: Any, later: str, runner: Runner, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = ""
    end = time.monotonic() + 20
    while state != "waiting" and time.monotonic() < end:
        runner.wake()
        with every_row(engine) as connection:
            state = connection.execute(text("SELECT state FROM run")).scalar_one()
            rows = connection.execute(text("SELECT count(*) FROM step")).scalar_one()
        time.sleep(0.02)
    assert (state, rows) == ("waiting", 0)

    as_before = plan_readers.READERS[1]
    reader = lambda doc, level: as_before(doc | {"plan": 1}, level)
    monkeypatch.setitem(plan_readers.READERS, 2, reader)
    found = until(program, runner, later, {"done", "failed"})

    assert found["state"] == "done"


def test_pages_and_answers_about_a_later_plan_say_so(owner: Any, program: Any, later: str) -> None:
    answer = program.get(f"/api/v1/runs/{later}")
    assert (answer.status_code, answer.get_json()["code"]) == (503, "E-NEWER")
    assert answer.headers["Retry-After"] == "60"
    page = owner.get(f"/o/acme/runs/{later}")
    assert page.status_code == 503
    assert "A newer Deckhand is being started" in page.text
    assert owner.get("/o/acme/runs").status_code == 200

"""A step ends while what it wants is being started: nothing is left that nobody would end.

The start of a run is stopped on its way, in the worker's own thread: before it looks whether its
step still wants it, or when everything is written and only the commit is left.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from tests.conftest import test_settings
from tests.fixtures import Program
from tests.runs.following import API, DEADLINE_S, Follow, until
from tests.runs.test_parts import SAYS, over
from tests.runs.test_signals import HELLO, calling
from webapp.access.tenancy import across_organizations
from webapp.kernel.db import make_sessions, reading
from webapp.kernel.ids import parse_id
from webapp.kernel.settings import Settings
from webapp.runs import starting
from webapp.runs.execution.children import ChildRuns
from webapp.runs.execution.runner import Runner
from webapp.runs.execution.writer import JournalWriter
from webapp.runs.models import Run

WAITS = {"id": "s_9", "kind": "wait", "name": "Later", "with": {"for_s": 3600}}
SLOW = HELLO | {"steps": [*HELLO["steps"], WAITS]}


@pytest.fixture
def settings(tmp_path: Path, database_url: str, redis_url: str) -> Settings:
    return test_settings(tmp_path, database_url, REDIS_URL=redis_url, EACH_SPLIT="10")


class Gate:
    """Where a start waits on its way.

    Attributes:
        come: it is there; go: it may pass; left: it has been committed or refused.
        ends: the end of its step is to be written.
    """

    def __init__(self) -> None:
        self.come, self.go, self.left, self.ends = (threading.Event() for _ in range(4))

    def wait(self) -> None:
        self.come.set()
        assert self.go.wait(DEADLINE_S)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch, where: str) -> Gate:
    made = Gate()
    look, accept, start = ChildRuns._check_wanted, starting.accept, ChildRuns._start
    submit = JournalWriter.submit

    def looks(self: Any, *given: Any) -> None:
        if where == "before":
            made.wait()
        look(self, *given)

    def accepts(ctx: Any, run: Run, *given: Any, **more: Any) -> Run:
        found = accept(ctx, run, *given, **more)
        if where == "written" and run.parent_run is not None:
            made.wait()
        return found

    def starts(self: Any, *given: Any) -> Any:
        try:
            return start(self, *given)
        finally:
            made.left.set()

    def submits(self: Any, write: Any) -> None:
        if write.ended or write.ending is not None:
            made.ends.set()
        submit(self, write)

    monkeypatch.setattr(ChildRuns, "_check_wanted", looks)
    monkeypatch.setattr(ChildRuns, "_start", starts)
    monkeypatch.setattr(starting, "accept", accepts)
    monkeypatch.setattr(JournalWriter, "submit", submits)
    return made


Children = Callable[[str], list[Run]]


@pytest.fixture
def children(engine: Engine) -> Children:
    """Return a function that returns what the steps of a run have started."""

    def find(run: str) -> list[Run]:
        with reading(), make_sessions(engine)() as session:
            with across_organizations(session, "a test looks"):
                query = select(Run).where(Run.parent_run == parse_id("run", run))
                return list(session.scalars(query))

    return find


def settle(gate: Gate, runner: Runner, children: Children, run: str, where: str) -> None:
    """See that the start has come to an end, and that nothing it began goes on."""
    assert gate.left.wait(DEADLINE_S)
    assert len(children(run)) == (1 if where == "written" else 0)

    def is_over() -> bool:
        runner.wake()
        return all(child.state == "cancelled" for child in children(run))

    until(is_over, "what was started is ended", lambda: [one.state for one in children(run)])


@pytest.mark.parametrize("where", ["before", "written"])
def test_a_step_that_takes_too_long_leaves_no_run_that_it_was_starting(
    gate: Gate, where: str, make_live: Any, start: Any, runner: Runner, follow: Follow,
    children: Children,
) -> None:  # fmt: skip
    plan = calling(make_live(SLOW, "Other"))
    plan["steps"][0]["timeout_s"] = 1
    run = start(make_live(plan, "Caller")).get_json()["id"]
    runner.wake()
    assert gate.come.wait(DEADLINE_S)

    assert gate.ends.wait(DEADLINE_S)
    if where == "before":
        follow.until(run, "failed")
    gate.go.set()

    follow.until(run, "failed")
    settle(gate, runner, children, run, where)


@pytest.mark.parametrize("where", ["before", "written"])
@pytest.mark.parametrize("what", ["a workflow", "a part"])
def test_a_run_that_is_cancelled_leaves_nothing_that_its_steps_were_starting(
    gate: Gate, where: str, what: str, program: Program, make_live: Any, start: Any,
    runner: Runner, follow: Follow, children: Children,
) -> None:  # fmt: skip
    if what == "a part":
        given = {"inputs": {"items": list(range(20))}}
        run = start(make_live(over(20, SAYS, WAITS, at_once=1)), **given).get_json()["id"]
    else:
        plan = calling(make_live(SLOW, "Other"))
        run = start(make_live(plan, "Caller")).get_json()["id"]
    runner.wake()
    assert gate.come.wait(DEADLINE_S)

    pressed = threading.Thread(target=program.post, args=(f"{API}/runs/{run}/cancel",))
    pressed.start()
    if where == "before":
        follow.until(run, "cancelled")
    gate.go.set()
    pressed.join(DEADLINE_S)

    follow.until(run, "cancelled")
    settle(gate, runner, children, run, where)


@pytest.mark.parametrize("where", ["before", "written"])
@pytest.mark.parametrize("what", ["a workflow", "a part"])
def test_what_a_run_was_starting_when_it_was_paused_rests_and_goes_on_with_it(
    gate: Gate, where: str, what: str, make_live: Any, start: Any, runner: Runner, follow: Follow,
    children: Children,
) -> None:  # fmt: skip
    if what == "a part":
        given = {"inputs": {"items": list(range(20))}}
        run = start(make_live(over(20, SAYS, WAITS, at_once=1)), **given).get_json()["id"]
    else:
        run = start(make_live(calling(make_live(SLOW, "Other")), "Caller")).get_json()["id"]
    runner.wake()
    assert gate.come.wait(DEADLINE_S)

    with ThreadPoolExecutor(1) as presses:
        pressed = presses.submit(follow.do, f"runs/{run}/pause")
        if where == "before":
            assert pressed.result().status_code == 200
        gate.go.set()
        assert pressed.result().status_code == 200

    until(lambda: [one.state for one in children(run)] == ["paused"], "what was started rests")
    follow.until(run, "paused")
    assert [one.state for one in children(run)] == ["paused"]
    follow.do(f"runs/{run}/resume")
    runner.wake()
    until(lambda: [one.state for one in children(run)] == ["waiting"], "it goes on")

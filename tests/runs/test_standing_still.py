"""A worker that stands still between its commit and the network, and wakes when its lease is over."""

from __future__ import annotations

from typing import Any

import pytest

from tests.runs.following import until
from tests.runs.sink import Sink, post
from tests.runs.test_signals import eventually
from tests.workflows.plans import plan_of
from webapp.runs.execution.journal import RunJournal
from webapp.runs.execution.runner import Runner

LEAVING = 2
"""The first look is behind the commit of the intent."""


def test_what_it_had_in_hand_does_not_leave_it(
    program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    looks: list[RunJournal] = []
    look = RunJournal.check_held

    def sleep_and_look(journal: RunJournal) -> None:
        looks.append(journal)
        if len(looks) == LEAVING:
            journal.renewed_ms -= runner.settings.lease_s * 1000 + 1
        look(journal)

    monkeypatch.setattr(RunJournal, "check_held", sleep_and_look)
    run = start(make_live(plan_of(post("s_1", sink.url)))).get_json()["id"]

    until(lambda: len(looks) == LEAVING and not runner.active, "it has let go of the run")

    assert sink.sent == []
    found = program.get(f"/api/v1/runs/{run}").get_json()
    assert (found["state"], found["tasks"][0]["state"]) == ("running", "intent")


def test_its_keeper_renews_what_is_at_work_for_longer_than_a_lease(
    program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink
) -> None:
    sink.speaks.clear()
    run = start(make_live(plan_of(post("s_1", sink.url)))).get_json()["id"]
    until(lambda: sink.sent == ["/"], "it is on its way")
    [active] = runner.active.values()
    assert active.journal is not None
    before = active.journal.renewed_ms

    until(lambda: active.journal.renewed_ms > before, "the keeper has beaten")

    sink.speaks.set()
    assert eventually(program, run, "done")["state"] == "done"

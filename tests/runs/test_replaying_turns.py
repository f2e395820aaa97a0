"""Many runs run again in small transactions, and each as the run mode of its workflow says."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from tests.fixtures import Browser, House
from tests.runs.sink import Sink, post
from tests.runs.test_limits import pace as set_pace
from tests.runs.test_pages import counted
from tests.runs.test_replaying import CAUSES, ONCE, causes_on, replay
from tests.runs.test_signals import eventually
from tests.workflows.plans import plan_of
from webapp.access.tenancy import bind_organization
from webapp.kernel.db import reading, writing
from webapp.kernel.ids import parse_id
from webapp.runs import replaying
from webapp.runs.execution.runner import Runner
from webapp.runs.models import Run, Step
from webapp.web.database import db


@pytest.fixture
def failed(program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink) -> list[str]:
    """Four runs of one workflow that failed at its step, and then go well."""
    sink.refused.add("/one")
    shop = make_live(plan_of(post("s_1", f"{sink.url}/one")))
    runs = [start(shop).get_json()["id"] for _ in range(4)]
    for run in runs:
        eventually(program, run, "failed")
    sink.refused.clear()
    return runs


@pytest.fixture
def one_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each turn is over at once, so that every run has a transaction of its own."""
    monkeypatch.setattr(replaying, "TURN_S", 0.0)


class Died(Exception):
    """The process that answered is no more."""


@contextmanager
def dying(app: Flask, behind: int) -> Iterator[None]:
    """Let whoever answers die before the commit that follows so many commits."""
    seen = 0

    def die(_connection: Any) -> None:
        nonlocal seen
        seen += 1
        if seen > behind:
            raise Died

    with app.app_context():
        engine = db.engine
    event.listen(engine, "commit", die)
    try:
        yield
    finally:
        event.remove(engine, "commit", die)


def repeated(app: Flask, acme: House) -> list[Any]:
    """Return what was run again, once for each repetition."""
    with app.app_context(), reading(), Session(db.engine) as session:
        bind_organization(session, acme.organization_id)
        query = select(Run.again_of).where(Run.again_of.is_not(None)).order_by(Run.again_of)
        return list(session.scalars(query))


def ids(runs: list[str]) -> list[Any]:
    return sorted(parse_id("run", run) for run in runs)


def cause(program: Any) -> Any:
    return program.get("/api/v1/failures").get_json()["items"][0]


def test_a_press_that_dies_between_two_transactions_goes_on_where_it_was(
    app: Flask, acme: House, program: Any, failed: list[str], one_a_turn: None
) -> None:
    first = cause(program)

    with dying(app, behind=3):  # one commit chooses, two start one each
        lost = replay(program, [first], pace=600, key="press-1")
    after_death = repeated(app, acme)
    answer = replay(program, [first], pace=600, key="press-1")
    again = replay(program, [first], pace=600, key="press-1")

    assert lost.status_code == 500
    assert after_death == ids(failed[:2])
    assert answer.status_code == 202, answer.text
    assert len(set(answer.get_json()["runs"])) == 4
    assert again.get_json() == answer.get_json()
    assert repeated(app, acme) == ids(failed)
    for run in answer.get_json()["runs"]:
        assert eventually(program, run, "done", "failed")["state"] == "done"


def test_what_died_is_left_for_whoever_presses_anew(
    app: Flask, acme: House, program: Any, failed: list[str], one_a_turn: None
) -> None:
    first = cause(program)
    with dying(app, behind=3):
        replay(program, [first], pace=600, key="press-1")

    new = replay(program, [first], pace=600, key="press-2")
    old = replay(program, [first], pace=600, key="press-1")
    changed = replay(program, [first], pace=60, key="press-1")

    assert len(new.get_json()["runs"]) == len(old.get_json()["runs"]) == 2
    assert not set(new.get_json()["runs"]) & set(old.get_json()["runs"])
    assert (changed.status_code, changed.get_json()["code"]) == (422, "E-IDEM-OTHER")
    assert repeated(app, acme) == ids(failed)


def test_presses_at_the_same_moment_run_each_once_and_answer_alike(
    app: Flask, acme: House, program: Any, failed: list[str], one_a_turn: None
) -> None:
    first = cause(program)

    with ThreadPoolExecutor(4) as presses:
        keys = ["press-1", "press-1", "press-2", "press-2"]
        said = list(presses.map(lambda key: replay(program, [first], key=key), keys))

    assert repeated(app, acme) == ids(failed)
    assert {answer.status_code for answer in said} <= {202, 409}
    told = [{**answer.get_json(), "ref": ""} for answer in said]
    assert told[0] == told[1]
    assert told[2] == told[3]


def test_no_transaction_of_a_press_starts_more_than_fits_in_a_moment(
    app: Flask, owner: Browser, failed: list[str], one_a_turn: None
) -> None:
    causes = causes_on(owner.get(CAUSES).text)
    form = {"days": "7", "pace": "600", "send_again": "no", "once": ONCE, "cause": causes}

    starts: list[int] = [0]
    with counted(app) as said, app.app_context():
        event.listen(db.engine, "commit", lambda _: starts.append(begun(said)))
        sent = owner.submit(f"{CAUSES}/replay", **form)

    assert sent.status_code == 303
    assert starts[-1] == 4
    assert max(after - before for before, after in pairwise(starts)) == 1


def begun(said: list[str]) -> int:
    return sum(one.lstrip().startswith("INSERT INTO run ") for one in said)


def test_the_check_asks_as_few_questions_of_many_runs_as_of_one(
    app: Flask, acme: House, owner: Browser, program: Any, make_live: Any, start: Any,
    sink: Sink, failed: list[str],
) -> None:  # fmt: skip
    sink.refused.add("/two")
    mail = make_live(plan_of(post("s_1", f"{sink.url}/two")), "Mail")
    alone = start(mail).get_json()["id"]
    eventually(program, alone, "failed")
    for run in (*failed, alone):
        sent_behind(app, acme, run)
    [many, one] = causes_on(owner.get(CAUSES).text)
    owner.get(f"{CAUSES}/check?cause={many}&cause={one}")

    asked = []
    for chosen in (one, many):
        with counted(app) as statements:
            check = owner.get(f"{CAUSES}/check?cause={chosen}").text
        asked.append(len(statements))
        assert "something was sent behind the step that failed" in check

    assert asked[0] == asked[1] <= 10


def sent_behind(app: Flask, acme: House, run: str) -> None:
    with app.app_context(), writing(), Session(db.engine) as session:
        bind_organization(session, acme.organization_id)
        call = {"path": "s_1/call_1", "attempt": 1, "step_id": "s_1", "kind": "tool"}
        told = {"state": "succeeded", "effect": "at_most_once", "idem_key": "k", "fence": 1}
        session.add(Step(run_id=parse_id("run", run), seq=2, **call, **told))
        session.commit()


# Each as the run mode of its workflow says


def test_of_a_workflow_that_runs_once_at_a_time_one_is_run_again_and_the_others_are_told(
    program: Any, failed: list[str], sink: Sink
) -> None:
    first = cause(program)
    set_pace(program, first["workflow"]["id"], run_mode="single")
    sink.speaks.clear()  # the first to begin is under way for as long as others are started

    answer = replay(program, [first], pace=600).get_json()
    sink.speaks.set()

    assert len(answer["runs"]) == 1
    assert [one["run"] for one in answer["refused"]] == failed[1:]
    assert {one["code"] for one in answer["refused"]} == {"E-RUN-SINGLE"}
    assert answer["runs"][0] in answer["refused"][0]["text"]
    eventually(program, answer["runs"][0], "done")
    assert cause(program)["count"] == 3


def test_of_a_workflow_that_starts_anew_only_the_newest_is_run_again(
    app: Flask, acme: House, program: Any, failed: list[str]
) -> None:
    first = cause(program)
    set_pace(program, first["workflow"]["id"], run_mode="restart")

    answer = replay(program, [first], pace=600).get_json()

    assert len(answer["runs"]) == 1
    new = eventually(program, answer["runs"][0], "done", "failed")
    assert new["state"] == "done"
    assert repeated(app, acme) == ids(failed[3:])
    assert sorted(one["run"] for one in answer["refused"]) == sorted(failed[:3])
    assert {one["code"] for one in answer["refused"]} == {"E-RUN-RESTART"}


def test_the_page_says_what_was_not_started_and_why(
    owner: Browser, program: Any, failed: list[str], sink: Sink
) -> None:
    set_pace(program, cause(program)["workflow"]["id"], run_mode="single")
    sink.speaks.clear()
    causes = causes_on(owner.get(CAUSES).text)
    form = {"days": "7", "pace": "600", "send_again": "no", "once": ONCE, "cause": causes}

    sent = owner.submit(f"{CAUSES}/replay", **form)
    sink.speaks.set()

    said = owner.get(sent.headers["Location"]).text
    assert "1 run is started. 3 were not started: This workflow is already running." in said


def test_a_full_line_keeps_what_was_started_and_tells_of_the_others(
    program: Any, owner: Browser, failed: list[str]
) -> None:
    first = cause(program)
    owner.submit("/admin/queues", mode="fifo", max_waiting="2")

    answer = replay(program, [first], pace=1)

    body = answer.get_json()
    assert answer.status_code == 202, answer.text
    assert 2 <= len(body["runs"]) < 4
    assert len(body["runs"]) + len(body["refused"]) == 4
    assert {one["code"] for one in body["refused"]} == {"E-QUEUE"}

"""Many failed runs, grouped by their cause and run again at a pace."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session

from tests.commands.test_commands import deckhand, env_of
from tests.fixtures import Browser, House, MakeKey, Program, context
from tests.runs.sink import Sink, post
from tests.runs.test_pages import counted
from tests.runs.test_signals import eventually
from tests.workflows.plans import plan_of
from webapp.access.permissions import Role
from webapp.access.tenancy import across_organizations, bind_organization
from webapp.kernel.clock import now
from webapp.kernel.db import writing
from webapp.kernel.hints import Hints
from webapp.kernel.ids import parse_id
from webapp.kernel.settings import Settings
from webapp.runs import holding
from webapp.runs.execution.claims import Claims
from webapp.runs.execution.runner import Runner
from webapp.runs.models import Lease, QueueSetting, Step
from webapp.web.database import db
from webapp.workflows.models import Gate

ONCE = "o" * 24
CAUSES = "/o/acme/runs/failed"


@pytest.fixture
def failed(program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink) -> list[str]:
    """Three runs that failed at the second step, and one of another workflow at its first."""
    sink.refused |= {"/two", "/three"}
    shop = make_live(plan_of(post("s_1", f"{sink.url}/one"), post("s_2", f"{sink.url}/two")))
    mail = make_live(plan_of(post("s_1", f"{sink.url}/three")), "Mail")
    runs = [start(workflow).get_json()["id"] for workflow in (shop, shop, shop, mail)]
    for run in runs:
        eventually(program, run, "failed")
    return runs


def replay(program: Any, causes: list[dict[str, Any]], **more: Any) -> Any:
    keys = [{"workflow": c["workflow"]["id"], "step": c["step"], "code": c["code"]} for c in causes]
    headers = {"Idempotency-Key": more.pop("key", "") or uuid.uuid4().hex}
    body = {"causes": keys, **more}
    return program.post("/api/v1/failures/replay", json=body, headers=headers)


def test_failed_runs_are_grouped_by_workflow_step_and_code(program: Any, failed: list[str]) -> None:
    found = program.get("/api/v1/failures").get_json()

    assert [(one["workflow"]["name"], one["step"], one["count"]) for one in found["items"]] == [
        ("Greeting", "s_2", 3),
        ("Mail", "s_1", 1),
    ]
    assert found["items"][0]["newest"] == failed[2]
    assert found["items"][0]["code"] == "E-HTTP-4XX"
    assert found["looked_back_to"] is None


def test_a_group_is_run_again_from_the_step_that_failed_and_offered_no_more(
    program: Any, sink: Sink, failed: list[str]
) -> None:
    sink.refused.clear()
    first = program.get("/api/v1/failures").get_json()["items"][0]

    answer = replay(program, [first], pace=600, key="press-1")
    again = replay(program, [first], pace=600, key="press-1")

    assert answer.status_code == 202, answer.text
    assert again.get_json() == answer.get_json()
    runs = answer.get_json()["runs"]
    assert len(runs) == 3
    for run in runs:
        assert eventually(program, run, "done", "failed")["state"] == "done"
    assert sink.sent.count("/one") == 3
    left = program.get("/api/v1/failures").get_json()["items"]
    assert [one["workflow"]["name"] for one in left] == ["Mail"]
    empty = replay(program, [first])
    assert (empty.status_code, empty.get_json()["code"]) == (409, "E-REPLAY-NONE")


def test_the_history_tells_of_each_which_run_it_repeats(
    program: Any, sink: Sink, failed: list[str], settings: Settings
) -> None:
    first = program.get("/api/v1/failures").get_json()["items"][0]

    runs = replay(program, [first], pace=600).get_json()["runs"]

    told = json.loads(deckhand("history", "export", "--json", env=env_of(settings)).stdout)
    keys = {one["key"] for one in told["runs"] if one["id"] in runs}
    assert keys == {f"again:{old}:1" for old in failed[:3]}


def test_a_pace_that_is_no_whole_number_is_refused(program: Any, failed: list[str]) -> None:
    first = program.get("/api/v1/failures").get_json()["items"][0]

    for wrong in ("30", 0, 2.5):
        refused = replay(program, [first], pace=wrong)
        assert refused.status_code == 422
        assert [one["pointer"] for one in refused.get_json()["errors"]] == ["/pace"]


def test_a_repetition_that_fails_takes_the_place_of_what_it_repeated(
    program: Any, failed: list[str]
) -> None:
    first = program.get("/api/v1/failures").get_json()["items"][0]

    runs = replay(program, [first], pace=600).get_json()["runs"]
    for run in runs:
        eventually(program, run, "failed")

    found = program.get("/api/v1/failures").get_json()["items"][0]
    assert found["count"] == 3
    assert found["newest"] in runs


def test_the_runs_wait_for_their_moment_where_no_kill_can_lose_them(
    app: Flask, acme: House, program: Any, sink: Sink, failed: list[str]
) -> None:
    sink.refused.clear()
    first = program.get("/api/v1/failures").get_json()["items"][0]

    runs = replay(program, [first], pace=1).get_json()["runs"]

    eventually(program, runs[0], "done")
    assert program.get(f"/api/v1/runs/{runs[2]}").get_json()["state"] == "waiting"
    with app.app_context(), writing(), Session(db.engine) as session:
        bind_organization(session, acme.organization_id)
        due = dict(session.execute(select(Lease.run_id, Lease.due_at)).all())
        assert due[parse_id("run", runs[2])] - due[parse_id("run", runs[1])] == 60_000
        session.execute(update(Lease).values(due_at=0))  # the moment has come
        session.commit()
    assert eventually(program, runs[1], "done")["state"] == "done"
    assert eventually(program, runs[2], "done")["state"] == "done"


def test_a_run_that_waits_for_its_moment_says_so_and_when_it_begins(
    program: Any, owner: Browser, failed: list[str]
) -> None:
    first = program.get("/api/v1/failures").get_json()["items"][0]
    runs = replay(program, [first], pace=1).get_json()["runs"]

    line = program.get(f"/api/v1/runs/{runs[2]}").get_json()["line"]
    page = owner.get(f"/o/acme/runs/{runs[2]}").text
    owner.submit(f"/o/acme/workflows/{first['workflow']['id']}/pause")
    paused = program.get(f"/api/v1/runs/{runs[2]}").get_json()["line"]

    assert line["ahead"] is None
    assert 60 < line["wait_s"] <= 120
    assert line["held"] == "Waiting for its moment: it was run again with others, at a pace."
    assert f"{line['held']} It begins in about " in page
    assert paused["held"] == "Paused: this workflow is paused by Owner of acme."


def due_of(app: Flask, acme: House) -> dict[UUID, int]:
    with app.app_context(), Session(db.engine) as session:
        bind_organization(session, acme.organization_id)
        rows = session.execute(select(Lease.run_id, Lease.due_at).where(Lease.due_at.is_not(None)))
        return {run: due for run, due in rows.all() if due is not None}


def test_a_run_that_is_paused_before_its_moment_waits_for_it_when_it_is_resumed(
    app: Flask, acme: House, program: Any, failed: list[str]
) -> None:
    first = program.get("/api/v1/failures").get_json()["items"][0]
    runs = replay(program, [first], pace=1).get_json()["runs"]
    before = due_of(app, acme)

    paused = program.post(f"/api/v1/runs/{runs[2]}/pause").get_json()
    resumed = program.post(f"/api/v1/runs/{runs[2]}/resume").get_json()

    assert (paused["state"], resumed["state"]) == ("paused", "waiting")
    assert due_of(app, acme) == before
    line = program.get(f"/api/v1/runs/{runs[2]}").get_json()["line"]
    assert line["held"] == "Waiting for its moment: it was run again with others, at a pace."


@pytest.mark.parametrize("scope", ["workflow", "organization", "queue"])
def test_runs_whose_moments_pass_in_a_pause_keep_their_pace_behind_it(
    scope: str, app: Flask, settings: Settings, engine: Engine, acme: House, program: Any, sink: Sink,
    failed: list[str],
) -> None:  # fmt: skip
    first = program.get("/api/v1/failures").get_json()["items"][0]
    _, *runs = replay(program, [first], pace=1).get_json()["runs"]
    before = due_of(app, acme)
    hold(app, settings, acme, f"pause_{scope}", first["workflow"]["id"])
    with app.app_context(), writing(), Session(db.engine) as session:
        with across_organizations(session, "a test"):  # it was ten minutes ago
            for row in (Gate, QueueSetting):
                session.execute(update(row).values(paused_at=now() - timedelta(minutes=10)))
            session.execute(update(Lease).values(due_at=Lease.due_at - 600_000))
        session.commit()

    Claims(engine, "steward", 60).take_back(Hints())
    hold(app, settings, acme, f"resume_{scope}", first["workflow"]["id"])
    Claims(engine, "steward", 60).take_back(Hints())

    for run in runs:
        assert program.get(f"/api/v1/runs/{run}").get_json()["state"] == "waiting"
    after = due_of(app, acme)
    assert [0 <= after[one] - before[one] < 10_000 for one in after] == [True, True]


def hold(app: Flask, settings: Settings, house: House, verb: str, workflow: str) -> None:
    """Pause or resume something as somebody who may."""
    with app.app_context(), writing(), Session(db.engine) as session:
        ctx = context(session, house, settings)
        ctx = replace(ctx, actor=replace(ctx.actor, staff=True))
        which = [parse_id("wf", workflow)] if verb.endswith("_workflow") else []
        getattr(holding, verb)(ctx, *which)
        session.commit()


def test_a_run_that_waits_for_its_moment_is_cancelled_and_offered_again(
    program: Any, failed: list[str]
) -> None:
    first = program.get("/api/v1/failures").get_json()["items"][0]
    runs = replay(program, [first], pace=1).get_json()["runs"]

    eventually(program, runs[0], "failed")

    program.post(f"/api/v1/runs/{runs[2]}/cancel")

    assert program.get(f"/api/v1/runs/{runs[2]}").get_json()["state"] == "cancelled"
    found = {
        one["step"]: one["count"] for one in program.get("/api/v1/failures").get_json()["items"]
    }
    assert found["s_2"] == 2  # the first repetition, and the run whose repetition was cancelled


# Pages


def causes_on(page: str) -> list[str]:
    return re.findall(r'name="cause" id="[^"]+" value="([^"]+)"', page)


def test_the_page_leads_from_causes_over_a_check_to_the_runs(
    owner: Browser, program: Any, sink: Sink, failed: list[str]
) -> None:
    sink.refused.clear()
    page = owner.get(CAUSES).text
    causes = causes_on(page)
    check = owner.get(f"{CAUSES}/check?days=7&cause={causes[0]}&cause={causes[1]}").text

    form = {"days": "7", "pace": "600", "send_again": "no", "once": ONCE, "cause": causes}
    sent = owner.submit(f"{CAUSES}/replay", **form)
    listed = owner.get(sent.headers["Location"]).text

    assert len(causes) == 2
    assert f'href="/o/acme/runs/{failed[2]}"' in page
    assert "Run 4 failed runs again" in check
    assert "3 runs of " in check
    assert re.search(r"<li>[^<]+<span class=\"meta\">1 run of Mail at “[^”]+”</span></li>", check)
    assert "Nothing is sent a second time." in check
    assert sent.status_code == 303
    assert "4 runs are started, 600 a minute." in listed
    for item in program.get("/api/v1/runs").get_json()["items"][:4]:
        assert eventually(program, item["id"], "done", "failed")["state"] == "done"
    assert sink.sent.count("/one") == 3


def test_the_check_says_in_how_many_something_was_sent_behind_the_step(
    app: Flask, acme: House, owner: Browser, failed: list[str]
) -> None:
    with app.app_context(), writing(), Session(db.engine) as session:
        bind_organization(session, acme.organization_id)
        call = {"path": "s_2/call_1", "attempt": 1, "step_id": "s_2", "kind": "tool"}
        told = {"state": "succeeded", "effect": "at_most_once", "idem_key": "k", "fence": 1}
        session.add(Step(run_id=parse_id("run", failed[0]), seq=2, **call, **told))
        session.commit()
    [cause, _] = causes_on(owner.get(CAUSES).text)

    check = owner.get(f"{CAUSES}/check?cause={cause}").text

    assert "Run 3 failed runs again" in check
    assert "In 1 run something was sent behind the step that failed" in check
    assert re.search(r'id="send-no" value="no" checked', check)


def test_the_pages_say_what_is_wrong(owner: Browser, failed: list[str]) -> None:
    [cause, _] = causes_on(owner.get(CAUSES).text)

    none = owner.get(f"{CAUSES}/check?days=7")
    pace = owner.submit(f"{CAUSES}/replay", cause=cause, pace="many", once=ONCE)
    odd = owner.get(f"{CAUSES}/check?cause=nothing")

    assert (none.status_code, pace.status_code) == (422, 422)
    assert "Choose what to run again." in none.text
    assert 'href="#pace"' in pace.text
    assert odd.status_code in {404, 422}


def test_a_viewer_looks_and_strangers_see_nothing(
    app: Flask,
    viewer: Browser,
    stranger: Browser,
    acme: House,
    other: House,
    make_key: MakeKey,
    program: Any,
    failed: list[str],
) -> None:
    first = program.get("/api/v1/failures").get_json()["items"][0]
    page = viewer.get(CAUSES).text

    assert "Greeting" in page
    assert causes_on(page) == []
    assert viewer.get(f"{CAUSES}/check?cause=x").status_code == 403
    assert viewer.submit(f"{CAUSES}/replay", once=ONCE).status_code == 403
    assert "Nothing failed" in stranger.get("/o/other/runs/failed").text
    for key, status in ((make_key(acme, Role.VIEWER), 403), (make_key(other), 409)):
        somebody = Program(app, app.response_class, use_cookies=False)
        somebody.key = key
        assert replay(somebody, [first]).status_code == status


def test_the_page_of_causes_asks_few_questions(
    app: Flask, owner: Browser, failed: list[str]
) -> None:
    owner.get(CAUSES)

    with counted(app) as page:
        assert owner.get(CAUSES).status_code == 200

    assert len(page) <= 8, page

"""Text that a step is writing, from the worker's side to an open page."""

from __future__ import annotations

from typing import Any

from flask import Flask
from sqlalchemy.orm import Session

from tests.fixtures import Browser, House
from tests.live.conftest import OpenPage, eventually
from tests.workflows.plans import plan_of
from webapp.access.tenancy import bind_organization
from webapp.kernel.clock import now
from webapp.kernel.db import writing
from webapp.kernel.ids import parse_id
from webapp.kernel.settings import Settings
from webapp.live.bell import RedisBell
from webapp.live.texts import TextStreams, text_so_far
from webapp.runs.models import Step
from webapp.web.database import db

AGENT = {"inline": {"instructions": "Write.", "model": "practice"}, "message": "A poem."}
PLAN = plan_of({"id": "s_1", "kind": "agent", "name": "Write a poem", "with": AGENT})


def test_a_page_shows_what_was_written_so_far_and_hears_the_rest(
    app: Flask,
    settings: Settings,
    bell: RedisBell,
    acme: House,
    owner: Browser,
    open_page: OpenPage,
    make_live: Any,
    start: Any,
) -> None:
    run = start(make_live(PLAN)).get_json()["id"]
    _begin_writing(app, acme, run)
    streams = TextStreams(settings.redis_url, bell)
    streams.emit(run, "s_1", 1, 0, "Roses are réd, ")
    eventually(lambda: text_so_far(settings.redis_url, run, "s_1", 1) != "")

    page = owner.get(f"/o/acme/runs/{run}").text
    listener = open_page(acme)
    joined = listener.ask("join", room=f"text:{run}:s_1")
    streams.emit(run, "s_1", 1, 15, "<b>violets</b> are blue.")
    listener.hears("step.text")
    streams.close()

    assert joined["ok"]
    assert f'data-stream="text:{run}:s_1"' in page
    assert 'data-length="15">Roses are réd, </p>' in page
    told = listener.heard[0]
    assert told["room"] == f"text:{run}:s_1"
    assert told["data"]["off"] == 15
    assert told["data"]["text"] == "<b>violets</b> are blue."
    whole = owner.get(f"/o/acme/runs/{run}?part=live&after=0").text
    assert "&lt;b&gt;violets&lt;/b&gt; are blue." in whole


def _begin_writing(app: Flask, house: House, run: str) -> None:
    with app.app_context(), writing(), Session(db.engine) as session:
        bind_organization(session, house.organization_id)
        session.add(
            Step(
                run_id=parse_id("run", run),
                path="s_1",
                attempt=1,
                step_id="s_1",
                kind="agent",
                state="intent",
                effect="none",
                idem_key="k",
                fence=1,
                seq=1,
                started_at=now(),
            )
        )
        session.commit()

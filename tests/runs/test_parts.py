"""Long lists in parts: runs of their own, spread over workers, that look like one run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, select

from tests.conftest import test_settings
from tests.runs.following import until
from tests.workflows.plans import plan_of, text
from webapp.access.tenancy import across_organizations
from webapp.kernel.db import make_sessions
from webapp.kernel.ids import parse_id, public_id
from webapp.kernel.settings import Settings
from webapp.live.bell import RedisBell
from webapp.runs.execution.runner import Runner, make_runner
from webapp.runs.models import Run

Doc = dict[str, Any]
COUNT = 1_000


def over(items: int, *steps: Doc, **settings: Any) -> Doc:
    """A plan that does `steps` for each of so many items and gives what was collected."""
    collect = [
        {"name": "n", "label": "N", "type": "number", "value": [{"value": ["s_e", "index"]}]},
        {"name": "said", "label": "Said", "type": "text", "value": [{"value": ["s_1", "text"]}]},
    ]
    each = {"list": {"list": []}, "most": 10_000, "collect": collect, "steps": list(steps)}
    each |= {"list": [{"value": ["start", "items"]}], **settings}
    got = [
        {"name": name, "label": name, "type": kind, "value": [{"value": ["s_e", name]}]}
        for name, kind in (("items", "list"), ("count", "number"), ("failed", "list"))
    ]
    return plan_of(
        {"id": "s_e", "kind": "each", "name": "All", "with": each},
        inputs=[{"name": "items", "label": "Items", "type": "list", "items": {"type": "number"}}],
        result=got,
    )


SAYS = text("s_1", [{"text": "No. "}, {"value": ["s_e", "item"]}])


@pytest.fixture
def settings(tmp_path: Any, database_url: str, redis_url: str) -> Settings:
    return test_settings(tmp_path, database_url, REDIS_URL=redis_url, EACH_SPLIT="100")


@pytest.fixture
def runners(app: Flask, settings: Settings) -> Iterator[list[Runner]]:
    made = [make_runner(settings, RedisBell(settings.redis_url), lambda: None) for _ in range(2)]
    for one in made:
        one.start()
    yield made
    for one in made:
        one.drain(5.0)


def test_a_long_list_is_done_in_parts_and_looks_as_if_it_was_not(
    program: Any, make_live: Any, start: Any, runners: list[Runner], follow: Any
) -> None:
    run = start(make_live(over(COUNT, SAYS)), inputs={"items": list(range(COUNT))}).get_json()["id"]

    found = settled(follow, runners, run)
    assert found["state"] == "done", found["error"]
    assert found["result"]["count"] == COUNT
    assert found["result"]["items"] == [{"n": n, "said": f"No. {n}"} for n in range(COUNT)]


def settled(follow: Any, runners: list[Runner], run: str, *states: str) -> Doc:
    """Let the runners work until the run is in one of the states."""
    wanted = states or ("done", "failed", "cancelled", "needs_review")

    def is_there() -> bool:
        for one in runners:
            one.wake()
        return follow.get(run)["state"] in wanted

    until(is_there, f"{run} is {wanted}")
    found: Doc = follow.get(run)
    return found


@pytest.fixture
def parts(engine: Engine) -> Any:
    """Return a function that returns the parts of a run as rows, in the list's order."""

    def find(run: str) -> list[Run]:
        with make_sessions(engine)() as session, across_organizations(session, "a test"):
            query = select(Run).where(Run.parent_run == parse_id("run", run), Run.kind == "part")
            found = session.scalars(query).all()
        return sorted(found, key=lambda one: (one.part or {})["first"])

    return find


def public(run: Run) -> str:
    return public_id("run", run.id)


def test_parts_stand_in_no_list_and_are_opened_from_the_run(
    program: Any, owner: Any, make_live: Any, start: Any, runners: list[Runner], follow: Any,
    parts: Any,
) -> None:  # fmt: skip
    workflow = make_live(over(1_000, SAYS))
    run = start(workflow, inputs={"items": list(range(COUNT))}).get_json()["id"]
    settled(follow, runners, run)

    rows = parts(run)
    assert [(row.part or {})["first"] for row in rows] == list(range(0, 1_000, 100))
    for query in ("", f"?workflow={workflow}", "?state=done", f"?workflow={workflow}&state=done"):
        listed = program.get(f"/api/v1/runs{query}").get_json()["items"]
        assert [one["id"] for one in listed] == [run]
    told = program.get(f"/api/v1/runs/{run}").get_json()
    kinds = {task["path"]: task["kind"] for task in told["tasks"]}
    assert (kinds["s_e"], kinds["s_e[100-199]"]) == ("each", "part")
    part = program.get(f"/api/v1/runs/{public(rows[1])}").get_json()
    assert (part["kind"], part["state"]) == ("part", "done")
    assert part["tasks"][1]["path"] == "s_e[100]/s_1"
    page = owner.get(f"/o/acme/runs/{run}").text
    assert re.search(
        f'href="[^"]*/runs/{public(rows[1])}">.{{1,600}}Items 101–200', page, re.DOTALL
    )
    page = owner.get(f"/o/acme/runs/{public(rows[1])}").text
    assert re.search(f'Part of run .{{1,200}}/runs/{run}".{{1,200}}items 101–200', page, re.DOTALL)

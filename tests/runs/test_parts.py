"""Long lists in parts: runs of their own, spread over workers, that look like one run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask

from tests.conftest import test_settings
from tests.workflows.plans import plan_of, text
from webapp.kernel.settings import Settings
from webapp.live.bell import RedisBell
from webapp.runs.execution.runner import Runner, make_runner

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

    until = time.monotonic() + 30
    while time.monotonic() < until:
        for one in runners:
            one.wake()
        found = program.get(f"/api/v1/runs/{run}").get_json()
        if found["state"] in {"done", "failed"}:
            break
        time.sleep(0.02)
    assert found["state"] == "done", found
    assert found["result"]["count"] == COUNT
    assert found["result"]["items"] == [{"n": n, "said": f"No. {n}"} for n in range(COUNT)]

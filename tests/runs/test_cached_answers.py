"""Answers of tools that are given again: in the same organization only, and never secretly."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis

from tests.conftest import test_settings
from tests.fixtures import Browser
from tests.workflows.plans import plan_of
from webapp.kernel.caches import Figures
from webapp.kernel.caches.tallies import Tally
from webapp.kernel.ids import new_id
from webapp.kernel.settings import Settings
from webapp.runs.execution.answers import OrganizationAnswers, WorkerCache, open_cache

REQUEST = b'{"args":{"file":"a\\n1\\n"},"tool":"csv.read"}'
RESULT = {"rows": [{"a": "1"}]}


@pytest.fixture(params=["memory", "sqlite", "redis"])
def kept(request: Any, tmp_path: Path, redis_url: str) -> Any:
    """The cache of a worker, on each backend."""
    settings = test_settings(
        tmp_path, "sqlite:////nowhere/at/all.db", CACHE_BACKEND=request.param, REDIS_URL=redis_url
    )
    made = open_cache(settings, redis.Redis.from_url(redis_url))
    assert made is not None
    yield made
    made.close()


def found(kept: WorkerCache, organization: UUID, request: bytes = REQUEST) -> Any:
    answer = asyncio.run(OrganizationAnswers(kept, organization).find("tool:csv.read", request))
    return answer and answer.result


def keep(kept: WorkerCache, organization: UUID) -> None:
    answers = OrganizationAnswers(kept, organization)
    asyncio.run(answers.keep("tool:csv.read", REQUEST, RESULT, 60))


def test_an_answer_is_found_by_the_organization_it_belongs_to(kept: WorkerCache) -> None:
    acme = new_id()
    keep(kept, acme)

    assert found(kept, acme) == RESULT


def test_no_other_organization_ever_gets_it(kept: WorkerCache) -> None:
    keep(kept, new_id())

    assert found(kept, new_id()) is None


def test_another_request_or_connection_is_another_question(kept: WorkerCache) -> None:
    acme = new_id()
    keep(kept, acme)

    through = REQUEST.replace(b'"tool"', b'"connection":"cn_1","tool"')
    assert found(kept, acme, through) is None
    assert found(kept, acme, REQUEST.replace(b"1", b"2")) is None


def test_without_a_cache_nothing_is_kept(tmp_path: Path, redis_url: str) -> None:
    settings = test_settings(tmp_path, "sqlite:////nowhere/at/all.db", CACHE_BACKEND="off")

    assert open_cache(settings, redis.Redis.from_url(redis_url)) is None


def reading(content: str = "name\nAda\n") -> dict[str, Any]:
    read = {"tool": "csv.read", "args": {"file": content}}
    return plan_of({"id": "s_1", "kind": "tool", "name": "Read", "with": read})


def details(browser: Browser, run: str) -> str:
    return browser.get(f"/o/acme/runs/{run}?step=s_1&view=details").text


def test_the_second_run_gets_the_answer_of_the_first_and_its_page_says_so(
    make_live: Any, start: Any, finish: Any, viewer: Browser, settings: Settings
) -> None:
    workflow = make_live(reading())
    first, second = (finish(start(workflow).get_json()["id"])["id"] for _ in range(2))

    assert "From the cache" not in details(viewer, first)
    assert "From the cache, " in details(viewer, second)
    tasks = viewer.get(f"/o/acme/runs/{second}?step=s_1").text
    assert "Ada" in tasks


def test_hits_and_misses_of_all_workers_stand_on_the_page_of_services(
    owner: Browser, app: Any, redis_url: str
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        app.extensions["redis"] = client
        for tally in (Tally(client), Tally(client)):
            tally.add(Figures(hits=2, misses=1))
            tally.add(Figures(hits=3, misses=1))

        page = owner.get("/admin/services").text

    assert "75 %" in page

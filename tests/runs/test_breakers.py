"""A service that fails is left alone, and its runs wait until it is well; with real workers."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import redis

from tests import services
from tests.conftest import test_settings
from tests.fixtures import Browser, House, Program
from tests.runs.following import Follow, until
from tests.runs.test_pages import url_of
from tests.workflows.plans import plan_of
from webapp.engine.errors import StepError
from webapp.kernel.addresses import AllowList, parse_allow
from webapp.kernel.breakers import Breakers, Rules
from webapp.kernel.http import HttpClient
from webapp.kernel.settings import Settings
from webapp.live.bell import RedisBell
from webapp.runs.execution.guarded import GuardedHttp, Services
from webapp.runs.execution.runner import Runner, make_runner

MOST_CALLS = 10
"""SECURITY.md L5: a breaker opens after at most so many."""


class Moody:
    """A server that answers with the status it is told, at once or when it is let.

    Attributes: calls: paths in the order in which they came.
    """

    def __init__(self) -> None:
        self.status = 503
        self.calls: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        moody = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                moody.calls.append(self.path)
                moody.may_answer.wait(20)
                body = json.dumps({"path": self.path}).encode()
                self.close_connection = True
                self.send_response(moody.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.host = f"127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def plan(self, **common: Any) -> dict[str, Any]:
        retry = {"retry": {"times": 0}}
        ask = {"method": "GET", "url": f"http://{self.host}/orders"}
        return plan_of({"id": "s_1", "kind": "http", "name": "Ask", "with": ask, **retry, **common})

    def close(self) -> None:
        self.may_answer.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def shop() -> Iterator[Moody]:
    made = Moody()
    yield made
    made.close()


@pytest.fixture
def bank() -> Iterator[Moody]:
    """Another service, which is well."""
    made = Moody()
    made.status = 200
    yield made
    made.close()


@pytest.fixture
def env() -> dict[str, str]:
    """What a test sets besides."""
    return {"BREAKER_OPEN_S": "600"}


@pytest.fixture
def settings(
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    shop: Moody,
    bank: Moody,
    env: dict[str, str],
) -> Settings:
    """Settings under which steps reach both services; one has models, too."""
    allow = f"127.0.0.1/32:{shop.port},127.0.0.1/32:{bank.port}"
    model = f"http://{shop.host}/v1"
    given = {"REDIS_URL": redis_url, "OUTBOUND_ALLOW": allow, "MODEL_BASE_URL": model, **env}
    return test_settings(tmp_path, database_url, **given)


@pytest.fixture(autouse=True)
def shared(app: Any, redis_url: str) -> Iterator[None]:
    """The web process asks Redis, as it does when it serves."""
    with redis.Redis.from_url(redis_url) as client:
        app.extensions["redis"] = client
        yield


@pytest.fixture
def crew(app: Any, settings: Settings) -> Iterator[list[Runner]]:
    """Two workers."""
    with ExitStack() as stack:
        made = []
        for _ in range(2):
            runner = make_runner(settings, RedisBell(settings.redis_url), lambda: None)
            runner.start()
            stack.callback(runner.drain, 5.0)
            made.append(runner)
        yield made


SETTLED = {"done", "failed", "waiting"}
Began = Callable[..., dict[str, Any]]


@pytest.fixture
def began(start: Any, follow: Follow, crew: list[Runner]) -> Began:
    """Return a function that starts a run and waits until it ends or waits; workers take turns."""
    count = iter(range(1000))

    def begin(workflow: str) -> dict[str, Any]:
        run = start(workflow).get_json()["id"]
        crew[next(count) % 2].wake()
        return follow.until(run, *SETTLED)

    return begin


def break_it(began: Began, workflow: str) -> list[dict[str, Any]]:
    """Start runs one after the other until one waits; return all of them."""
    runs: list[dict[str, Any]] = []
    while not runs or runs[-1]["state"] != "waiting":
        runs.append(began(workflow))
        assert len(runs) <= MOST_CALLS + 1
    return runs


def ring(crew: list[Runner]) -> None:
    for runner in crew:
        runner.wake()


SOON = pytest.mark.parametrize("env", [{"BREAKER_OPEN_S": "3"}])


@SOON
def test_two_workers_open_one_breaker_and_send_one_probe(
    make_live: Any, began: Began, follow: Follow, shop: Moody, crew: list[Runner]
) -> None:
    workflow = make_live(shop.plan())
    runs = break_it(began, workflow)
    assert len(shop.calls) == len(runs) - 1 == 5
    assert {run["state"] for run in runs[:-1]} == {"failed"}

    waiting = [runs[-1], *(began(workflow) for _ in range(5))]
    shop.may_answer.clear()
    until(lambda: ring(crew) or len(shop.calls) == 6, "the probe is out")
    time.sleep(2)  # the others come due and find that the probe is still out
    assert len(shop.calls) == 6

    shop.status = 200
    shop.may_answer.set()
    for run in waiting:
        until(lambda run=run: ring(crew) or follow.get(run["id"])["state"] == "done", "done")
    assert len(shop.calls) == 5 + len(waiting)
    assert all(task["attempts"] == 1 for task in follow.get(waiting[0]["id"])["tasks"])


@SOON
def test_a_probe_that_fails_opens_it_again_for_longer(
    make_live: Any, began: Began, shop: Moody, crew: list[Runner], owner: Browser
) -> None:
    break_it(began, make_live(shop.plan()))

    until(lambda: ring(crew) or len(shop.calls) >= 6, "the probe is out")

    until(lambda: "It answered 503." in owner.get("/admin/services").text, "it is told")
    assert len(shop.calls) == 6


def test_other_services_and_other_organizations_go_on(
    make_live: Any,
    began: Began,
    shop: Moody,
    bank: Moody,
    app: Any,
    other: House,
    make_key: Any,
    crew: list[Runner],
) -> None:
    break_it(began, make_live(shop.plan()))
    calls = len(shop.calls)
    shop.status = 200

    theirs = Program(app, app.response_class, use_cookies=False)
    theirs.key = make_key(other)
    made = theirs.post("/api/v1/workflows", json={"name": "Theirs", "plan": shop.plan()})
    workflow = made.get_json()["id"]
    theirs.post(f"/api/v1/workflows/{workflow}/live", json={})
    key = {"Idempotency-Key": "theirs-1"}
    run = theirs.post(f"/api/v1/workflows/{workflow}/run", json={}, headers=key).get_json()["id"]
    ring(crew)

    assert Follow(theirs).until(run, *SETTLED)["state"] == "done"
    assert len(shop.calls) == calls + 1
    assert began(make_live(bank.plan(), "Bank"))["state"] == "done"


def test_a_refusal_tells_nothing_of_the_service(make_live: Any, began: Began, shop: Moody) -> None:
    shop.status = 404
    workflow = make_live(shop.plan())

    states = [began(workflow)["state"] for _ in range(MOST_CALLS + 2)]

    assert set(states) == {"failed"}
    assert len(shop.calls) == MOST_CALLS + 2


def test_a_call_that_a_rule_of_ours_forbids_tells_nothing() -> None:
    breakers, host = Breakers(None, Rules(open_s=0.05)), "127.0.0.1:9"
    for _ in range(5):
        breakers.report("acme", host, breakers.admit("acme", host), "It answered 503.")
    until(lambda: breakers.shut()[0].wait_s == 0, "it is half-open")

    async def ask() -> None:
        async with HttpClient(AllowList(())) as client:
            http = GuardedHttp(client, Services(breakers, "acme", 60))
            await http.request("GET", f"http://{host}/", {}, None, 5, 1000)

    with pytest.raises(StepError):
        asyncio.run(ask())

    assert breakers.admit("acme", host).probe


def test_a_call_that_is_called_off_while_it_begins_is_not_sent(shop: Moody) -> None:
    async def ask() -> None:
        async with HttpClient(parse_allow(f"127.0.0.1/32:{shop.port}")) as client:
            http = GuardedHttp(client, Services(Breakers(None, Rules()), "acme", 60))
            call = asyncio.create_task(
                http.request("GET", f"http://{shop.host}/", {}, None, 5, 1000)
            )
            before = len(asyncio.all_tasks())
            while len(asyncio.all_tasks()) == before:
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            left = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.gather(*left, return_exceptions=True)

    asyncio.run(ask())

    assert shop.calls == []


@pytest.mark.parametrize("status", [429, 500])
def test_a_storm_of_refusals_for_haste_opens_it_too(
    make_live: Any, began: Began, shop: Moody, status: int
) -> None:
    shop.status = status

    assert len(break_it(began, make_live(shop.plan()))) == 6


def test_a_service_nobody_can_reach_is_left_alone(
    make_live: Any, began: Began, shop: Moody
) -> None:
    workflow = make_live(shop.plan())
    shop.close()

    assert len(break_it(began, workflow)) == 6


def test_a_service_that_never_answers_is_left_alone(
    make_live: Any, began: Began, shop: Moody
) -> None:
    shop.may_answer.clear()

    runs = break_it(began, make_live(shop.plan(timeout_s=1)))

    assert len(runs) == 6
    assert len(shop.calls) <= 5  # on a busy machine a second may pass before one arrives


def test_the_page_says_whom_the_run_waits_for_and_until_when(
    make_live: Any, began: Began, shop: Moody, owner: Browser, viewer: Browser
) -> None:
    run = break_it(began, make_live(shop.plan()))[-1]

    assert run["word"] == "Waiting for a service to recover"
    page = viewer.get(f"/o/acme/runs/{run['id']}").text
    assert f"Waiting for {shop.host} to recover (until " in page
    assert "Nothing was sent." in page


@pytest.mark.parametrize("env", [{"BREAKER_OPEN_S": "600", "BREAKER_WAIT_S": "2"}])
def test_a_step_fails_when_it_has_waited_long_enough(
    make_live: Any, began: Began, follow: Follow, shop: Moody, crew: list[Runner]
) -> None:
    run = break_it(began, make_live(shop.plan()))[-1]["id"]

    until(lambda: ring(crew) or follow.get(run)["state"] == "failed", "it fails")

    assert follow.get(run)["error"]["code"] == "E-BREAKER"


def test_a_run_that_waits_for_a_service_can_be_cancelled(
    make_live: Any, began: Began, follow: Follow, program: Program, owner: Browser, shop: Moody
) -> None:
    plan = shop.plan()
    plan["steps"][0]["with"] |= {"method": "POST", "repeat_safe": True}
    run = break_it(began, make_live(plan))[-1]["id"]

    program.post(f"/api/v1/runs/{run}/cancel")

    assert follow.until(run, "cancelled")["state"] == "cancelled"
    assert program.get(f"/api/v1/runs/{run}/again").get_json()["sent"] == []
    assert "Not certain" not in owner.get(url_of(run)).text


def test_the_model_server_has_a_breaker_like_any_service(
    make_live: Any, began: Began, shop: Moody
) -> None:
    agent = {"inline": {"instructions": "Sum up.", "model": "big"}, "message": "Hello."}
    step = {"id": "s_1", "kind": "agent", "with": agent, "retry": {"times": 0}}

    runs = break_it(began, make_live(plan_of(step)))

    assert len(runs) == 6
    assert len(shop.calls) == 5


def test_without_redis_each_worker_keeps_its_own(
    make_live: Any, start: Any, follow: Follow, shop: Moody, settings: Settings, app: Any
) -> None:
    gone = settings.model_copy(
        update={"redis_url": f"redis://127.0.0.1:{services.free_port()}", "cache_backend": "redis"}
    )
    runner = make_runner(gone, RedisBell(settings.redis_url), lambda: None)
    runner.start()
    workflow = make_live(shop.plan())
    states = []
    for _ in range(6):
        run = start(workflow).get_json()["id"]
        runner.wake()
        states.append(follow.until(run, *SETTLED)["state"])
    runner.drain(5.0)

    assert states == ["failed"] * 5 + ["waiting"]


# What people and programs are told


def test_the_page_of_services_names_what_is_left_alone(
    make_live: Any, began: Began, shop: Moody, owner: Browser
) -> None:
    break_it(began, make_live(shop.plan()))

    page = owner.get("/admin/services").text

    assert shop.host in page
    assert "It answered 503." in page
    assert "Acme" in page


def test_the_page_of_services_says_when_all_are_well(owner: Browser) -> None:
    assert "No service is left alone." in owner.get("/admin/services").text


def test_only_staff_see_the_page_of_services(member: Browser, stranger: Browser) -> None:
    assert member.get("/admin/services").status_code == 403
    assert stranger.get("/admin/services").status_code == 403


def test_the_status_counts_services_and_names_none(
    make_live: Any, began: Began, shop: Moody, guest: Browser
) -> None:
    before = guest.get("/status").get_json()["parts"]["services"]
    break_it(began, make_live(shop.plan()))

    after = guest.get("/status")

    assert before == {"state": "ok", "text": "None is left alone."}
    assert after.get_json()["parts"]["services"]["text"].startswith("One outside service is left")
    assert shop.host not in after.text


def test_the_page_of_services_works_while_redis_is_away(owner: Browser, app: Any) -> None:
    app.extensions["redis"] = redis.Redis.from_url(f"redis://127.0.0.1:{services.free_port()}")

    page = owner.get("/admin/services")

    assert page.status_code == 200
    assert "not known" in page.text

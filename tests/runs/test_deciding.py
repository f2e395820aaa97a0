"""A step that must not happen twice was cut off: a person says what became of it."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.conftest import test_settings
from tests.fixtures import Browser, House
from tests.runs.durable import claim
from tests.runs.test_signals import eventually
from tests.workflows.plans import plan_of, text
from webapp.access.permissions import Role
from webapp.access.tenancy import bind_organization
from webapp.audit.models import AuditEntry
from webapp.engine.canonical import to_bytes
from webapp.engine.journal import Batch, Event, Record
from webapp.engine.steps.agent import Config, prepare
from webapp.engine.values import Scope
from webapp.files.shelf import DiskShelf
from webapp.kernel.db import make_engine, writing
from webapp.kernel.hints import Hints, Ring
from webapp.kernel.ids import parse_id
from webapp.kernel.rawsql import sql_for
from webapp.kernel.settings import Settings
from webapp.runs.execution.claims import Claims
from webapp.runs.execution.journal import RunJournal
from webapp.runs.execution.runner import Runner
from webapp.runs.execution.writer import JournalWriter
from webapp.runs.models import Lease, Run
from webapp.web.database import db

HAPPENED, AGAIN = {"decision": "happened"}, {"decision": "again"}


class Shop:
    """A server on this machine that takes orders, and hangs up on the first `cuts` of them."""

    def __init__(self) -> None:
        self.orders: list[tuple[str, bytes]] = []
        self.cuts = 1
        shop = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                sent = self.rfile.read(int(self.headers["Content-Length"]))
                shop.orders.append((self.headers["Idempotency-Key"], sent))
                self.close_connection = True
                if len(shop.orders) > shop.cuts:
                    self.send_response(201)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def shop() -> Iterator[Shop]:
    made = Shop()
    yield made
    made.close()


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path, shop: Shop) -> Settings:
    """Settings under which steps reach the shop."""
    allow = f"127.0.0.1/32:{shop.port}"
    return test_settings(tmp_path, database_url, REDIS_URL=redis_url, OUTBOUND_ALLOW=allow)


def order(step_id: str, shop: Shop, name: str = "Order paper") -> dict[str, Any]:
    config = {
        "method": "POST",
        "url": f"http://127.0.0.1:{shop.port}/orders",
        "headers": [{"name": "X-Desk", "value": "North"}],
        "body": {"as": "json", "value": [{"text": "12 boxes <b>"}]},
    }
    return {"id": step_id, "kind": "http", "name": name, "with": config}


def lanes(shop: Shop) -> dict[str, Any]:
    two = [{"id": f"l{n}", "steps": [order(f"s_{n}", shop)]} for n in (1, 2)]
    return {"id": "s_9", "kind": "parallel", "name": "Order twice", "with": {"lanes": two}}


Doubtful = Callable[..., str]


@pytest.fixture
def doubtful(make_live: Any, start: Any, finish: Any, shop: Shop) -> Doubtful:
    """Return a function that gives a run whose order was cut off by the shop."""

    def make(*steps: dict[str, Any]) -> str:
        plan = plan_of(*(steps or (order("s_1", shop),)), text("s_8", "Thanks.", "Thank"))
        run: str = start(make_live(plan, "Orders")).get_json()["id"]
        assert finish(run)["state"] == "needs_review"
        return run

    return make


def decide(client: Any, run: str, said: dict[str, Any], path: str = "s_1") -> Any:
    return client.post(f"/api/v1/tasks/{run}.{path}/decide", json=said)


def states(found: dict[str, Any]) -> dict[str, str]:
    return {task["path"]: task["state"] for task in found["tasks"]}


# What is decided


def test_what_is_to_be_done_again_is_sent_once_more_with_the_same_key(
    doubtful: Doubtful, program: Any, finish: Any, shop: Shop
) -> None:
    run = doubtful()

    answer = decide(program, run, AGAIN | {"note": "No order in the shop."})

    assert (answer.status_code, answer.get_json()["word"]) == (200, "Trying again")
    found = finish(run)
    assert (found["state"], states(found)) == ("done", {"s_1": "succeeded", "s_8": "succeeded"})
    assert len(shop.orders) == 2
    assert shop.orders[0] == shop.orders[1]
    assert found["tasks"][0]["attempts"] == 2


def test_what_happened_is_not_sent_again(
    doubtful: Doubtful, program: Any, finish: Any, shop: Shop
) -> None:
    run = doubtful()

    answer = decide(program, run, HAPPENED | {"note": "Order 4711."})

    assert (answer.status_code, answer.get_json()["state"]) == (200, "succeeded")
    found = finish(run)
    assert (found["state"], states(found)) == ("done", {"s_1": "succeeded", "s_8": "succeeded"})
    assert found["progress"] == {"done": 2, "total": 2}
    assert len(shop.orders) == 1
    logs = program.get(f"/api/v1/tasks/{run}.s_1/logs").get_json()["items"]
    assert logs[-1]["data"] == {
        "path": "s_1", "step": "s_1", "attempt": 1, "decision": "happened", "by": "Test",
    }  # fmt: skip


def test_the_run_goes_on_only_when_everything_is_decided(
    doubtful: Doubtful, program: Any, finish: Any, shop: Shop
) -> None:
    shop.cuts = 2
    run = doubtful(lanes(shop))

    decide(program, run, HAPPENED, "s_9:l1/s_1")

    assert program.get(f"/api/v1/runs/{run}").get_json()["state"] == "needs_review"
    decide(program, run, AGAIN, "s_9:l2/s_2")
    assert finish(run)["state"] == "done"
    assert len(shop.orders) == 3


def test_what_is_cut_off_again_is_asked_again(
    doubtful: Doubtful, program: Any, finish: Any, shop: Shop
) -> None:
    shop.cuts = 2
    run = doubtful()
    decide(program, run, AGAIN)

    assert finish(run)["state"] == "needs_review"
    assert decide(program, run, HAPPENED).status_code == 200
    assert finish(run)["state"] == "done"
    assert len(shop.orders) == 2


def test_a_run_whose_worker_was_never_told_goes_on_all_the_same(
    doubtful: Doubtful, program: Any, bell: Any, runner: Runner
) -> None:
    run = doubtful()
    decide(program, run, HAPPENED)
    assert Ring("runs") in bell.heard  # nobody in this test carries it to the worker

    end = time.monotonic() + 15
    while time.monotonic() < end:
        if program.get(f"/api/v1/runs/{run}").get_json()["state"] == "done":
            return
        time.sleep(0.05)
    raise AssertionError("the run stayed where it was")


def test_what_a_worker_left_when_it_died_is_asked_and_done_again_once(
    make_live: Any, start: Any, finish: Any, program: Any, shop: Shop, leave: Any
) -> None:
    shop.cuts = 0
    run = start(make_live(plan_of(order("s_1", shop)))).get_json()["id"]
    leave(Record("s_1", 1, "s_1", "http", "intent", "at_most_once", "dh-key", left_for(shop)))

    assert finish(run)["state"] == "needs_review"
    assert shop.orders == []
    decide(program, run, AGAIN)
    assert finish(run)["state"] == "done"
    assert shop.orders == [("dh-key", b'{"boxes":7}')]


def left_for(shop: Shop) -> bytes:
    url = f"http://127.0.0.1:{shop.port}/orders"
    request = {"method": "POST", "url": url, "query": [], "headers": [], "body": '{"boxes":7}'}
    return to_bytes(request | {"read": "auto", "ok": [[200, 299]]})


@pytest.fixture
def leave(settings: Settings, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Return a function with which a worker claims a run, writes these rows, and dies."""
    engine = make_engine(settings.database_url)
    writer = JournalWriter(engine, "dying")
    writer.start()

    def die(*rows: Record) -> None:
        [claimed] = claim(engine, "dying", 60, 1)
        sql, shelf = sql_for(engine.dialect.name), DiskShelf(tmp_path / "files")
        journal = RunJournal(claimed, writer, sql, shelf, "dying", 60_000)
        asyncio.run(journal.commit(Batch(list(rows), [Event("step.started")])))
        Claims(engine, "dying", -1).beat()
        Claims(engine, "steward", 0).take_back(Hints())

    yield die
    writer.close()
    engine.dispose()


def test_a_run_that_is_to_be_cancelled_ends_once_that_is_decided(
    doubtful: Doubtful, program: Any, finish: Any, shop: Shop, app: Flask, acme: House
) -> None:
    run = doubtful()
    with app.app_context(), writing(), Session(db.engine) as session:
        bind_organization(session, acme.organization_id)
        lease = session.get(Lease, parse_id("run", run))
        assert lease is not None
        lease.cancel_at = 1
        session.commit()

    assert decide(program, run, AGAIN).get_json()["state"] == "cancelled"

    assert finish(run)["state"] == "cancelled"
    assert len(shop.orders) == 1


def test_a_run_that_is_cancelled_instead_leaves_open_only_what_nobody_decided(
    doubtful: Doubtful, program: Any, shop: Shop
) -> None:
    shop.cuts = 2
    run = doubtful(lanes(shop))
    decide(program, run, AGAIN, "s_9:l1/s_1")

    program.post(f"/api/v1/runs/{run}/cancel")

    found = program.get(f"/api/v1/runs/{run}").get_json()
    assert (found["state"], states(found)) == (
        "cancelled",
        {"s_9": "cancelled", "s_9:l1/s_1": "cancelled", "s_9:l2/s_2": "unknown"},
    )
    late = decide(program, run, HAPPENED, "s_9:l2/s_2")
    assert (late.status_code, late.get_json()["detail"]) == (409, "The run is over.")


def test_a_waiting_run_is_not_cancelled_over_a_question_that_nobody_was_asked_yet(
    program: Any, make_live: Any, start: Any, runner: Runner, finish: Any, shop: Shop
) -> None:
    waits = {"id": "s_2", "kind": "wait", "with": {"signal": {"name": "paid"}}}
    two = [{"id": "l1", "steps": [order("s_1", shop)]}, {"id": "l2", "steps": [waits]}]
    lanes = {"id": "s_9", "kind": "parallel", "with": {"lanes": two}}
    run = start(make_live(plan_of(lanes), "Orders")).get_json()["id"]
    eventually(program, run, "waiting")
    assert states(eventually(program, run, "waiting"))["s_9:l1/s_1"] == "unknown"

    program.post(f"/api/v1/runs/{run}/cancel")

    found = program.get(f"/api/v1/runs/{run}").get_json()
    assert (found["state"], states(found)) == (
        "needs_review",
        {"s_9": "cancelled", "s_9:l1/s_1": "unknown", "s_9:l2/s_2": "cancelled"},
    )
    assert decide(program, run, HAPPENED, "s_9:l1/s_1").status_code == 200
    assert finish(run)["state"] == "cancelled"
    assert len(shop.orders) == 1


def test_a_run_that_was_told_to_pause_while_it_came_into_doubt_rests_once_that_is_decided(
    doubtful: Doubtful, program: Any, finish: Any, app: Flask, acme: House
) -> None:
    run = doubtful()
    with app.app_context(), writing(), Session(db.engine) as session:
        bind_organization(session, acme.organization_id)
        lease = session.get_one(Lease, parse_id("run", run))
        lease.pause_at, lease.paused_by = 1, "Ada"  # its worker had not heard of it yet
        session.commit()

    decide(program, run, HAPPENED)

    assert program.get(f"/api/v1/runs/{run}").get_json()["state"] == "paused"
    assert program.post(f"/api/v1/runs/{run}/resume").status_code == 200
    assert finish(run)["state"] == "done"


def test_what_a_cancelled_run_has_started_ends_at_once_though_the_run_is_in_doubt(
    make_live: Any, start: Any, program: Any, shop: Shop, leave: Any, app: Flask, acme: House
) -> None:
    run = start(make_live(plan_of(order("s_1", shop)))).get_json()["id"]
    leave(Record("s_1", 1, "s_1", "http", "intent", "at_most_once", "dh-key", left_for(shop)))
    child = start(make_live(plan_of(order("s_1", shop)), "Other")).get_json()["id"]
    with app.app_context(), writing(), Session(db.engine) as session:
        bind_organization(session, acme.organization_id)
        row = session.get_one(Run, parse_id("run", child))
        row.parent_run, row.parent_path = parse_id("run", run), "s_2"
        session.commit()

    assert program.post(f"/api/v1/runs/{run}/cancel").get_json()["state"] == "needs_review"

    assert program.get(f"/api/v1/runs/{child}").get_json()["state"] == "cancelled"


@pytest.mark.parametrize(("said", "state"), [(HAPPENED, "succeeded"), (AGAIN, "cancelled")])
def test_of_an_agent_only_the_call_in_doubt_is_asked(
    make_live: Any, start: Any, finish: Any, program: Any, leave: Any, owner: Browser,
    said: dict[str, Any], state: str,
) -> None:  # fmt: skip
    config = {"inline": {"instructions": "Write.", "model": "default"}, "message": "Go."}
    agent = {"id": "s_1", "kind": "agent", "name": "Write", "with": config}
    run = start(make_live(plan_of(agent))).get_json()["id"]
    asked = prepare(Config.model_validate(config), Scope({}))
    call = to_bytes({"tool": "post", "args": {"to": "Ada"}})
    leave(
        Record("s_1", 1, "s_1", "agent", "intent", "none", "k1", asked),
        Record("s_1/call_1", 1, "s_1", "tool", "intent", "at_most_once", "k2", call),
    )
    finish(run)

    assert "Did a tool call of step 1 “Write” happen?" in owner.get(f"/o/acme/runs/{run}").text
    refused = decide(program, run, said)
    assert refused.status_code == 409
    assert refused.get_json()["detail"].startswith("Decide about the tool call")
    assert decide(program, run, said, "s_1/call_1").get_json()["state"] == state
    assert finish(run)["state"] == "done"


# What is refused


def test_a_second_decision_is_told_of_the_first(doubtful: Doubtful, program: Any) -> None:
    run = doubtful()
    decide(program, run, HAPPENED)

    second = decide(program, run, AGAIN)

    assert (second.status_code, second.get_json()["code"]) == (409, "E-DECIDED")
    assert second.get_json()["detail"].startswith("Test has said that it happened.")


def test_a_step_that_nobody_doubts_cannot_be_decided(
    make_live: Any, start: Any, finish: Any, program: Any
) -> None:
    run = start(make_live(plan_of(text("s_1", "Hello.")))).get_json()["id"]
    finish(run)

    assert decide(program, run, HAPPENED).status_code == 409
    assert decide(program, run, HAPPENED, "s_7").status_code == 404


def test_a_decision_must_be_one_of_two(doubtful: Doubtful, program: Any) -> None:
    answer = decide(program, doubtful(), {"decision": "maybe"})

    assert answer.status_code == 422
    assert answer.get_json()["errors"][0]["pointer"] == "/decision"


def test_a_viewer_may_not_decide_but_sees_who_may(
    doubtful: Doubtful, program: Any, make_key: Any, acme: House, viewer: Browser
) -> None:
    run = doubtful()
    program.key = make_key(acme, Role.VIEWER)

    assert decide(program, run, HAPPENED).status_code == 403
    page = viewer.get(f"/o/acme/runs/{run}").text
    assert "Only owners, admins and members may decide." in page
    assert 'name="decision"' not in page
    assert viewer.submit(f"/o/acme/runs/{run}/decide", path="s_1", **HAPPENED).status_code == 403


def test_another_organization_does_not_see_what_is_to_be_decided(
    doubtful: Doubtful, program: Any, make_key: Any, other: House, stranger: Browser
) -> None:
    run = doubtful()
    program.key = make_key(other)

    assert decide(program, run, HAPPENED).status_code == 404
    assert stranger.submit(f"/o/other/runs/{run}/decide", path="s_1", **HAPPENED).status_code == 404


# The page


def test_the_page_says_what_was_being_sent_and_what_each_answer_means(
    doubtful: Doubtful, owner: Browser, shop: Shop
) -> None:
    page = owner.get(f"/o/acme/runs/{doubtful()}").text

    assert "Did step 1 “Order paper” happen?" in page
    assert f"POST http://127.0.0.1:{shop.port}/orders" in page
    assert "12 boxes &lt;b&gt;" in page
    assert "North" in page
    assert "later steps get no values from it" in page
    assert "The same is sent once more." in page
    assert "<dd>Not certain</dd>" in page
    assert "Nobody knows what came out of it yet." in page
    assert "http-equiv" not in page  # it must not come anew under somebody who writes


def test_a_person_decides_on_the_page(
    doubtful: Doubtful, owner: Browser, finish: Any, app: Flask, acme: House
) -> None:
    run = doubtful()
    url = f"/o/acme/runs/{run}"
    owner.get(url)

    answer = owner.submit(f"{url}/decide", path="s_1", note="Order 4711.", **HAPPENED)

    assert (answer.status_code, answer.headers["Location"]) == (303, url)
    assert "Decided. The run is back in line." in owner.get(url).text
    assert finish(run)["state"] == "done"
    assert "Owner of acme said it happened" in owner.get(url).text
    details = owner.get(f"{url}?step=s_1&view=details").text
    assert "Owner of acme said it happened" in details
    assert "Order 4711." in details
    assert audited(app, acme.organization_id) == {
        "path": "s_1", "decided": "happened", "by": "Owner of acme", "note": "Order 4711.",
    }  # fmt: skip


def audited(app: Flask, organization_id: UUID) -> Any:
    with app.app_context(), Session(db.engine) as session:
        bind_organization(session, organization_id)
        found = select(AuditEntry.after).where(AuditEntry.action == "step.decided")
        return session.scalars(found).one()


def test_who_comes_second_is_told_so_without_an_error(
    doubtful: Doubtful, owner: Browser, member: Browser
) -> None:
    url = f"/o/acme/runs/{doubtful()}"
    owner.submit(f"{url}/decide", path="s_1", **HAPPENED)

    answer = member.submit(f"{url}/decide", path="s_1", **AGAIN)

    assert answer.status_code == 303
    assert "Owner of acme has said that it happened." in member.get(url).text


def test_a_note_that_is_too_long_is_kept_and_said(doubtful: Doubtful, owner: Browser) -> None:
    url = f"/o/acme/runs/{doubtful()}"

    answer = owner.submit(f"{url}/decide", path="s_1", note="x" * 501, **HAPPENED)

    assert answer.status_code == 422
    assert "x" * 501 in answer.text
    assert re.search(r"Note must be 500 characters or fewer", answer.text)


def test_the_box_comes_and_goes_while_somebody_watches(
    make_live: Any, start: Any, finish: Any, owner: Browser, program: Any, shop: Shop
) -> None:
    run = start(make_live(plan_of(order("s_1", shop)))).get_json()["id"]
    url = f"/o/acme/runs/{run}?part=live&after="
    finish(run)

    assert "Did step 1" in owner.get(f"{url}1").text

    seq = program.get(f"/api/v1/runs/{run}/logs").get_json()["items"][-1]["seq"]
    decide(program, run, HAPPENED)
    assert "Did step 1" not in owner.get(f"{url}{seq}").text

"""Rehearsals of workflows that run others: these are rehearsed as well, however deep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from tests.approvals.conftest import letter
from tests.fixtures import Browser
from tests.runs.following import until
from tests.runs.sink import Sink, post, read
from tests.runs.test_again import calls
from tests.runs.test_pages import counted, url_of
from tests.workflows.plans import plan_of, text
from webapp.kernel import jsons

Doc = dict[str, Any]
Rehearse = Callable[..., Doc]


def gives(name: str, *path: str) -> list[Doc]:
    return [{"name": name, "label": name, "type": "any", "value": [{"value": list(path)}]}]


def orders(sink: Sink) -> Doc:
    """A plan that sends an order, reads what is in stock, and gives that."""
    sink.gives["/stock"] = b'{"boxes": 12}'
    steps = post("s_1", f"{sink.url}/order"), read("s_2", f"{sink.url}/stock")
    return plan_of(*steps, result=gives("boxes", "s_2", "body", "boxes"))


@pytest.fixture
def rehearse(make_live: Any, start: Any, finish: Any) -> Rehearse:
    """Return a function that rehearses a plan and returns the run once it is over."""

    def run(plan: Doc, **body: Any) -> Doc:
        run_id = start(make_live(plan, "Caller"), rehearsal=True, **body).get_json()["id"]
        found: Doc = finish(run_id)
        return found

    return run


@pytest.fixture
def rehearsed(make_live: Any, rehearse: Rehearse, sink: Sink) -> Doc:
    """A rehearsal of a workflow that sends something before and after it runs another."""
    called = make_live(orders(sink), "Order paper")
    before, after = post("s_1", f"{sink.url}/one"), post("s_3", f"{sink.url}/two")
    return rehearse(plan_of(before, calls("s_2", called), after))


def called_by(program: Any, run: str, path: str) -> str:
    """Return the run that the step at a path has started."""
    found: str = program.get(f"/api/v1/tasks/{run}.{path}").get_json()["output"]["run"]
    return found


def would_send(owner: Browser, run: str) -> list[Doc]:
    found: list[Doc] = jsons.loads(owner.get(f"{url_of(run)}/would-send.json").text)
    return found


def requests(listed: list[Doc]) -> list[str]:
    """Return the last part of the address of each request."""
    return [str(one["Request"]).rpartition("/")[2] for one in listed]


def test_a_called_workflow_is_rehearsed_and_what_it_gives_is_seen_behind_it(
    program: Any, make_live: Any, rehearse: Rehearse, sink: Sink
) -> None:
    called = make_live(orders(sink), "Order paper")
    said = text("s_2", [{"text": "In stock: "}, {"value": ["s_1", "boxes"]}])

    run = rehearse(plan_of(calls("s_1", called), said, result=gives("said", "s_2", "text")))

    assert (run["state"], run["result"]) == ("done", {"said": "In stock: 12"})
    assert (sink.sent, sink.read) == ([], ["/stock"])
    child = program.get(f"/api/v1/runs/{called_by(program, run['id'], 's_1')}").get_json()
    assert (child["kind"], child["state"]) == ("rehearsal", "done")
    assert child["workflow"]["id"] == called


def within_a_list(step: Doc) -> Doc:
    settings = {"list": {"list": ["a", "b", "c"]}, "steps": [step]}
    return plan_of({"id": "s_5", "kind": "each", "with": settings})


def within_rounds(step: Doc) -> Doc:
    twice = {"all": [{"value": [{"value": ["s_5", "round"]}], "is": "equal", "to": 3}]}
    return plan_of({"id": "s_5", "kind": "repeat", "with": {"until": twice, "steps": [step]}})


@pytest.mark.parametrize("around", [within_a_list, within_rounds])
def test_nothing_leaves_the_machine_from_a_grandchild(
    make_live: Any, rehearse: Rehearse, sink: Sink, owner: Browser, around: Any
) -> None:
    between = make_live(plan_of(calls("s_1", make_live(orders(sink), "Order paper"))), "Between")

    run = rehearse(around(calls("s_6", between)))

    assert run["state"] == "done", run["error"]
    assert (sink.sent, sink.read) == ([], ["/stock"] * 3)
    assert requests(would_send(owner, run["id"])) == ["order"] * 3


def test_nothing_leaves_the_machine_from_what_is_not_waited_for(
    program: Any, make_live: Any, rehearse: Rehearse, finish: Any, sink: Sink, owner: Browser
) -> None:
    step = calls("s_1", make_live(orders(sink), "Order paper"))
    step["with"]["wait"] = False

    run = rehearse(plan_of(step))
    child = finish(called_by(program, run["id"], "s_1"))

    assert (child["kind"], child["state"]) == ("rehearsal", "done")
    assert (sink.sent, sink.read) == ([], ["/stock"])
    assert requests(would_send(owner, run["id"])) == ["order"]


def test_an_approval_in_a_called_workflow_is_asked_of_nobody(
    program: Any, make_live: Any, rehearse: Rehearse
) -> None:
    called = make_live(letter(), "Letters")

    run = rehearse(plan_of(calls("s_1", called), result=gives("sent", "s_1", "sent")))

    assert run["result"] == {"sent": "Sent: Dear Ada, pay 12.50."}
    assert program.get("/api/v1/approvals").get_json()["items"] == []


def test_the_list_has_what_called_workflows_would_have_sent_and_leads_to_their_runs(
    program: Any, owner: Browser, sink: Sink, rehearsed: Doc
) -> None:
    run = rehearsed["id"]
    child = called_by(program, run, "s_2")

    page, listed = owner.get(url_of(run)).text, would_send(owner, run)

    assert sink.sent == []
    assert "<dt>Would have sent</dt><dd>3</dd>" in page
    assert f"Step 1 “order” of Order paper: POST {sink.url}/order" in page
    assert f'href="{url_of(child)}"' in page
    found = [(one["run"], one["path"]) for one in listed]
    assert found == [(run, "s_1"), (run, "s_3"), (child, "s_1")]


def test_a_called_workflow_says_on_its_own_page_that_it_is_a_rehearsal(
    program: Any, owner: Browser, rehearsed: Doc
) -> None:
    page = owner.get(url_of(called_by(program, rehearsed["id"], "s_2"))).text

    assert "This is a rehearsal" in page
    assert "<dt>Would have sent</dt><dd>1</dd>" in page
    assert "Started by" in page


def test_a_rehearsal_that_is_run_again_from_behind_a_call_still_lists_what_that_would_have_sent(
    program: Any, owner: Browser, finish: Any, sink: Sink, rehearsed: Doc
) -> None:
    answer = program.post(
        f"/api/v1/runs/{rehearsed['id']}/again",
        json={"from": "s_3"},
        headers={"Idempotency-Key": "once more"},
    )
    run = finish(answer.get_json()["id"])

    assert (run["kind"], run["state"]) == ("rehearsal", "done")
    assert (sink.sent, sink.read) == ([], ["/stock"])
    assert sorted(requests(would_send(owner, run["id"]))) == ["one", "order", "two"]


def test_a_called_workflow_that_failed_is_rehearsed_when_the_rehearsal_is_run_again(
    program: Any, make_live: Any, rehearse: Rehearse, finish: Any, sink: Sink, owner: Browser
) -> None:
    fails = {"id": "s_2", "kind": "stop", "with": {"as": "failed", "message": "Enough."}}
    last = post("s_3", f"{sink.url}/last")
    called = make_live(plan_of(post("s_1", f"{sink.url}/order"), fails, last), "Order paper")
    run = rehearse(plan_of(calls("s_1", called)))
    assert run["state"] == "failed"
    assert requests(would_send(owner, run["id"])) == ["order"]
    rev = program.get(f"/api/v1/workflows/{called}").get_json()["rev"]
    mended = plan_of(post("s_1", f"{sink.url}/order"), text("s_2"), last)
    program.put(f"/api/v1/workflows/{called}", json={"rev": rev, "plan": mended})
    program.post(f"/api/v1/workflows/{called}/live", json={})

    answer = program.post(
        f"/api/v1/runs/{run['id']}/again", json={}, headers={"Idempotency-Key": "once more"}
    )
    new = finish(answer.get_json()["id"])

    assert new["state"] == "done", new["error"]
    assert sink.sent == []
    assert requests(would_send(owner, new["id"])) == ["order", "last"]


def test_a_rehearsal_that_is_cancelled_cancels_what_it_called(
    program: Any, make_live: Any, start: Any, runner: Any, sink: Sink
) -> None:
    sink.gives["/slow"] = b"{}"
    sink.speaks.clear()
    called = make_live(plan_of(read("s_1", f"{sink.url}/slow")), "Slow")
    run = start(make_live(plan_of(calls("s_1", called))), rehearsal=True).get_json()["id"]
    until(lambda: sink.read == ["/slow"], "the called run reads")

    program.post(f"/api/v1/runs/{run}/cancel")

    def are_over() -> bool:
        rows = program.get("/api/v1/runs").get_json()["items"]
        return [one["state"] for one in rows] == ["cancelled", "cancelled"]

    until(are_over, "both are cancelled")
    sink.speaks.set()


def test_its_page_asks_few_questions(app: Flask, owner: Browser, rehearsed: Doc) -> None:
    owner.get(url_of(rehearsed["id"]))

    with counted(app) as page:
        assert owner.get(url_of(rehearsed["id"])).status_code == 200

    assert len(page) <= 13, page

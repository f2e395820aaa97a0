"""What waits for a person outlives everything, and goes on once (SECURITY.md D16)."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.chaos import plans
from tests.chaos.sink import Sink
from tests.chaos.stack import Stack

pytestmark = pytest.mark.timeout(180)
DEATHS = 3


@pytest.fixture(scope="module")
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = Stack(tmp_path_factory.mktemp("asked"), lease_s=2)
    yield made.open()
    made.close()


def plan(sink: Sink, **settings: Any) -> dict[str, Any]:
    ask = {"id": "s_1", "kind": "approval", "name": "Agree", "with": {"who": [{"role": "viewer"}]}}
    ask["with"] |= settings
    return plans.of(ask, plans.http("s_2", sink.url, "sent", "POST"))


def asked(stack: Stack, run: str) -> str:
    """Return the approval that the run has opened."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        _, found = stack.call("GET", "/api/v1/approvals")
        mine = [one["id"] for one in found["items"] if one["run"] == run]
        if mine:
            return str(mine[0])
        time.sleep(0.05)
    raise AssertionError("nobody was asked")


def decide(stack: Stack, approval: str, key: str, decision: str = "approve") -> tuple[int, Any]:
    url = f"/api/v1/approvals/{approval}"
    said = {"decision": decision, "note": "Not yet." if decision == "changes" else ""}
    said["shown"] = stack.call("GET", url)[1]["shown"]
    return stack.call("POST", f"{url}/decide", said, Idempotency_Key=key)


def die(stack: Stack) -> None:
    """Kill every part and Valkey at once, and start them again."""
    stack.kill_all()
    stack.valkey.start()
    stack.tend()
    stack.answers_again()


def test_a_run_that_asks_outlives_the_death_of_everything_and_sends_once(
    stack: Stack, sink: Sink
) -> None:
    workflow = stack.live("Asks", plan(sink))
    run = stack.start(workflow, "key-all", name="all")
    approval = asked(stack, run)
    for _ in range(DEATHS):
        die(stack)
        assert asked(stack, run) == approval

    assert decide(stack, approval, "once")[0] == 200
    die(stack)

    assert stack.settled(run, 60)["state"] == "done"
    assert len(sink.arrivals("/all/")) == 1


def test_the_web_dies_behind_the_commit_of_an_answer_and_the_answer_stands(
    stack: Stack, sink: Sink
) -> None:
    workflow = stack.live("Asks again", plan(sink))
    run = stack.start(workflow, "key-web", name="web")
    approval = asked(stack, run)
    stack.kill("web")
    stack.begin("web", CRASH_AT="web.after_approve_commit")
    serving = stack.serving()

    decide(stack, approval, "the same key")
    stack.is_dead(serving, "web")
    stack.kill("web")
    stack.begin("web")
    stack.answers_again()

    status, found = decide(stack, approval, "the same key")
    assert (status, found["decision"]) == (200, "approve")
    assert stack.settled(run, 60)["state"] == "done"
    assert len(sink.arrivals("/web/")) == 1


def test_what_ran_out_of_time_while_all_was_dead_is_over_afterwards(
    stack: Stack, sink: Sink
) -> None:
    until = datetime.now(UTC) + timedelta(seconds=6)
    settings = {"due": {"at": until.isoformat()}, "at_due": "continue"}
    run = stack.start(stack.live("In time", plan(sink, **settings)), "key-due", name="due")
    approval = asked(stack, run)
    stack.kill_all()
    while datetime.now(UTC) < until:
        time.sleep(0.1)
    stack.valkey.start()
    stack.tend()
    stack.answers_again()

    assert stack.settled(run, 60)["state"] == "done"
    assert len(sink.arrivals("/due/")) == 1
    status, late = decide(stack, approval, "too late")
    assert (status, late["code"]) == (409, "E-APPROVAL-LATE")


def test_a_worker_that_dies_where_it_would_park_asks_once(stack: Stack, sink: Sink) -> None:
    workflow = stack.live("Parks", plan(sink))
    stack.end("worker")
    stack.begin("worker", CRASH_AT="worker.after_record_before_next")
    run = stack.start(workflow, "key-park", name="park")
    stack.gone("worker")
    stack.begin("worker")

    approval = asked(stack, run)

    _, found = stack.call("GET", "/api/v1/approvals")
    assert [one["run"] for one in found["items"]].count(run) == 1
    stack.signal("worker", signal.SIGKILL)
    stack.gone("worker")
    stack.begin("worker")
    assert decide(stack, approval, "park")[0] == 200
    assert stack.settled(run, 60)["state"] == "done"
    assert len(sink.arrivals("/park/")) == 1


def test_rounds_outlive_workers_that_die_between_them_and_each_is_sent_once(
    stack: Stack, sink: Sink
) -> None:
    write = plans.http("s_0", sink.url, "write", "PUT")
    ask = {"id": "s_1", "kind": "approval", "name": "Agree"}
    ask["with"] = {"who": [{"role": "viewer"}], "back_to": "s_0"}
    send = plans.http("s_2", sink.url, "sent", "POST")
    run = stack.start(stack.live("Rounds", plans.of(write, ask, send)), "key-r", name="rounds")
    seen: list[str] = []
    for point in ("worker.after_record_before_next", "worker.before_intent"):
        approval = fresh(stack, run, seen)
        stack.end("worker")
        stack.begin("worker", CRASH_AT=point)
        assert decide(stack, approval, f"{point} said", "changes")[0] == 200
        stack.gone("worker")  # it died in the round that the answer began
        stack.begin("worker")

    assert decide(stack, fresh(stack, run, seen), "rounds done")[0] == 200
    found = stack.settled(run, 60)

    assert found["state"] == "done", found
    paths = [task["path"] for task in found["tasks"]]
    assert paths == ["s_0", "s_1", "s_1#2/s_0", "s_1#2/s_1", "s_1#3/s_0", "s_1#3/s_1", "s_2"]
    keys = [arrival.key for arrival in sink.arrivals("/rounds/") if "write" in arrival.path]
    assert len(set(keys)) == 3
    sent = [arrival for arrival in sink.arrivals("/rounds/") if "sent" in arrival.path]
    assert len(sent) == 1


def fresh(stack: Stack, run: str, seen: list[str]) -> str:
    """Return the approval of the newest round, once somebody is asked anew."""
    until = time.monotonic() + 30
    while (found := asked(stack, run)) in seen:
        assert time.monotonic() < until, "nobody is asked again"
        time.sleep(0.05)
    seen.append(found)
    return found

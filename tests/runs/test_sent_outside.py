"""What a page says of what a run has sent outside, when the other side alone knows."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fixtures import Browser
from tests.runs.following import pausing
from tests.runs.sink import Sink, post
from tests.runs.test_pages import url_of
from tests.runs.test_signals import eventually
from tests.workflows.plans import plan_of
from webapp.runs import arriving
from webapp.runs.execution.runner import Runner

Doc = dict[str, Any]
NOT_CERTAIN = "<dt>Sent outside</dt><dd>Not certain</dd>"


def repeatable(step_id: str, url: str, **more: Any) -> Doc:
    step: Doc = {**post(step_id, url), "retry": {"times": 0}, **more}
    step["with"] = {**step["with"], "repeat_safe": True}
    return step


def arrived(sink: Sink) -> None:
    pauses = pausing()
    while not sink.sent:
        assert next(pauses), "nothing came"


@pytest.fixture
def silent(sink: Sink) -> Sink:
    sink.speaks.clear()
    return sink


@pytest.mark.parametrize("around", ["", "each"])
def test_what_got_no_answer_in_time_may_have_arrived(
    owner: Browser, make_live: Any, start: Any, finish: Any, silent: Sink, around: str
) -> None:
    sends = repeatable("s_1", f"{silent.url}/one", timeout_s=1)
    if around:
        items = {"list": {"list": [1]}, "item_failure": "stop", "steps": [sends]}
        sends = {"id": "s_2", "kind": "each", "with": items}
    run = start(make_live(plan_of(sends))).get_json()["id"]
    assert finish(run)["state"] == "failed"
    silent.speaks.set()

    page = owner.get(url_of(run)).text

    assert silent.sent == ["/one"]
    assert NOT_CERTAIN in page
    assert "It is not certain what was sent outside." in page
    assert "Nothing was sent outside." not in page


def test_what_was_cancelled_on_its_way_may_have_arrived(
    owner: Browser, program: Any, make_live: Any, start: Any, silent: Sink, runner: Runner
) -> None:
    run = start(make_live(plan_of(repeatable("s_1", f"{silent.url}/one")))).get_json()["id"]
    arrived(silent)
    program.post(f"/api/v1/runs/{run}/cancel")
    eventually(program, run, "cancelled")
    silent.speaks.set()

    assert NOT_CERTAIN in owner.get(url_of(run)).text


def test_a_lane_that_was_not_needed_any_more_may_have_sent(
    owner: Browser, make_live: Any, start: Any, finish: Any, silent: Sink
) -> None:
    wait = {"id": "s_2", "kind": "wait", "with": {"for_s": 1}}
    lanes = [
        {"id": "a", "label": "A", "steps": [repeatable("s_1", f"{silent.url}/one")]},
        {"id": "b", "label": "B", "steps": [wait]},
    ]
    first = {"id": "s_3", "kind": "parallel", "with": {"lanes": lanes, "until": "first"}}
    run = start(make_live(plan_of(first))).get_json()["id"]
    assert finish(run)["word"] == "Done"
    silent.speaks.set()

    assert silent.sent == ["/one"]
    assert NOT_CERTAIN in owner.get(url_of(run)).text


def test_what_was_refused_was_not_sent(
    owner: Browser, make_live: Any, start: Any, finish: Any, sink: Sink
) -> None:
    sink.refused = {"/two"}
    plan = plan_of(repeatable("s_1", f"{sink.url}/one"), repeatable("s_2", f"{sink.url}/two"))
    run = start(make_live(plan)).get_json()["id"]
    assert finish(run)["state"] == "failed"

    page = owner.get(url_of(run)).text

    assert "<dt>Sent outside</dt><dd>1</dd>" in page
    assert "One thing was sent outside." in page


def test_of_more_than_is_looked_at_nothing_is_certain(
    owner: Browser, make_live: Any, start: Any, finish: Any, sink: Sink,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(arriving, "_LOOKED_AT", 1)
    sink.refused = {"/two"}
    plan = plan_of(repeatable("s_1", f"{sink.url}/one"), repeatable("s_2", f"{sink.url}/two"))
    run = start(make_live(plan)).get_json()["id"]
    assert finish(run)["state"] == "failed"

    assert "<dt>Sent outside</dt><dd>1 or more</dd>" in owner.get(url_of(run)).text

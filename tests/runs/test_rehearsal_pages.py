"""Rehearsals as people see them: the button, the page with what would have been sent, the tag."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from tests.fixtures import Browser
from tests.runs.sink import Sink, post
from tests.runs.test_pages import counted, url_of
from tests.workflows.plans import plan_of, text
from webapp.kernel import jsons

ONCE = "o" * 24


def order(step_id: str, sink: Sink) -> dict[str, Any]:
    body = {"as": "json", "value": {"record": {"item": "=Paper", "boxes": 12}}}
    step = post(step_id, f"{sink.url}/one")
    return {**step, "name": "Order paper", "with": {**step["with"], "body": body}}


@pytest.fixture
def rehearsed(owner: Browser, make_live: Any, finish: Any, sink: Sink) -> str:
    """A rehearsal that was started by the button of the form."""
    form = f"/o/acme/workflows/{make_live(plan_of(text('s_1', 'x'), order('s_2', sink)))}/run"
    owner.get(form)
    answer = owner.submit(form, rehearsal="yes", once=ONCE)
    run = answer.headers["Location"].rpartition("/")[2]
    assert finish(run)["state"] == "done"
    return str(run)


def test_the_form_offers_a_rehearsal_and_says_what_it_is(owner: Browser, make_live: Any) -> None:
    page = owner.get(f"/o/acme/workflows/{make_live(plan_of(text('s_1', 'x')))}/run").text

    assert 'name="rehearsal" value="yes"' in page
    assert "only writes down what would be sent or changed" in page


def test_a_rehearsal_is_marked_and_lists_what_it_would_have_sent(
    owner: Browser, sink: Sink, rehearsed: str
) -> None:
    page = owner.get(url_of(rehearsed)).text
    listed = owner.get("/o/acme/runs").text

    assert sink.sent == []
    assert "This is a rehearsal" in page
    assert "Step 2 “Order paper”" in page
    assert f"POST {sink.url}/one" in page
    assert "Paper" in page
    assert "<dt>Would have sent</dt><dd>1</dd>" in page
    assert "Sent outside" not in page
    assert "Run for real" in page
    assert '<span class="tag">Rehearsal</span>' in listed


def test_a_rehearsal_does_not_pause_between_rounds(make_live: Any, start: Any, finish: Any) -> None:
    twice = {"all": [{"value": [{"value": ["s_1", "round"]}], "is": "equal", "to": 2}]}
    settings = {"until": twice, "pause_s": 3600, "steps": [text("s_2", "x")]}
    plan = plan_of({"id": "s_1", "kind": "repeat", "with": settings})

    run = finish(start(make_live(plan), rehearsal=True).get_json()["id"])

    assert (run["state"], run["word"]) == ("done", "Done")


def test_the_list_comes_down_as_csv_and_json(
    owner: Browser, program: Any, sink: Sink, rehearsed: str
) -> None:
    table = owner.get(f"{url_of(rehearsed)}/would-send.csv")
    whole = owner.get(f"{url_of(rehearsed)}/would-send.json")

    assert table.headers["Content-Disposition"].startswith("attachment")
    assert f"POST {sink.url}/one" in table.text
    row = jsons.loads(whole.text)[0]
    assert row["path"] == "s_2"
    assert row["Content"] == {"item": "=Paper", "boxes": 12}
    assert owner.get(f"{url_of(rehearsed)}/would-send.exe").status_code == 404
    assert program.get(f"/api/v1/runs/{rehearsed}").get_json()["kind"] == "rehearsal"


def test_run_again_repeats_the_rehearsal_and_has_nothing_to_skip(
    owner: Browser, finish: Any, sink: Sink, rehearsed: str
) -> None:
    check = owner.get(f"{url_of(rehearsed)}/again").text
    answer = owner.submit(f"{url_of(rehearsed)}/again", once="p" * 24)
    run = answer.headers["Location"].rpartition("/")[2]

    finish(run)

    assert "Nothing is sent a second time." in check
    assert "This is a rehearsal" in owner.get(url_of(run)).text
    assert sink.sent == []


def test_what_is_no_rehearsal_has_no_such_list(
    owner: Browser, make_live: Any, start: Any, finish: Any
) -> None:
    run = start(make_live(plan_of(text("s_1", "x")))).get_json()["id"]
    finish(run)

    assert "Would have sent" not in owner.get(url_of(run)).text
    assert jsons.loads(owner.get(f"{url_of(run)}/would-send.json").text) == []


def test_a_viewer_looks_and_may_not_rehearse_and_strangers_find_nothing(
    viewer: Browser, stranger: Browser, program: Any, rehearsed: str
) -> None:
    workflow = program.get(f"/api/v1/runs/{rehearsed}").get_json()["workflow"]["id"]

    assert viewer.get(f"{url_of(rehearsed)}/would-send.csv").status_code == 200
    answer = viewer.submit(f"/o/acme/workflows/{workflow}/run", rehearsal="yes", once=ONCE)
    assert answer.status_code == 403
    assert stranger.get(f"/o/other/runs/{rehearsed}/would-send.csv").status_code == 404


def test_its_page_asks_few_questions(app: Flask, owner: Browser, rehearsed: str) -> None:
    owner.get(url_of(rehearsed))

    with counted(app) as page:
        assert owner.get(url_of(rehearsed)).status_code == 200

    assert len(page) <= 11, page

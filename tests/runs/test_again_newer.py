"""Run again by the version that is live now: what it takes over, and what it does anew."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from tests.fixtures import Browser, House, MakeKey, Program
from tests.runs.sink import Sink, post
from tests.runs.test_again import again
from tests.runs.test_pages import url_of
from tests.runs.test_signals import eventually
from tests.workflows.plans import plan_of, text
from webapp.access.permissions import Role
from webapp.runs.execution.runner import Runner

Doc = dict[str, Any]
SAID = [{"name": "said", "label": "Said", "type": "text", "value": [{"value": ["s_9", "text"]}]}]


def plan(sink: Sink, *, first: str = "/one", second: str = "/two", **rest: Any) -> Doc:
    """Two steps that send, of which the second is refused until the workflow is mended."""
    steps = post("s_1", f"{sink.url}{first}"), post("s_2", f"{sink.url}{second}")
    return plan_of(*steps, text("s_9", rest.pop("words", "end")), result=SAID, **rest)


@pytest.fixture
def mend(program: Any) -> Any:
    """Return a function that puts another plan of a workflow live."""

    def mended(workflow: str, doc: Doc) -> None:
        url = f"/api/v1/workflows/{workflow}"
        saved = program.put(url, json={"plan": doc, "rev": program.get(url).get_json()["rev"]})
        assert saved.status_code == 200, saved.text
        answer = program.post(f"{url}/live", json={})
        assert answer.status_code == 200, answer.text

    return mended


@pytest.fixture
def failed(program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink) -> Any:
    """A run whose second step was refused, and its workflow."""
    sink.refused.add("/two")
    workflow = make_live(plan(sink))
    run: str = start(workflow).get_json()["id"]
    eventually(program, run, "failed")
    return run, workflow


def by_live(program: Any, run: str, start: str = "s_2", **more: Any) -> Any:
    answer = again(program, run, {"from": start, "version": "live", **more})
    assert answer.status_code == 202, answer.text
    return eventually(program, answer.get_json()["id"], "done", "failed", "needs_review")


def test_the_step_that_was_mended_goes_on_where_the_run_failed(
    program: Any, mend: Any, sink: Sink, failed: Any
) -> None:
    run, workflow = failed
    mend(workflow, plan(sink, second="/three", words="mended"))

    told = program.get(f"/api/v1/runs/{run}/again?from=s_2&version=live").get_json()
    new = by_live(program, run)

    assert (told["version"], told["live"], told["kept"], told["sent"]) == (2, 2, 1, [])
    assert told["changed"] == ["s_2", "s_9"]
    assert new["version"] == 2
    assert new["result"] == {"said": "mended"}
    assert [task["state"] for task in new["tasks"]] == ["reused", "succeeded", "succeeded"]
    assert sink.sent == ["/one", "/two", "/three"]


def test_what_comes_behind_a_changed_step_is_not_taken_over_and_not_sent_unasked(
    program: Any, mend: Any, sink: Sink, failed: Any
) -> None:
    run, workflow = failed
    mend(workflow, plan(sink, first="/first", second="/three"))

    told = program.get(f"/api/v1/runs/{run}/again?from=s_2&version=live").get_json()
    careful = by_live(program, run)
    bold = by_live(program, run, send_again=["s_1", "s_2"])

    assert (told["kept"], [one["path"] for one in told["sent"]]) == (0, ["s_1"])
    assert [task["state"] for task in careful["tasks"]] == ["skipped", "succeeded", "succeeded"]
    assert bold["state"] == "done"
    assert sink.sent == ["/one", "/two", "/three", "/first", "/three"]


def test_without_a_word_it_goes_by_the_version_as_it_ran(
    program: Any, mend: Any, sink: Sink, failed: Any
) -> None:
    run, workflow = failed
    mend(workflow, plan(sink, second="/three"))

    told = program.get(f"/api/v1/runs/{run}/again?from=s_2").get_json()
    answer = again(program, run, {"from": "s_2"})

    assert (told["version"], told["live"], told["changed"]) == (1, 2, [])
    assert eventually(program, answer.get_json()["id"], "failed")["version"] == 1
    assert sink.sent == ["/one", "/two", "/two"]


def test_a_new_question_with_a_default_is_answered_by_it(
    program: Any, mend: Any, sink: Sink, failed: Any
) -> None:
    run, workflow = failed
    asked = {"name": "day", "label": "Day", "type": "text", "default": "Monday"}
    words = [{"value": ["start", "day"]}]
    mend(workflow, plan(sink, second="/three", words=words, inputs=[asked]))

    new = by_live(program, run)

    assert new["inputs"] == {"day": "Monday"}
    assert new["result"] == {"said": "Monday"}
    assert sink.sent == ["/one", "/two", "/three"]


def test_a_version_that_asks_for_more_or_has_no_such_step_is_said_to_be_wrong(
    program: Any, mend: Any, sink: Sink, failed: Any
) -> None:
    run, workflow = failed
    must = {"name": "day", "label": "Day", "type": "text", "required": True}
    mend(workflow, plan(sink, inputs=[must], words=[{"value": ["start", "day"]}]))
    asks_more = again(program, run, {"from": "s_2", "version": "live"})
    mend(workflow, plan_of(text("s_9", "end"), result=SAID))
    has_none = again(program, run, {"from": "s_2", "version": "live"})
    odd = again(program, run, {"from": "s_2", "version": "newest"})

    found = [one.get_json()["errors"][0] for one in (asks_more, has_none, odd)]
    assert [one.status_code for one in (asks_more, has_none, odd)] == [422, 422, 422]
    assert [one["pointer"] for one in found] == ["/version", "/from", "/version"]
    assert "Version 2 asks for other values than this run was given" in found[0]["detail"]
    assert "Version 3 has no such step" in found[1]["detail"]
    assert sink.sent == ["/one", "/two"]


def test_items_are_kept_that_the_live_version_would_do_the_same(
    program: Any, make_live: Any, mend: Any, start: Any, runner: Runner, sink: Sink
) -> None:
    def orders(words: str) -> Doc:
        url = [{"text": f"{sink.url}/"}, {"value": ["s_2", "item"]}]
        inside = [{**post("s_4", sink.url), "with": {"method": "POST", "url": url}}]
        settings = {"list": {"list": ["one", "two"]}, "item_failure": "continue", "steps": inside}
        each = {"id": "s_2", "kind": "each", "name": "All", "with": settings}
        return plan_of(each, text("s_9", words), result=SAID)

    sink.refused.add("/two")
    workflow = make_live(orders("before"))
    run = start(workflow).get_json()["id"]
    assert eventually(program, run, "done")["problems"] is True
    sink.refused.clear()
    mend(workflow, orders("mended"))

    new = by_live(program, run, "s_2[1]/s_4")

    states = {task["path"]: task["state"] for task in new["tasks"]}
    assert (states["s_2[0]/s_4"], states["s_2[1]/s_4"]) == ("reused", "succeeded")
    assert (new["result"], new["problems"]) == ({"said": "mended"}, False)
    assert sorted(sink.sent) == ["/one", "/two", "/two"]


def test_the_check_page_offers_both_versions(
    owner: Browser, program: Any, mend: Any, sink: Sink, failed: Any
) -> None:
    run, workflow = failed
    page = f"{url_of(run)}/again?from=s_2"
    before = owner.get(page).text
    mend(workflow, plan(sink, second="/three"))
    as_it_ran, live = owner.get(page).text, owner.get(f"{page}&version=live").text

    pressed = owner.submit(
        f"{url_of(run)}/again", **{"from": "s_2", "version": "live", "once": "o" * 24}
    )

    assert "By version 1, as it ran." in before
    assert "Version 2, live now" not in before
    assert 'aria-current="page">Version 1, as it ran' in as_it_ran
    assert 'aria-current="page">Version 2, live now' in live
    assert "1 step of version 2 is" in live
    new = pressed.headers["Location"].rpartition("/")[2]
    assert eventually(program, new, "done", "failed")["version"] == 2


def test_the_check_page_says_why_the_live_version_cannot_go_on(
    owner: Browser, mend: Any, sink: Sink, failed: Any
) -> None:
    run, workflow = failed
    mend(workflow, plan_of(text("s_9", "end"), result=SAID))

    live = owner.get(f"{url_of(run)}/again?from=s_2&version=live").text

    assert "Version 2 can&#39;t go on from here" in live
    assert "Version 2 has no such step" in live
    assert 'name="from"' not in live


def test_a_viewer_may_not_start_it_and_strangers_find_nothing(
    app: Flask, acme: House, other: House, make_key: MakeKey, failed: Any
) -> None:
    for key, status in ((make_key(acme, Role.VIEWER), 403), (make_key(other), 404)):
        somebody = Program(app, app.response_class, use_cookies=False)
        somebody.key = key

        assert again(somebody, failed[0], {"from": "s_2", "version": "live"}).status_code == status

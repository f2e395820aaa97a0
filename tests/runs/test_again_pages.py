"""Run again from a step, as people do it: the check page, the press, and what the runs say."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask

from tests.fixtures import Browser
from tests.runs.sink import Sink, post
from tests.runs.test_pages import counted, url_of
from tests.runs.test_signals import eventually
from tests.workflows.plans import plan_of, text
from webapp.runs.execution.runner import Runner

ONCE = "o" * 24


@pytest.fixture
def failed(program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink) -> str:
    """A run whose first step sent something and whose second was refused."""
    sink.refused.add("/two")
    steps = post("s_1", f"{sink.url}/one"), post("s_2", f"{sink.url}/two"), text("s_3", "end")
    run: str = start(make_live(plan_of(*steps))).get_json()["id"]
    eventually(program, run, "failed")
    return run


def test_the_failed_step_is_tried_again_with_two_presses(
    owner: Browser, program: Any, sink: Sink, failed: str
) -> None:
    sink.refused.clear()
    way = re.search(
        r'href="([^"]+)"[^>]*>Try the failed step again', owner.get(url_of(failed)).text
    )
    assert way is not None
    check = owner.get(way[1]).text

    answers = [
        owner.submit(f"{url_of(failed)}/again", **{"from": "s_2", "once": ONCE}) for _ in range(2)
    ]

    assert "Try step 2" in check
    assert "1 step of the run is kept" in check
    assert "Nothing is sent a second time." in check
    assert [answer.status_code for answer in answers] == [303, 303]
    new = answers[0].headers["Location"].rpartition("/")[2]
    assert answers[1].headers["Location"].endswith(new)
    assert eventually(program, new, "done", "failed")["state"] == "done"
    assert sink.sent == ["/one", "/two", "/two"]


def test_both_runs_say_how_they_belong_together(
    owner: Browser, program: Any, sink: Sink, failed: str
) -> None:
    owner.get(f"{url_of(failed)}/again")
    bad = owner.submit(f"{url_of(failed)}/again", **{"from": "s_2", "once": ONCE})
    worse = bad.headers["Location"].rpartition("/")[2]
    eventually(program, worse, "failed")
    assert "Run again as" in owner.get(url_of(failed)).text
    sink.refused.clear()

    good = owner.submit(f"{url_of(failed)}/again", **{"from": "s_2", "once": "p" * 24})
    new = good.headers["Location"].rpartition("/")[2]
    eventually(program, new, "done")
    old_page, new_page = owner.get(url_of(failed)).text, owner.get(url_of(new)).text

    assert re.search(rf'Fixed by <a href="{url_of(new)}">', old_page)
    assert "(2 times in all)" in old_page
    assert re.search(rf'Run again of <a href="{url_of(failed)}">', new_page)
    assert "from step 2" in new_page


def test_what_was_sent_is_shown_and_sent_again_only_when_it_is_ticked(
    owner: Browser, program: Any, sink: Sink, failed: str
) -> None:
    sink.refused.clear()
    check = owner.get(f"{url_of(failed)}/again").text

    careful = owner.submit(f"{url_of(failed)}/again", **{"from": "", "once": ONCE})
    eventually(program, careful.headers["Location"].rpartition("/")[2], "done")
    sent = list(sink.sent)
    bold = owner.submit(
        f"{url_of(failed)}/again", **{"from": "", "send_again": ["s_1", "s_2"], "once": "p" * 24}
    )
    eventually(program, bold.headers["Location"].rpartition("/")[2], "done")

    assert 'name="send_again" id="again-s_1" value="s_1"' in check
    assert f"POST {sink.url}/one" in check
    assert "What you do not tick is skipped" in check
    assert "checked" not in check
    assert sent == ["/one", "/two", "/two"]
    assert sink.sent == [*sent, "/one", "/two"]
    assert "Was sent before, so not again" in owner.get(careful.headers["Location"]).text


def test_what_was_sent_for_items_of_a_list_is_said_to_be_known_by_their_places(
    owner: Browser,
    program: Any,
    make_live: Any,
    start: Any,
    runner: Runner,
    sink: Sink,
    failed: str,
) -> None:
    inside = [post("s_2", f"{sink.url}/one")]
    each = {"id": "s_1", "kind": "each", "with": {"list": {"list": ["a", "b"]}, "steps": inside}}
    run = start(make_live(plan_of(each), "Letters")).get_json()["id"]
    eventually(program, run, "done")
    said = "Items of a list are known by their places in it."

    assert said in owner.get(f"{url_of(run)}/again").text
    assert said not in owner.get(f"{url_of(failed)}/again").text


def test_each_step_of_a_run_that_is_over_leads_to_its_check_page(
    owner: Browser, failed: str
) -> None:
    reached = owner.get(f"{url_of(failed)}?step=s_1").text
    not_reached = owner.get(f"{url_of(failed)}?step=s_3").text

    assert f'href="{url_of(failed)}/again?from=s_1"' in reached
    assert "Run again from here" in reached
    assert "Run again from here" not in not_reached


def test_a_run_that_is_not_over_and_a_step_that_is_not_there_are_refused(
    owner: Browser, make_live: Any, start: Any, failed: str
) -> None:
    waiting = start(
        make_live(plan_of({"id": "s_1", "kind": "wait", "with": {"for_s": 900}}), "Waits")
    ).get_json()["id"]

    assert owner.get(f"{url_of(failed)}/again?from=s_77").status_code == 404
    assert owner.get(f"{url_of(failed)}/again?from=../x").status_code == 404
    assert owner.get(f"{url_of(waiting)}/again").status_code == 409
    assert owner.submit(f"{url_of(waiting)}/again", once=ONCE).status_code == 409
    assert "Run again from here" not in owner.get(f"{url_of(waiting)}?step=s_1").text


def test_a_viewer_sees_no_button_and_may_not_and_strangers_find_nothing(
    viewer: Browser, stranger: Browser, failed: str
) -> None:
    page = viewer.get(f"{url_of(failed)}?step=s_1").text

    assert "Run again from here" not in page
    assert "Try the failed step again" not in page
    assert viewer.get(f"{url_of(failed)}/again").status_code == 403
    assert viewer.submit(f"{url_of(failed)}/again", once=ONCE).status_code == 403
    assert stranger.get(f"{url_of(failed)}/again").status_code == 404
    assert stranger.get(f"/o/other/runs/{failed}/again").status_code == 404
    assert stranger.submit(f"/o/other/runs/{failed}/again", once=ONCE).status_code == 404


def test_the_check_page_asks_few_questions(app: Flask, owner: Browser, failed: str) -> None:
    owner.get(f"{url_of(failed)}/again")

    with counted(app) as page:
        assert owner.get(f"{url_of(failed)}/again").status_code == 200

    assert len(page) <= 10, page

"""Repetitions, signals and runs of runs on the page of a run."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask

from tests.fixtures import Browser
from tests.runs.test_pages import counted, url_of
from tests.runs.test_signals import HELLO, WAITS, calling, eventually
from tests.workflows.plans import plan_of, text
from webapp.runs.execution.runner import Runner

ONCE = "o" * 24


def repeat(until: int, *steps: dict[str, Any], most: int = 10, **more: Any) -> dict[str, Any]:
    row = {"value": [{"value": ["s_9", "round"]}], "is": "equal", "to": until}
    settings = {"until": {"all": [row]}, "most": most, "steps": list(steps), **more}
    return {"id": "s_9", "kind": "repeat", "name": "Until it is good", "with": settings}


def test_rounds_stand_like_items_and_their_steps_are_reached(
    owner: Browser, make_live: Any, start: Any, finish: Any
) -> None:
    steps = text("s_1", [{"text": "Try "}, {"value": ["s_9", "round"]}], "Try"), text("s_2", "b")
    run = start(make_live(plan_of(repeat(3, *steps)))).get_json()["id"]
    finish(run)

    page = owner.get(url_of(run)).text
    rounds = owner.get(f"{url_of(run)}?step=s_9&view=items&part=pane").text
    step = owner.get(f"{url_of(run)}?step=s_9%232/s_1").text

    assert "3 rounds" in page
    assert "Show all 3 rounds" in page
    assert re.findall(r"Round \d", rounds) == ["Round 1", "Round 2", "Round 3"]
    assert "Rounds</a>" in rounds
    assert "Try 2" in step
    assert "Try, round 2</h2>" in step


def test_while_it_runs_the_line_says_which_round_it_is(
    owner: Browser, program: Any, make_live: Any, start: Any, runner: Runner
) -> None:
    waits = {"id": "s_1", "kind": "wait", "name": "Paid?", "with": {"signal": {"name": "paid"}}}
    run = start(make_live(plan_of(repeat(3, waits)))).get_json()["id"]
    eventually(program, run, "waiting")
    first = owner.get(url_of(run)).text
    program.post(f"/api/v1/runs/{run}/signals", json={"name": "paid"})
    eventually(program, run, "waiting")

    page = owner.get(url_of(run)).text

    assert "Round 1 of at most 10" in first
    assert "Round 2 of at most 10" in page
    assert "Waits for the signal “paid”" in page


def test_what_was_handed_on_is_told_again(
    owner: Browser, make_live: Any, start: Any, finish: Any
) -> None:
    carry = [{"name": "note", "first": "none", "value": [{"value": ["s_1", "text"]}]}]
    said = [{"text": "After "}, {"value": ["s_9", "carry", "note"]}]
    plan = plan_of(repeat(3, text("s_1", said, "Say"), carry=carry))
    run = start(make_live(plan)).get_json()["id"]
    finish(run)

    went_in = owner.get(f"{url_of(run)}?step=s_9%233/s_1&view=in&part=pane").text

    assert "After After After none" in went_in


def test_a_hundred_rounds_have_a_small_page(
    app: Flask, owner: Browser, make_live: Any, start: Any, finish: Any
) -> None:
    plan = plan_of(repeat(100, text("s_1", "x", "Step"), text("s_2", "y"), most=100))
    run = start(make_live(plan)).get_json()["id"]
    finish(run)
    owner.get(url_of(run))

    with counted(app) as asked:
        page = owner.get(f"{url_of(run)}?step=s_9%2399/s_1")

    assert "Show all 100 rounds" in page.text
    assert page.text.count("Round ") <= 25
    assert len(page.get_data()) < 60_000
    assert len(asked) <= 10, asked


# Signals


def test_a_signal_is_sent_by_the_form_of_the_step_that_waits_for_it(
    owner: Browser, program: Any, make_live: Any, start: Any, runner: Runner
) -> None:
    run = start(make_live(WAITS)).get_json()["id"]
    eventually(program, run, "waiting")
    page = owner.get(url_of(run)).text

    sent = owner.submit(
        f"{url_of(run)}/signals", name="paid", step="s_1", data='{"sum": "12.50"}', once=ONCE
    )

    assert "This step waits for the signal “paid”" in page
    assert "Send the signal" in page
    assert "http-equiv" not in page  # it must not take away what somebody types
    assert sent.status_code == 303
    assert eventually(program, run, "done")["result"] == {"said": "Got 12.50"}


def test_a_signal_says_what_is_wrong_and_keeps_what_was_typed(
    owner: Browser, program: Any, make_live: Any, start: Any, runner: Runner
) -> None:
    run = start(make_live(WAITS)).get_json()["id"]
    eventually(program, run, "waiting")
    owner.get(url_of(run))

    wrong = owner.submit(f"{url_of(run)}/signals", name="paid", data='{"sum": ', once=ONCE)

    assert wrong.status_code == 422
    assert "This begins like JSON. It is not JSON: line 1, column 8 is wrong." in wrong.text
    assert "{&#34;sum&#34;: " in wrong.text
    program.post(f"/api/v1/runs/{run}/cancel")
    late = owner.submit(f"{url_of(run)}/signals", name="paid", once="p" * 24)
    assert late.status_code == 303  # the page says why


@pytest.mark.parametrize(
    "typed",
    ["[" * 5_000 + "]" * 5_000, "[1e999999999]", '["\\u0000"]', '["\\ud800"]', '{"a": 1, "a": 2}'],
    ids=["depth", "exponent", "nul", "surrogate", "twice"],
)
def test_what_is_typed_as_a_signal_is_read_as_strictly_as_what_programs_send(
    owner: Browser, program: Any, make_live: Any, start: Any, runner: Runner, typed: str
) -> None:
    run = start(make_live(WAITS)).get_json()["id"]
    eventually(program, run, "waiting")
    owner.get(url_of(run))

    wrong = owner.submit(f"{url_of(run)}/signals", name="paid", data=typed, once=ONCE)

    assert wrong.status_code == 422
    assert "This begins like JSON." in wrong.text


def test_a_viewer_may_not_send_a_signal_and_strangers_see_no_run(
    viewer: Browser,
    stranger: Browser,
    program: Any,
    make_live: Any,
    start: Any,
    runner: Runner,
) -> None:
    run = start(make_live(WAITS)).get_json()["id"]
    eventually(program, run, "waiting")

    page = viewer.get(url_of(run)).text

    assert "may send it." in page
    assert "signal-form" not in page
    assert viewer.submit(f"{url_of(run)}/signals", name="paid", once=ONCE).status_code == 403
    stranger.get("/o/other/runs")
    answer = stranger.submit(f"/o/other/runs/{run}/signals", name="paid", once=ONCE)
    assert answer.status_code == 404


# Runs of runs


def test_a_run_and_the_run_it_started_lead_to_each_other(
    owner: Browser, program: Any, make_live: Any, start: Any, finish: Any
) -> None:
    parent = start(make_live(calling(make_live(HELLO, "Hello")), "Caller")).get_json()["id"]
    child = finish(parent)["result"]["run"]

    above = owner.get(f"{url_of(parent)}?step=s_1").text
    below = owner.get(url_of(child)).text

    assert f'href="{url_of(child)}">Open run' in above
    assert re.search(rf'Started by step 1 “Other” of <a href="{url_of(parent)}">', below)
    assert ", Caller." in below


def test_a_run_that_waits_for_another_leads_to_it(
    owner: Browser, program: Any, make_live: Any, start: Any, runner: Runner
) -> None:
    parent = start(make_live(calling(make_live(WAITS, "Hello")), "Caller")).get_json()["id"]
    eventually(program, parent, "waiting")

    assert "which this step started" in owner.get(url_of(parent)).text

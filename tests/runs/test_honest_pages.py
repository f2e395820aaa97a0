"""A run's page says what failed inside of what ended well, what waits for what, and never all of it."""

from __future__ import annotations

import re
from typing import Any

from tests.fixtures import Browser
from tests.runs.test_signals import eventually
from tests.workflows.plans import plan_of, text
from webapp.runs.execution.runner import Runner

FAILS = {"id": "s_2", "kind": "http", "with": {"method": "GET", "url": "http://10.0.0.1/"}}
PAID = {"id": "s_2", "kind": "wait", "with": {"signal": {"name": "paid"}}}
LATER = {"id": "s_2", "kind": "wait", "with": {"for_s": 900}}
MANY = {"name": "many", "label": "Customers", "type": "list", "required": True}


def marks(page: str) -> list[str]:
    """Return the marks of the lines, from the top."""
    return re.findall(r'class="line__mark" data-state="(\w+)"', page)


def test_a_list_of_which_an_item_failed_is_not_green(
    owner: Browser, make_live: Any, start: Any, finish: Any
) -> None:
    each = {"list": {"list": ["Ada"]}, "steps": [FAILS]}
    run = start(make_live(plan_of({"id": "s_1", "kind": "each", "name": "Ask", "with": each})))
    finish(run.get_json()["id"])
    page = f"/o/acme/runs/{run.get_json()['id']}"

    whole, pane = owner.get(page).text, owner.get(f"{page}?step=s_1&part=pane").text

    assert marks(whole) == ["problems", "failed"]
    assert "It happened in step 1 “Ask”." in whole
    assert "Finished with problems" in pane[: pane.index("</nav>")]


def test_an_agent_that_went_on_without_a_tool_is_not_green(
    owner: Browser, make_live: Any, start: Any, finish: Any
) -> None:
    inline = {"instructions": "Reckon.", "model": "practice", "tools": ["calculator"]}
    agent = {"id": "s_1", "kind": "agent", "with": {"inline": inline, "message": "1/0"}}
    run = start(make_live(plan_of(agent))).get_json()["id"]
    finish(run)

    assert marks(owner.get(f"/o/acme/runs/{run}").text) == ["problems"]


def test_lanes_say_what_they_start_after_and_which_failed(
    owner: Browser, program: Any, make_live: Any, start: Any, runner: Runner
) -> None:
    lanes = [
        {"id": "a", "label": "Prices", "steps": [PAID]},
        {"id": "b", "label": "Stock", "steps": [{**FAILS, "id": "s_3"}]},
        {"id": "c", "label": "Join", "needs": ["a"], "steps": [text("s_4")]},
    ]
    both = {"lanes": lanes, "lane_failure": "continue"}
    run = start(make_live(plan_of({"id": "s_1", "kind": "parallel", "with": both})))
    eventually(program, run.get_json()["id"], "waiting")

    page = owner.get(f"/o/acme/runs/{run.get_json()['id']}").text

    assert "0 of 3 lanes done, 1 failed" in page
    assert "Starts after Prices" in page


def test_a_long_table_at_the_start_shows_its_first_rows_until_more_are_asked_for(
    owner: Browser, make_live: Any, start: Any, finish: Any
) -> None:
    rows = [{"name": f"Customer {n}"} for n in range(1, 31)]
    workflow = make_live(plan_of(text("s_1"), inputs=[MANY]))
    run = start(workflow, inputs={"many": rows}).get_json()["id"]
    finish(run)

    page = owner.get(f"/o/acme/runs/{run}").text
    more = re.search(r'href="([^"]+)#started-title">Show all 30', page)

    assert "Customer 10<" in page
    assert "Customer 11<" not in page
    assert more
    assert "Customer 30<" in owner.get(more[1]).text


def test_a_step_that_asks_leads_to_what_it_asks(
    owner: Browser, program: Any, make_live: Any, start: Any, runner: Runner
) -> None:
    asks = {"id": "s_1", "kind": "approval", "with": {"who": [{"role": "owner"}]}}
    run = start(make_live(plan_of(asks))).get_json()["id"]
    eventually(program, run, "waiting")

    page = owner.get(f"/o/acme/runs/{run}").text

    [box] = re.findall(r'waits for an answer. <a href="#([\w-]+)">See what is asked', page)
    assert f'id="{box}"' in page


def test_a_list_in_parts_is_at_work_though_its_steps_lie_in_other_runs(
    owner: Browser, program: Any, make_live: Any, start: Any, runner: Runner
) -> None:
    each = {"list": [{"value": ["start", "many"]}], "steps": [LATER]}
    plan = plan_of({"id": "s_1", "kind": "each", "name": "Ask", "with": each}, inputs=[MANY])
    run = start(make_live(plan), inputs={"many": list(range(205))}).get_json()["id"]
    eventually(program, run, "waiting")

    page = owner.get(f"/o/acme/runs/{run}").text

    assert "This step is at work." in page
    assert "Nothing has begun yet" not in page


def test_a_step_that_started_a_run_says_what_it_waits_for(
    owner: Browser, program: Any, make_live: Any, start: Any, runner: Runner
) -> None:
    called = make_live(plan_of(PAID), "Called")
    calls = {"id": "s_1", "kind": "workflow", "with": {"workflow": called}}
    run = start(make_live(plan_of(calls))).get_json()["id"]
    eventually(program, run, "waiting")

    assert "This step goes on when that run is over." in owner.get(f"/o/acme/runs/{run}").text

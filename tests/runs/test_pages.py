"""Runs as people see them, worked on by a real runner."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event
from sqlalchemy.orm import Session

from tests.fixtures import Browser, House
from tests.runs.sink import Sink, post
from tests.runs.test_signals import eventually
from tests.workflows.plans import WHO, plan_of, text
from webapp.access.tenancy import bind_organization
from webapp.kernel.clock import now
from webapp.kernel.db import writing
from webapp.kernel.ids import parse_id
from webapp.runs.execution.runner import Runner
from webapp.runs.models import Lease, Run, Step
from webapp.web.database import db

HELLO = [{"text": "Hello "}, {"value": ["start", "who"]}]
PLAN = plan_of(
    text("s_1", HELLO, "Greet"),
    inputs=[WHO],
    result=[
        {
            "name": "greeting",
            "label": "Greeting",
            "type": "text",
            "value": [{"value": ["s_1", "text"]}],
        }
    ],
)
AMOUNT = {"record": {"name": "amount", "type": "number"}}
NAMES = {"list": ["Müller GmbH", "Weber KG", "Lefèvre & Fils"]}
EACH = plan_of(
    {
        "id": "s_1",
        "kind": "each",
        "name": "Write to each",
        "with": {
            "list": NAMES,
            "steps": [text("s_2", [{"text": "Dear "}, {"value": ["s_1", "item"]}])],
            "collect": [
                {
                    "name": "letter",
                    "label": "Letter",
                    "type": "text",
                    "value": [{"value": ["s_2", "text"]}],
                }
            ],
        },
    },
    result=[
        {
            "name": "letters",
            "label": "Letters",
            "type": "list",
            "value": [{"value": ["s_1", "items"]}],
        }
    ],
)
STOPS = plan_of(
    text("s_1", "Hello.", "Begin"),
    {
        "id": "s_2",
        "kind": "stop",
        "name": "Give up",
        "with": {"as": "failed", "message": "No stock is left. Order more."},
    },
    text("s_3", "Never.", "Never reached"),
)


@contextmanager
def counted(app: Flask) -> Iterator[list[str]]:
    """Collect the statements that are sent to the database."""
    found: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "set_config" not in statement:
            found.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


def url_of(run: str) -> str:
    return f"/o/acme/runs/{run}"


# The form


def test_a_run_is_started_by_hand_and_shown(owner: Browser, make_live: Any, finish: Any) -> None:
    form = f"/o/acme/workflows/{make_live(PLAN)}/run"
    assert 'name="q-who"' in owner.get(form).text

    started = owner.submit(form, **{"q-who": "Ada <b>", "once": "o" * 24})
    run = started.headers["Location"].rpartition("/")[2]
    finish(run)
    page = owner.get(started.headers["Location"]).text

    assert started.status_code == 303
    assert "Done in" in page
    assert "Hello Ada &lt;b&gt;" in page
    assert "Started by Owner of acme" in page


def test_a_second_press_of_run_starts_nothing_more(
    owner: Browser, program: Any, make_live: Any
) -> None:
    form = f"/o/acme/workflows/{make_live(PLAN)}/run"
    owner.get(form)

    answers = [owner.submit(form, **{"q-who": "Ada", "once": "o" * 24}) for _ in range(2)]

    assert answers[0].headers["Location"] == answers[1].headers["Location"]
    assert len(program.get("/api/v1/runs").get_json()["items"]) == 1


@pytest.mark.parametrize("htmx", [False, True])
def test_a_missing_answer_is_said_at_its_question(
    htmx: bool, owner: Browser, make_live: Any
) -> None:
    form = f"/o/acme/workflows/{make_live(PLAN)}/run"
    owner.get(form)

    answer = owner.submit(form, htmx=htmx, **{"q-who": "", "once": "o" * 24})

    assert answer.status_code == 422
    assert 'href="#q-who">Enter who.' in answer.text
    assert 'aria-describedby="q-who-error"' in answer.text
    assert ("<html" in answer.text) is not htmx


def test_the_form_begins_with_defaults_and_what_was_given_last(
    owner: Browser, make_live: Any
) -> None:
    day = {"name": "day", "label": "Day", "type": "date", "default": "today", "required": True}
    form = f"/o/acme/workflows/{make_live(plan_of(text('s_1'), inputs=[WHO, day]))}/run"
    owner.get(form)
    first = owner.submit(form, **{"q-who": "Ada", "q-day": "2026-01-02", "once": "o" * 24})
    run = first.headers["Location"].rpartition("/")[2]

    fresh = owner.get(form).text
    again = owner.get(f"{form}?from={run}").text

    assert "Ada</textarea>" in fresh
    assert f'value="{now().date().isoformat()}"' in fresh
    assert 'value="2026-01-02"' in again


def test_a_file_comes_with_the_form_and_stays_chosen(
    owner: Browser, make_live: Any, finish: Any
) -> None:
    asks = {"name": "rows", "label": "Rows", "type": "file", "required": True}
    plan = plan_of(
        text("s_1", [{"value": ["start", "rows"], "adjust": [{"do": "text"}]}], "Read"),
        inputs=[asks],
    )
    form = f"/o/acme/workflows/{make_live(plan)}/run"
    owner.get(form)

    sent = owner.submit(form, **{"q-rows": (BytesIO(b"a,b\n"), "rows.csv"), "once": "o" * 24})
    page_url = sent.headers["Location"]
    finish(page_url.rpartition("/")[2])
    page = owner.get(page_url).text
    link = re.search(r'href="(/o/acme/files/file_[^"]+)">rows.csv', page)
    assert link is not None, page
    content = owner.get(link[1])
    again = owner.get(f"{form}?from={page_url.rpartition('/')[2]}").text

    assert content.get_data() == b"a,b\n"
    assert content.headers["Content-Disposition"].startswith("attachment")
    assert 'name="q-rows-kept"' in again
    assert "rows.csv" in again


def test_a_file_of_many_megabytes_comes_with_the_form(owner: Browser, make_live: Any) -> None:
    asks = {"name": "rows", "label": "Rows", "type": "file", "required": True}
    form = f"/o/acme/workflows/{make_live(plan_of(text('s_1'), inputs=[asks]))}/run"
    owner.get(form)

    sent = owner.submit(
        form, **{"q-rows": (BytesIO(b"a,b\n" * 2_500_000), "rows.csv"), "once": "o" * 24}
    )

    sent.request.input_stream.close()  # the test client keeps what it sends in a file
    assert sent.status_code == 303, sent.text


def test_a_file_that_is_filled_in_already_is_named_and_used(
    owner: Browser, program: Any, make_live: Any, finish: Any
) -> None:
    sent = program.post("/api/v1/files", data={"file": (BytesIO(b"a,b\n"), "usual.csv")})
    usual = sent.get_json()["id"]
    asks = {"name": "rows", "label": "Rows", "type": "file", "required": True, "default": usual}
    form = f"/o/acme/workflows/{make_live(plan_of(text('s_1'), inputs=[asks]))}/run"

    page = owner.get(form).text
    started = owner.submit(form, **{"q-rows-kept": usual, "once": "o" * 24})
    without = owner.submit(form, once="p" * 24)
    runs = [answer.headers["Location"].rpartition("/")[2] for answer in (started, without)]

    assert "usual.csv, 4 bytes, is used unless you choose another." in page
    assert f'name="q-rows-kept" value="{usual}"' in page
    assert [finish(run)["inputs"] for run in runs] == [{"rows": {"file": usual}}] * 2


def test_a_workflow_that_is_not_live_offers_its_draft(owner: Browser, make_live: Any) -> None:
    form = f"/o/acme/workflows/{make_live(PLAN, live=False)}/run"

    page, draft = owner.get(form).text, owner.get(f"{form}?version=draft").text
    started = owner.submit(f"{form}?version=draft", **{"q-who": "Ada", "once": "o" * 24})

    assert "This workflow is not live yet" in page
    assert "Runs the draft as it is now." in draft
    assert started.status_code == 303


def test_a_viewer_may_not_start_runs(viewer: Browser, make_live: Any) -> None:
    form = f"/o/acme/workflows/{make_live(PLAN)}/run"

    assert viewer.get(form).status_code == 403
    assert viewer.submit(form, **{"q-who": "Ada", "once": "o" * 24}).status_code == 403


# The page


def test_a_list_shows_each_item_by_its_name(
    owner: Browser, make_live: Any, start: Any, finish: Any
) -> None:
    run = start(make_live(EACH)).get_json()["id"]
    finish(run)

    page = owner.get(url_of(run)).text
    items = owner.get(f"{url_of(run)}?step=s_1&view=items").text
    item = owner.get(f"{url_of(run)}?step=s_1[1]/s_2").text
    part = owner.get(f"{url_of(run)}?part=items&step=s_1&from=1").text

    assert "3 of 3 done" in page
    assert "Show all 3" in page
    assert "Letters" in page
    assert "Dear Müller GmbH" in page
    assert [items.find(name) > 0 for name in NAMES["list"]] == [True, True, False]
    assert "Lefèvre &amp; Fils" in items
    assert "Dear Weber KG" in item
    assert part.count("<li>") == 2
    assert "<html" not in part


def test_a_failed_run_says_what_happened_what_was_done_and_what_to_do(
    owner: Browser, make_live: Any, start: Any, finish: Any
) -> None:
    run = start(make_live(STOPS)).get_json()["id"]
    assert finish(run)["state"] == "failed"

    page = owner.get(url_of(run)).text

    assert "Failed at step 2" in page
    assert "No stock is left" in page
    assert "Order more." in page
    assert "Step 1. Nothing was sent outside." in page
    assert "To fix it" in page
    assert "Not started" in page
    assert 'role="alert"' in page
    assert "Run again with these values" in page


@pytest.mark.parametrize("items", [25, 205], ids=["in the run", "in parts"])
def test_what_was_sent_counts_also_where_the_page_shows_only_some_of_it(
    owner: Browser, make_live: Any, start: Any, finish: Any, sink: Sink, items: int
) -> None:
    called = {"workflow": make_live(plan_of(post("s_1", f"{sink.url}/one")), "Called")}
    sends = {"list": {"list": list(range(items))}, "steps": [post("s_2", f"{sink.url}/two")]}
    if items > 200:  # a value of the plan holds as many
        sends["list"] = [{"value": ["start", "names"]}]
    plan = plan_of(
        {"id": "s_1", "kind": "each", "with": sends},
        {"id": "s_3", "kind": "workflow", "with": called},
        {"id": "s_4", "kind": "stop", "with": {"as": "failed", "message": "Enough."}},
        inputs=[{"name": "names", "label": "Names", "type": "list", "required": True}],
    )
    run = start(make_live(plan), inputs={"names": list(range(items))}).get_json()["id"]
    assert finish(run)["state"] == "failed"

    page = owner.get(url_of(run)).text

    assert len(sink.sent) == items + 1
    assert f"<dt>Sent outside</dt><dd>{items + 1}</dd>" in page
    assert f"{items + 1} things were sent outside." in page


def test_items_that_wait_or_were_cancelled_are_not_done(
    owner: Browser, program: Any, make_live: Any, start: Any, runner: Runner
) -> None:
    asks = {"id": "s_2", "kind": "approval", "with": {"who": [{"role": "owner"}]}}
    asks_each = {"list": {"list": ["a", "b", "c"]}, "steps": [asks]}
    run = start(make_live(plan_of({"id": "s_1", "kind": "each", "with": asks_each})))
    address = url_of(run.get_json()["id"])
    eventually(program, run.get_json()["id"], "waiting")

    waiting = owner.get(address).text
    program.post(f"/api/v1/runs/{run.get_json()['id']}/cancel")
    cancelled = owner.get(address).text

    assert "0 of 3 done" in waiting
    assert "0 of 3 done" in cancelled


def test_a_step_has_the_number_that_it_has_in_the_builder(
    owner: Browser, make_live: Any, start: Any, finish: Any
) -> None:
    last = {"id": "s_3", "kind": "stop", "name": "Stop here", "with": {"as": "failed"}}
    workflow = make_live(plan_of(EACH["steps"][0], last))
    run = start(workflow).get_json()["id"]
    finish(run)

    builder = owner.get(f"/o/acme/workflows/{workflow}?step=s_3").text
    page = owner.get(url_of(run)).text

    assert "Step 3, Stop here" in builder
    assert "Failed at step 3" in page
    assert "Steps 1 to 2. Nothing was sent outside." in page


def test_what_a_file_lacks_leads_to_another_file_before_the_same_again(
    owner: Browser, make_live: Any, start: Any, finish: Any
) -> None:
    read = {"file": [{"value": ["start", "rows"]}], "columns": {"list": [AMOUNT]}}
    step = {"id": "s_1", "kind": "tool", "with": {"tool": "csv.read", "args": read}}
    rows = {"name": "rows", "label": "Rows", "type": "text", "required": True}
    run = start(make_live(plan_of(step, inputs=[rows])), inputs={"rows": "kunde;betrag\na;1\n"})
    assert finish(run.get_json()["id"])["state"] == "failed"

    page = owner.get(url_of(run.get_json()["id"])).text

    assert re.search(r'btn--main"[^>]*>Run again with other values', page)
    assert "Try the failed step again" in page
    assert "Run again with a file that fits, or change step 1." in page
    assert "Step 1, Read a CSV file" in page
    assert "Use a tool" not in page


def test_a_step_that_is_tried_again_says_when(
    owner: Browser, program: Any, make_live: Any, start: Any, runner: Runner, sink: Sink
) -> None:
    ask = {"method": "GET", "url": f"{sink.url}/figures"}
    workflow = make_live(plan_of({"id": "s_1", "kind": "http", "name": "Ask", "with": ask}))
    sink.shutdown()
    sink.server_close()
    run = start(workflow).get_json()["id"]
    eventually(program, run, "waiting")

    assert "Trying again at <time" in owner.get(url_of(run)).text


def test_a_failed_run_says_its_reason_once(
    owner: Browser, start: Any, make_live: Any, finish: Any
) -> None:
    call = {"method": "GET", "url": "http://10.0.0.1/orders"}
    ask = {"id": "s_1", "kind": "http", "name": "Read the orders", "with": call}
    run = start(make_live(plan_of(ask))).get_json()["id"]
    finish(run)

    page = owner.get(url_of(run)).text

    assert page.count("leads into a private network") == 1
    assert 'This step failed. <a href="#fail-title">Why</a>' in page


def test_the_pane_shows_what_came_out_what_went_in_and_details(
    owner: Browser, make_live: Any, start: Any, finish: Any
) -> None:
    tool = {"tool": "calculator", "args": {"expression": "6 * 7"}}
    plan = plan_of({"id": "s_1", "kind": "tool", "name": "Reckon", "with": tool})
    run = start(make_live(plan)).get_json()["id"]
    finish(run)

    out = owner.get(f"{url_of(run)}?step=s_1&part=pane").text
    went_in = owner.get(f"{url_of(run)}?step=s_1&view=in&part=pane").text
    details = owner.get(f"{url_of(run)}?step=s_1&view=details&part=pane").text
    whole = owner.get(f"{url_of(run)}/values.json?step=s_1")

    assert out.lstrip().startswith("<section")
    assert "42" in out
    assert "6 * 7" in went_in
    assert "&#34;expression&#34;" in details
    assert "s_1, tool" in details
    assert whole.headers["Content-Disposition"].startswith("attachment")


def test_results_come_down_as_csv_and_text(
    owner: Browser, make_live: Any, start: Any, finish: Any
) -> None:
    formula = {**EACH["steps"][0], "with": {**EACH["steps"][0]["with"], "list": {"list": ["x"]}}}
    formula["with"]["steps"] = [text("s_2", "=1+1")]
    run = start(make_live({**EACH, "steps": [formula]})).get_json()["id"]
    finish(run)

    table = owner.get(f"{url_of(run)}/result/letters.csv")

    assert table.headers["Content-Type"].startswith("text/csv")
    assert table.text == "\ufeffletter\r\n'=1+1\r\n"
    assert owner.get(f"{url_of(run)}/result/nothing.csv").status_code == 404
    assert owner.get(f"{url_of(run)}/result/letters.exe").status_code == 404


def test_the_live_part_says_only_what_changed_and_stops_at_the_end(
    owner: Browser, make_live: Any, start: Any, finish: Any
) -> None:
    run = start(make_live(PLAN), inputs={"who": "Ada"}).get_json()["id"]
    page = owner.get(url_of(run)).text

    nothing = owner.get(f"{url_of(run)}?part=live&after=1")
    all_of_it = owner.get(f"{url_of(run)}?part=live&after=0")
    finish(run)
    over = owner.get(f"{url_of(run)}?part=live&after=1")

    assert 'data-seq="1"' in page
    assert 'data-every="2"' in page
    assert '<meta http-equiv="refresh" content="5">' in page
    assert nothing.status_code == 200
    assert "run-head" not in nothing.text
    assert len(nothing.get_data()) < 600
    assert 'id="run-head" hx-swap-oob="morph"' in all_of_it.text
    assert over.status_code == 286
    assert 'data-every="0"' in over.text
    assert 'id="run-body" hx-swap-oob="morph"' in over.text
    assert "Hello Ada" in over.text
    assert "http-equiv" not in owner.get(url_of(run)).text


def test_a_run_is_cancelled_with_one_press(owner: Browser, make_live: Any, start: Any) -> None:
    run = start(make_live(PLAN), inputs={"who": "Ada"}).get_json()["id"]
    assert "Cancel run" in owner.get(url_of(run)).text

    answer = owner.submit(f"{url_of(run)}/cancel", once="o" * 24)
    page = owner.get(answer.headers["Location"]).text

    assert answer.status_code == 303
    assert "This run was cancelled" in page
    assert owner.submit(f"{url_of(run)}/cancel", once="p" * 24).status_code == 409


def test_a_viewer_sees_who_may_cancel_and_may_not(
    viewer: Browser, make_live: Any, start: Any
) -> None:
    run = start(make_live(PLAN), inputs={"who": "Ada"}).get_json()["id"]

    page = viewer.get(url_of(run)).text

    assert "Only owners, admins and members may cancel runs." in page
    assert viewer.submit(f"{url_of(run)}/cancel", once="o" * 24).status_code == 403


def test_another_organization_does_not_see_the_run(
    stranger: Browser, make_live: Any, start: Any
) -> None:
    run = start(make_live(PLAN), inputs={"who": "Ada"}).get_json()["id"]

    assert stranger.get(url_of(run)).status_code == 404
    assert stranger.get(f"/o/other/runs/{run}").status_code == 404
    assert stranger.get(f"/o/other/runs/{run}?part=live&after=0").status_code == 404
    assert run not in stranger.get("/o/other/runs").text


def test_senseless_steps_and_views_show_the_run(owner: Browser, make_live: Any, start: Any) -> None:
    run = start(make_live(PLAN), inputs={"who": "Ada"}).get_json()["id"]

    for query in ("step=s_9", "step=s_1[3]/s_2", "step=%00", "view=secrets", "step=" + "x" * 900):
        assert owner.get(f"{url_of(run)}?{query}").status_code in {200, 400}


# The list


def test_the_list_is_filtered_paged_and_comes_as_csv(
    owner: Browser, member: Browser, make_live: Any, start: Any
) -> None:
    workflow, other = make_live(PLAN, "Greeting"), make_live(plan_of(text("s_1")), "Other")
    for _ in range(51):
        start(workflow, inputs={"who": "Ada"})
    start(other)

    first = owner.get("/o/acme/runs").text
    older = re.search(r'href="([^"]+)" rel="next"', first)
    assert older is not None
    second = owner.get(older[1].replace("&amp;", "&")).text
    newer = re.search(r'href="([^"]+)" rel="prev"', second)
    assert newer is not None

    assert first.count('<th scope="row">') == 50
    assert second.count('<th scope="row">') == 2
    assert owner.get(newer[1].replace("&amp;", "&")).text.count('<th scope="row">') == 50
    only = owner.get(f"/o/acme/runs?workflow={workflow}&part=list").text
    assert ">Other</a>" not in only
    assert "<html" not in only
    assert "No runs match" in owner.get("/o/acme/runs?state=failed").text
    assert "No runs match" in member.get("/o/acme/runs?by=me").text
    csv = owner.get("/o/acme/runs.csv")
    assert csv.text.count("\r\n") == 53


def test_the_list_counts_what_is_new_and_brings_states_up_to_date(
    owner: Browser, make_live: Any, start: Any, finish: Any
) -> None:
    workflow = make_live(PLAN)
    run = start(workflow, inputs={"who": "Ada"}).get_json()["id"]
    page = owner.get("/o/acme/runs").text
    start(workflow, inputs={"who": "Ben"})
    finish(run)

    live = owner.get(f"/o/acme/runs?part=live&newest={run}&active={run}").text

    assert f"active={run}" in page
    assert "1 new run" in live
    assert f'id="state-{run}" hx-swap-oob="true"' in live
    assert "Done" in live


# Budgets


def test_the_page_and_its_live_part_ask_few_questions(
    app: Flask, owner: Browser, make_live: Any, start: Any, finish: Any
) -> None:
    run = start(make_live(EACH)).get_json()["id"]
    finish(run)
    owner.get(url_of(run))

    with counted(app) as page:
        assert owner.get(f"{url_of(run)}?step=s_1&view=in").status_code == 200
    with counted(app) as nothing:
        owner.get(f"{url_of(run)}?part=live&after=999")

    assert len(page) <= 10, page
    assert len(nothing) <= 3, nothing


def test_a_run_of_ten_thousand_items_has_a_small_page(
    app: Flask, acme: House, owner: Browser, make_live: Any, start: Any
) -> None:
    many = {**EACH["steps"][0]["with"], "list": [{"value": ["start", "names"]}], "most": 10_000}
    asks = {"name": "names", "label": "Names", "type": "list", "required": True}
    plan = plan_of({**EACH["steps"][0], "with": many}, inputs=[asks])
    names = [f"Customer {n}" for n in range(10_000)]
    run = start(make_live(plan), inputs={"names": names}).get_json()["id"]
    _write_items(app, acme, run, 10_000)

    owner.get(url_of(run))
    with counted(app) as page:
        whole = owner.get(url_of(run))
    with counted(app) as live:
        part = owner.get(f"{url_of(run)}?part=live&after=1")

    assert "9,998 of 10,000 done, 1 failed" in whole.text
    assert "Customer 4711" in whole.text  # what failed stands first
    assert "Customer 9999" in whole.text  # what works comes next
    assert len(whole.get_data()) < 60_000
    assert len(part.get_data()) < 40_000
    assert len(page) <= 10, page
    assert len(live) <= 5, live


def _write_items(app: Flask, house: House, run: str, count: int) -> None:
    """Write the journal of a run in its last item: one has failed, one works."""
    run_id = parse_id("run", run)
    with app.app_context(), writing(), Session(db.engine) as session:
        bind_organization(session, house.organization_id)
        at = now()

        def step(path: str, step_id: str, kind: str, state: str) -> Step:
            return Step(
                run_id=run_id,
                path=path,
                attempt=1,
                step_id=step_id,
                kind=kind,
                state=state,
                effect="none",
                idem_key="k",
                fence=1,
                seq=2,
                started_at=at,
                done_at=None if state == "intent" else at,
                error={"code": "E-X", "text": "It failed."} if state == "failed" else None,
            )

        session.add(step("s_1", "s_1", "each", "intent"))
        states = dict.fromkeys(range(count), "succeeded") | {4711: "failed", count - 1: "intent"}
        session.add_all(step(f"s_1[{n}]/s_2", "s_2", "text", state) for n, state in states.items())
        found = session.get(Run, run_id)
        lease = session.get(Lease, run_id)
        assert found is not None
        assert lease is not None
        found.state, found.started_at = "running", at
        lease.state, lease.seq, lease.worker = "running", 2, "w1"
        session.commit()

"""The list of runs, narrowed: on its page, in its CSV and for programs alike."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, update
from sqlalchemy.orm import Session

from tests.fixtures import Browser, House
from tests.workflows.plans import plan_of, text
from webapp.access.tenancy import bind_organization
from webapp.kernel.clock import now
from webapp.kernel.db import writing
from webapp.kernel.ids import first_id, new_id, parse_id, time_of
from webapp.runs import listing
from webapp.runs.models import Run
from webapp.web.database import db

PLAN = plan_of(text("s_1"))
Asked = Callable[[str], list[str]]


@pytest.fixture
def workflows(make_live: Any) -> tuple[str, str]:
    return make_live(PLAN, "Greeting"), make_live(PLAN, "Report")


@pytest.fixture
def mixed(workflows: tuple[str, str], start: Any, program: Any, owner: Browser) -> list[str]:
    """Four runs, oldest first: two of each workflow; the owner started the last by hand."""
    greeting, report = workflows
    runs = [start(one).get_json()["id"] for one in (greeting, report, greeting)]
    program.post(f"/api/v1/runs/{runs[0]}/cancel")
    owner.get(f"/o/acme/workflows/{report}/run")
    by_hand = owner.submit(f"/o/acme/workflows/{report}/run", once="o" * 24)
    return [*runs, by_hand.headers["Location"].rpartition("/")[2]]


def named_in(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="/o/acme/runs/(run_\w+)"', page)


def asked_by_program(program: Any, query: str) -> list[str]:
    answer = program.get(f"/api/v1/runs?{query}")
    assert answer.status_code == 200, answer.text
    return [run["id"] for run in answer.get_json()["items"]]


def in_csv(text: str) -> list[str]:
    return [line.split(",")[0] for line in text.splitlines()[1:]]


def test_the_same_words_narrow_page_csv_and_api(
    mixed: list[str], workflows: tuple[str, str], owner: Browser, program: Any
) -> None:
    greeting, report = workflows
    today = now().date()
    person = re.search(r'value="(usr_\w+)">Owner of acme', owner.get("/o/acme/runs").text)
    assert person is not None
    expected = {
        "state=cancelled": [mixed[0]],
        f"workflow={greeting}": [mixed[2], mixed[0]],
        f"workflow={greeting}&state=queued": [mixed[2]],
        f"by={person[1]}": [mixed[3]],
        f"by={person[1]}&workflow={greeting}": [],
        f"by={person[1]}&workflow={report}&state=queued": [mixed[3]],
        f"since={today}": mixed[::-1],
        f"until={today - timedelta(1)}": [],
        "since=0001-01-01&until=9999-12-31": mixed[::-1],
        f"since={today}&until={today}&workflow={report}": [mixed[3], mixed[1]],
    }

    for query, runs in expected.items():
        assert named_in(owner.get(f"/o/acme/runs?{query}").text) == runs, query
        assert in_csv(owner.get(f"/o/acme/runs.csv?{query}").text) == runs, query
        assert asked_by_program(program, query) == runs, query


def test_me_is_whoever_asks(
    mixed: list[str], owner: Browser, member: Browser, program: Any
) -> None:
    assert named_in(owner.get("/o/acme/runs?by=me").text) == [mixed[3]]
    assert named_in(member.get("/o/acme/runs?by=me").text) == []
    assert asked_by_program(program, "by=me") == mixed[2::-1]


def test_a_workflow_has_a_list_of_its_own_runs(
    mixed: list[str], workflows: tuple[str, str], owner: Browser
) -> None:
    url = f"/o/acme/workflows/{workflows[1]}/runs"

    page = owner.get(url).text

    assert named_in(page) == [mixed[3], mixed[1]]
    assert "<h1>Report</h1>" in page
    assert 'name="workflow"' not in page
    assert f'href="{url}"' in owner.get(f"/o/acme/workflows/{workflows[1]}").text
    assert named_in(owner.get(f"{url}?by=me&part=list").text) == [mixed[3]]
    assert f"/o/acme/runs.csv?workflow={workflows[1]}&amp;by=me" in owner.get(f"{url}?by=me").text
    assert url in owner.get(f"/o/acme/runs/{mixed[1]}").text


def test_another_organization_has_no_such_list(
    mixed: list[str], workflows: tuple[str, str], stranger: Browser
) -> None:
    url = f"workflows/{workflows[1]}/runs"

    assert stranger.get(f"/o/acme/{url}").status_code == 404
    assert stranger.get(f"/o/other/{url}").status_code == 404
    assert mixed[1] not in stranger.get(f"/o/other/{url}?part=list").text
    assert "Owner of acme" not in stranger.get("/o/other/runs").text


@pytest.mark.parametrize("query", ["by=Ada", "since=yesterday", "until=2026-02-30", "since=1"])
def test_programs_are_told_of_words_that_mean_nothing(program: Any, query: str) -> None:
    answer = program.get(f"/api/v1/runs?{query}")

    assert answer.status_code == 422
    assert answer.get_json()["errors"][0]["pointer"] == f"/{query.partition('=')[0]}"


def test_several_filters_are_looked_for_a_part_of_the_list_at_a_time(
    app: Flask, acme: House, workflows: tuple[str, str], start: Any, owner: Browser,
    program: Any, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(listing, "LOOKED_THROUGH", 4)
    runs = [start(workflows[0]).get_json()["id"] for _ in range(10)]
    with app.app_context(), writing(), Session(db.engine) as session:
        bind_organization(session, acme.organization_id)
        failed = [parse_id("run", runs[1]), parse_id("run", runs[7])]
        session.execute(update(Run).where(Run.id.in_(failed)).values(state="failed"))
        session.commit()
    query = f"workflow={workflows[0]}&state=failed"

    first = owner.get(f"/o/acme/runs?{query}").text
    assert named_in(first) == [runs[7]]
    assert "Searched back to" in first
    second = further(owner, first)
    assert named_in(second) == []
    assert "Nothing was found back to" in second
    assert named_in(further(owner, second)) == [runs[1]]
    assert in_csv(owner.get(f"/o/acme/runs.csv?{query}").text) == [runs[7], runs[1]]
    assert through_all(program, query) == [runs[7], runs[1]]


def further(owner: Browser, page: str) -> str:
    link = re.search(r'href="([^"]+)">Search further back', page)
    assert link is not None
    return owner.get(link[1].replace("&amp;", "&")).text


def through_all(program: Any, query: str) -> list[str]:
    found, after = [], ""
    while True:
        answer = program.get(f"/api/v1/runs?{query}{after}").get_json()
        found += [run["id"] for run in answer["items"]]
        if answer["next"] is None:
            return found
        after = f"&after={answer['next']}"


@pytest.mark.parametrize(
    "query",
    ["", "state=failed", "workflow=", "by=me", "since=2026-01-01", "state=failed&by=me",
     "state=needs_review", "state=waiting", "workflow=&state=needs_review", "state=waiting&by=me",
     "workflow=&state=failed", "workflow=&state=failed&by=me&until=2026-12-31"],
)  # fmt: skip
def test_a_list_is_read_by_its_indexes_only(
    query: str, mixed: list[str], workflows: tuple[str, str], owner: Browser, app: Flask,
    dialect: str,
) -> None:  # fmt: skip
    query = query.replace("workflow=", f"workflow={workflows[0]}")
    ways = [f"before={mixed[3]}", f"after={mixed[0]}", f"part=live&newest={mixed[0]}"]

    with sent(app) as statements:
        for way in ("", *ways):
            owner.get(f"/o/acme/runs?{query}&{way}")

    plans = [line for one in statements for line in plan_of_statement(app, dialect, *one)]
    assert len(plans) > 5
    whole = re.compile(r"SCAN (run|lease|r|n|o\d|[pq]|a[lpqw])\b|Seq Scan on (run|lease)\b")
    assert [line for line in plans if whole.search(line)] == []


@contextmanager
def sent(app: Flask) -> Iterator[list[tuple[str, Any]]]:
    """Collect the statements over runs that are sent to the database."""
    found: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if "FROM run" in statement:
            found.append((statement, values))

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


def plan_of_statement(app: Flask, dialect: str, statement: str, values: Any) -> list[str]:
    """Return how the database would read it; a table of four rows is no reason to read it all."""
    explain = "EXPLAIN QUERY PLAN" if dialect == "sqlite" else "EXPLAIN"
    with app.app_context(), db.engine.begin() as connection:
        if dialect != "sqlite":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        rows = connection.exec_driver_sql(f"{explain} {statement}", values).all()
    return [str(row[-1]) for row in rows]


def test_new_runs_are_counted_by_the_same_words(
    mixed: list[str], workflows: tuple[str, str], owner: Browser
) -> None:
    live = f"/o/acme/runs?part=live&newest={mixed[0]}"

    assert "3 new runs" in owner.get(live).text
    assert "1 new run " in owner.get(f"{live}&workflow={workflows[0]}&state=queued").text
    assert "new run" not in owner.get(f"{live}&until=2026-01-01").text


def test_a_run_leads_to_the_ones_beside_it(mixed: list[str], owner: Browser) -> None:
    first, last = (owner.get(f"/o/acme/runs/{run}").text for run in (mixed[1], mixed[3]))

    assert f'href="/o/acme/runs/{mixed[3]}" rel="next" data-key="]">Next run' in first
    assert "Previous run" not in first
    assert f'href="/o/acme/runs/{mixed[1]}" rel="prev" data-key="[">Previous run' in last


def test_an_id_tells_when_it_was_made() -> None:
    before = now()
    made = new_id()

    assert first_id(before) <= made < first_id(before + timedelta(seconds=5))
    assert abs(time_of(made) - before) < timedelta(seconds=5)

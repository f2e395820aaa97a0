"""The list of workflows: found, filtered, with the last run of each, and as CSV."""

from __future__ import annotations

import csv
import io
from typing import Any
from uuid import uuid4

from tests.workflows.counting import counted
from tests.workflows.plans import plan_of, text

ROOT = "/o/acme/workflows"
PLAN = plan_of(text("s_1"))


def run_of(program: Any, workflow: str, version: str = "live") -> str:
    """Start a run and return its id."""
    answer = program.post(
        f"/api/v1/workflows/{workflow}/run",
        json={"version": version},
        headers={"Idempotency-Key": str(uuid4())},
    )
    assert answer.status_code == 202, answer.text
    return str(answer.get_json()["id"])


def csv_rows(answer: Any) -> list[dict[str, str]]:
    assert answer.headers["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))


def test_the_list_is_searched_and_filtered(owner: Any, program: Any) -> None:
    for name in ("Weekly report", "Invoice check"):
        body = {"name": name, "plan": plan_of(text("s_1"))}
        found = program.post("/api/v1/workflows", json=body).get_json()
    program.post(f"/api/v1/workflows/{found['id']}/live", json={})

    searched = owner.get(f"{ROOT}?q=weekly&part=list").text
    assert "Weekly report" in searched
    assert "Invoice check" not in searched
    assert "Weekly report" not in owner.get(f"{ROOT}?state=live").text
    assert "No workflows match" in owner.get(f"{ROOT}?q=%25").text


def test_each_workflow_shows_its_last_run_and_leads_to_it(
    owner: Any, program: Any, make: Any
) -> None:
    ran, never = make(PLAN), make(PLAN)
    program.post(f"/api/v1/workflows/{ran}/live", json={})
    first, last = run_of(program, ran), run_of(program, ran)

    page = owner.get(ROOT).text

    row_of_ran, row_of_never = (page.partition(f"/{one}\"")[2].partition("</tr>")[0]
                                for one in (ran, never))  # fmt: skip
    assert f"/o/acme/runs/{last}" in row_of_ran
    assert "Queued" in row_of_ran
    assert first not in page
    assert "not yet" in row_of_never


def test_the_list_asks_as_often_for_many_workflows_as_for_few(
    app: Any, owner: Any, program: Any, make: Any
) -> None:
    asked = []
    for _ in range(2):
        for _ in range(3):
            workflow = make(PLAN)
            program.post(f"/api/v1/workflows/{workflow}/live", json={})
            run_of(program, workflow)
        with counted(app) as seen:
            owner.get(ROOT)
        asked.append(len(seen))

    assert asked[0] == asked[1] <= 12


def test_the_list_comes_down_as_csv_by_the_same_filters(
    owner: Any, program: Any, make: Any
) -> None:
    live, draft = make(PLAN), make(PLAN)
    program.post(f"/api/v1/workflows/{live}/live", json={})
    run = run_of(program, live)

    everything = csv_rows(owner.get(f"{ROOT}.csv"))
    only_live = csv_rows(owner.get(f"{ROOT}.csv?state=live"))

    assert [row["workflow"] for row in everything] == [draft, live]
    assert [row["state"] for row in everything] == ["Draft", "Live"]
    assert everything[0]["last run"] == ""
    assert [row["workflow"] for row in only_live] == [live]
    assert only_live[0]["last run"] == run
    assert only_live[0]["last run status"] == "Queued"
    assert f'href="{ROOT}.csv?state=live"' in owner.get(f"{ROOT}?state=live").text


def test_a_viewer_takes_the_csv_and_another_organization_has_its_own(
    viewer: Any, stranger: Any, make: Any
) -> None:
    workflow = make(PLAN)

    assert [row["workflow"] for row in csv_rows(viewer.get(f"{ROOT}.csv"))] == [workflow]
    assert stranger.get(f"{ROOT}.csv").status_code == 404
    assert csv_rows(stranger.get("/o/other/workflows.csv")) == []

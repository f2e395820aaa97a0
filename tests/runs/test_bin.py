"""Runs of a workflow that is in the bin: they stay, can be ended, and are not repeated."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.fixtures import Browser, House, MakeKey, Program
from tests.runs.test_signals import eventually
from tests.workflows.plans import plan_of, text
from webapp.access.permissions import Role
from webapp.runs.execution.runner import Runner

STOPS = {"id": "s_2", "kind": "stop", "with": {"as": "failed", "message": "No."}}


@pytest.fixture
def held(program: Any, make_live: Any, start: Any, runner: Runner) -> tuple[str, list[str]]:
    """A paused workflow in the bin, with two runs that are paused with it."""
    workflow = make_live(plan_of(text("s_1")))
    program.post(f"/api/v1/workflows/{workflow}/pause")
    runs = [start(workflow).get_json()["id"] for _ in range(2)]
    for run in runs:
        eventually(program, run, "paused")
    assert program.delete(f"/api/v1/workflows/{workflow}").status_code == 204
    return workflow, runs


def test_runs_that_are_paused_with_a_workflow_in_the_bin_are_cancelled_or_resumed(
    program: Any, held: tuple[str, list[str]]
) -> None:
    workflow, (first, second) = held

    said = program.get(f"/api/v1/runs/{first}").get_json()["line"]["held"]
    program.post(f"/api/v1/runs/{first}/cancel")
    resumed = program.post(f"/api/v1/workflows/{workflow}/resume")

    assert said.endswith("It is in the bin.")
    assert resumed.status_code == 200, resumed.text
    assert eventually(program, second, "done")["state"] == "done"
    assert program.get(f"/api/v1/runs/{first}").get_json()["state"] == "cancelled"


def test_the_page_leads_from_such_a_run_to_the_button_that_resumes_it(
    program: Any, owner: Browser, held: tuple[str, list[str]]
) -> None:
    workflow, runs = held
    runs_page = f"/o/acme/workflows/{workflow}/runs"

    assert f'<a href="{runs_page}">Open its runs</a>' in owner.get(f"/o/acme/runs/{runs[0]}").text
    page = owner.get(runs_page).text
    assert "This workflow is in the bin" in page
    assert f'action="/o/acme/workflows/{workflow}/back"' in page
    pressed = owner.submit(f"/o/acme/workflows/{workflow}/resume")
    assert pressed.headers["Location"].endswith("/runs")

    for run in runs:
        eventually(program, run, "done")
    page = owner.get(runs_page).text
    assert "Runs that are under way go on." in page
    assert "Resume its runs" not in page
    owner.submit(f"/o/acme/workflows/{workflow}/back")
    assert "is in the bin" not in owner.get(runs_page).text


def test_whoever_moves_a_workflow_to_the_bin_is_told_of_its_runs(
    program: Any, owner: Browser, make_live: Any, start: Any
) -> None:
    workflow = make_live(plan_of(text("s_1")))
    url = f"/o/acme/workflows/{workflow}"

    for count, told in ((0, "to bring it back.<"), (1, "One run of it goes on.")):
        if count:
            start(workflow)
        owner.submit(f"{url}/bin")
        assert told in owner.get("/o/acme/workflows").text
        owner.submit(f"{url}/back")
        owner.get("/o/acme/workflows")  # what was said stands on one page
    start(workflow)
    program.post(f"/api/v1/workflows/{workflow}/pause")
    owner.submit(f"{url}/bin")
    told = "2 runs of it are paused until somebody resumes or cancels them."
    assert told in owner.get("/o/acme/workflows").text


def test_a_run_of_a_workflow_in_the_bin_is_not_run_again_by_any_door(
    program: Any, owner: Browser, make_live: Any, start: Any, runner: Runner
) -> None:
    workflow = make_live(plan_of(text("s_1"), STOPS))
    run = start(workflow).get_json()["id"]
    eventually(program, run, "failed")
    [cause] = program.get("/api/v1/failures").get_json()["items"]
    program.delete(f"/api/v1/workflows/{workflow}")
    once = {"Idempotency-Key": uuid.uuid4().hex}

    again = program.post(f"/api/v1/runs/{run}/again", json={}, headers=once)
    looked = program.get(f"/api/v1/runs/{run}/again")
    page = owner.get(f"/o/acme/runs/{run}/again")
    key = {"workflow": workflow, "step": cause["step"], "code": cause["code"]}
    once = {"Idempotency-Key": uuid.uuid4().hex}
    many = program.post("/api/v1/failures/replay", json={"causes": [key]}, headers=once)

    for refused in (again, looked):
        assert (refused.status_code, refused.get_json()["code"]) == (410, "E-GONE")
        assert "Bring it back from the list of workflows" in refused.get_json()["detail"]
    assert page.status_code == 410
    assert "Back to the run" in page.text
    assert many.get_json()["runs"] == []
    assert [one["code"] for one in many.get_json()["refused"]] == ["E-GONE"]
    listed = program.get(f"/api/v1/runs?workflow={workflow}").get_json()["items"]
    assert [one["id"] for one in listed] == [run]


def test_a_viewer_and_a_stranger_resume_nothing_in_the_bin(
    app: Any, acme: House, other: House, make_key: MakeKey, program: Any,
    held: tuple[str, list[str]],
) -> None:  # fmt: skip
    workflow, runs = held
    viewer, stranger = Program(app), Program(app)
    viewer.key, stranger.key = make_key(acme, Role.VIEWER), make_key(other)

    assert viewer.post(f"/api/v1/workflows/{workflow}/resume").status_code == 403
    assert stranger.post(f"/api/v1/workflows/{workflow}/resume").status_code == 404
    assert program.get(f"/api/v1/runs/{runs[0]}").get_json()["state"] == "paused"

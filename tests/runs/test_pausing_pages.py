"""Pausing and pacing by the pages: what people see, press and are told."""

from __future__ import annotations

from typing import Any

from tests.fixtures import Browser, Program
from tests.workflows.plans import plan_of, text

PLAN = plan_of(text("s_1", "Hello.", "Greet"))


def test_a_run_is_paused_and_resumed_with_one_press(
    owner: Browser, make_live: Any, start: Any
) -> None:
    run = start(make_live(PLAN)).get_json()["id"]
    address = f"/o/acme/runs/{run}"

    shown = owner.get(address).text
    owner.submit(f"{address}/pause")
    paused = owner.get(address).text
    owner.submit(f"{address}/resume")
    resumed = owner.get(address).text

    assert "It is next in line." in shown
    assert "Pause run" in shown
    assert "Paused by Owner of acme." in paused
    assert "Resume run" in paused
    assert "Pause run" not in paused
    assert "It is next in line." in resumed


def test_the_place_in_line_is_brought_up_to_date(
    owner: Browser, make_live: Any, start: Any
) -> None:
    workflow = make_live(PLAN)
    first, second = (start(workflow).get_json()["id"] for _ in range(2))
    page = f"/o/acme/runs/{second}"

    before = owner.get(f"{page}?part=live&after=1").text
    owner.submit(f"/o/acme/runs/{first}/cancel")
    after = owner.get(f"{page}?part=live&after=1").text

    assert "One run is before it in line." in before
    assert "It is next in line." in after


def test_a_workflow_is_paused_on_its_settings_page_and_its_runs_say_so(
    owner: Browser, make_live: Any, start: Any
) -> None:
    workflow = make_live(PLAN)
    settings = f"/o/acme/workflows/{workflow}/settings"
    owner.get(settings)

    owner.submit(f"/o/acme/workflows/{workflow}/pause")
    run = start(workflow).get_json()["id"]

    page = owner.get(settings).text
    assert "Paused by Owner of acme" in page
    assert 'data-state="paused"' in page  # beside its name, which says that it is live
    shown = owner.get(f"/o/acme/runs/{run}").text
    assert "Paused: this workflow is paused by Owner of acme." in shown
    assert f"{settings}" in shown
    owner.submit(f"/o/acme/workflows/{workflow}/resume")
    assert "Pause this workflow" in owner.get(settings).text
    assert "It is next in line." in owner.get(f"/o/acme/runs/{run}").text


def test_how_runs_go_is_set_by_form_and_what_is_wrong_is_said_there(
    owner: Browser, make_live: Any, program: Program
) -> None:
    workflow = make_live(PLAN)
    settings = f"/o/acme/workflows/{workflow}/settings"
    owner.get(settings)

    wrong = owner.submit(f"{settings}/pace", run_mode="queued", most_running="many")
    owner.get(settings)
    part = owner.submit(f"{settings}/pace", htmx=True, run_mode="queued", most_running="5000")
    owner.get(settings)
    owner.submit(f"{settings}/pace", run_mode="queued", most_running="4")

    assert (wrong.status_code, part.status_code) == (422, 422)
    assert 'value="many"' in wrong.text
    assert "Runs at the same time must be a whole number." in wrong.text
    assert "<html" not in part.text
    found = program.get(f"/api/v1/workflows/{workflow}/settings").get_json()
    assert (found["run_mode"], found["most_running"]) == ("queued", 4)


def test_the_line_of_the_organization_shows_what_waits_and_is_paused_by_admins(
    owner: Browser, viewer: Browser, stranger: Browser, make_live: Any, start: Any
) -> None:
    workflow = make_live(PLAN)
    for _ in range(3):
        start(workflow)

    page = owner.get("/o/acme/queue").text
    owner.submit("/o/acme/queue/pause")
    owner.submit("/o/acme/queue", most_running="7")
    paused = owner.get("/o/acme/queue").text

    assert "<dt>Waiting</dt><dd>3</dd>" in page
    assert "Paused by Owner of acme" in paused
    assert 'value="7"' in paused
    assert "Only owners and admins may pause all runs." in viewer.get("/o/acme/queue").text
    assert viewer.submit("/o/acme/queue/resume").status_code == 403
    assert stranger.get("/o/acme/queue").status_code == 404
    owner.get("/o/acme/queue")
    owner.submit("/o/acme/queue/resume")
    assert "Pause all runs" in owner.get("/o/acme/queue").text


def test_the_line_says_that_the_queue_of_the_machine_is_paused(
    owner: Browser, program: Program, make_live: Any
) -> None:
    make_live(PLAN)
    owner.get("/admin/queues")

    owner.submit("/admin/queues/pause")

    held = program.get("/api/v1/queue").get_json()
    assert (held["paused"], held["held"]) == (
        False,
        "Paused: the queue is paused by Owner of acme.",
    )
    assert "Paused by Owner of acme. No run begins" in owner.get("/o/acme/queue").text
    owner.submit("/admin/queues/resume")
    owner.submit("/o/acme/queue/pause")
    assert (
        "all runs of the organization are paused by Owner of acme"
        in (program.get("/api/v1/queue").get_json()["held"])
    )
    owner.submit("/o/acme/queue/resume")
    assert program.get("/api/v1/queue").get_json()["held"] == ""
    assert "Paused:" not in owner.get("/o/acme/queue").text


def test_a_viewer_sees_who_may_pause(viewer: Browser, make_live: Any) -> None:
    workflow = make_live(PLAN)

    page = viewer.get(f"/o/acme/workflows/{workflow}/settings").text

    assert "Only owners, admins and members may pause runs." in page
    assert viewer.submit(f"/o/acme/workflows/{workflow}/pause").status_code == 403

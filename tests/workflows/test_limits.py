"""What a run may take at most: read, changed, bounded, undone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workflows.pages import form_at, forms_of, send
from tests.workflows.plans import plan_of, text

ROOT = "/o/acme/workflows"


def test_limits_are_changed_as_people_say_them_and_it_is_undone(
    owner: Any, make: Any, plan_now: Any
) -> None:
    workflow = make(plan_of(text("s_1")))
    url = f"{ROOT}/{workflow}?step=limits"

    form = form_at(owner, url, "edit-limits")
    assert (form.fields["plan-limits-seconds"], form.fields["plan-limits-seconds-unit"]) == (
        "1",
        "3600",
    )
    sent = send(owner, form, **{
        "plan-limits-seconds": "2", "plan-limits-seconds-unit": "86400",
        "plan-limits-cost_usd": "$0,50", "plan-limits-steps": "1,200", "plan-limits-at_once": "5",
    })  # fmt: skip

    assert sent.status_code == 303
    limits = {"seconds": 172_800, "cost_usd": "0.50", "steps": 1200, "at_once": 5}
    assert plan_now(workflow)["limits"] == limits
    page = owner.get(f"{ROOT}/{workflow}").text
    assert "At most 2 days of work, 0.50 USD, 1,200 steps, 5 at once" in page
    owner.submit(f"{ROOT}/{workflow}/ops", op="undo")
    assert "limits" not in plan_now(workflow)


def test_a_limit_out_of_its_bounds_is_said_at_its_field(
    owner: Any, make: Any, plan_now: Any
) -> None:
    plan = plan_of(text("s_1"))
    workflow = make(plan)
    form = form_at(owner, f"{ROOT}/{workflow}?step=limits", "edit-limits")

    refused = send(owner, form, **{
        "plan-limits-seconds": "8", "plan-limits-seconds-unit": "86400",
        "plan-limits-cost_usd": "much", "plan-limits-steps": "0", "plan-limits-at_once": "65",
    })  # fmt: skip

    assert refused.status_code == 422
    for sentence in (
        "Working time must be a time between 1 second and 7 days.",
        "Cost limit must be an amount such as 0.50.",
        "Number of steps must be a number between 1 and 100,000.",
        "Steps at the same time must be a number between 1 and 64.",
    ):
        assert sentence in refused.text
    assert forms_of(refused.text)["edit-limits"].fields["plan-limits-steps"] == "0"
    assert plan_now(workflow) == plan


@pytest.mark.parametrize("limits", [{}, {"seconds": 3600, "cost_usd": None}, {"at_once": 1}])
def test_limits_sent_back_as_they_came_change_nothing(
    owner: Any, make: Any, plan_now: Any, limits: Any
) -> None:
    plan = plan_of(text("s_1"), limits=limits)
    workflow = make(plan)

    send(owner, form_at(owner, f"{ROOT}/{workflow}?step=limits", "edit-limits"))

    assert plan_now(workflow) == plan


def test_a_limit_that_no_run_can_keep_is_left_to_do_and_leads_to_its_field(
    owner: Any, make: Any
) -> None:
    plan = plan_of(*(text(f"s_{n}") for n in range(1, 4)), limits={"steps": 2})
    workflow = make(plan)

    page = owner.get(f"{ROOT}/{workflow}").text
    assert "Limits: a run may do 2 steps, and 3 are always done" in page
    assert "?step=limits#plan-limits-steps" in page
    form = owner.get(f"{ROOT}/{workflow}?step=limits").text
    assert "A run may do 2 steps, and 3 are always done" in form
    answer = send(owner, form_at(owner, f"{ROOT}/{workflow}/live", "put-live"))
    assert answer.status_code == 422


def test_the_settings_say_the_limits_and_lead_to_them(owner: Any, make: Any) -> None:
    workflow = make(plan_of(text("s_1"), limits={"cost_usd": "2"}))

    page = owner.get(f"{ROOT}/{workflow}/settings").text

    assert "At most 1 h of work, 2 USD" in page
    assert f"{ROOT}/{workflow}?step=limits" in page


def test_a_lower_role_may_look_at_limits_and_another_organization_not(
    viewer: Any, stranger: Any, make: Any
) -> None:
    url = f"{ROOT}/{make(plan_of(text('s_1')))}"

    assert "may change workflows" in viewer.get(f"{url}?step=limits").text
    assert viewer.submit(f"{url}/steps/limits", **{"plan-limits-steps": "5"}).status_code == 403
    assert stranger.submit(f"{url}/steps/limits").status_code == 404

"""Two people at one workflow: nobody's work is overwritten without being asked."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workflows.pages import form_at, forms_of, send
from tests.workflows.plans import WHO, plan_of, text

ROOT = "/o/acme/workflows"


def test_a_step_that_somebody_else_changed_is_not_overwritten(
    owner: Any, member: Any, make: Any, plan_now: Any
) -> None:
    workflow = make(plan_of(text("s_1"), text("s_2")))
    mine = form_at(owner, f"{ROOT}/{workflow}?step=s_1", "edit-s_1")
    other_step = form_at(member, f"{ROOT}/{workflow}?step=s_2", "edit-s_2")
    theirs = form_at(member, f"{ROOT}/{workflow}?step=s_1", "edit-s_1")
    send(member, theirs, with__text="Theirs.")

    refused = send(owner, mine, with__text="Mine.")

    assert refused.status_code == 409
    again = forms_of(refused.text)["edit-s_1"]
    assert again.fields["with-text"] == "Mine."
    assert ("keep", "yes") in again.buttons
    by_script = {**mine.fields, "with-text": "Mine."}
    told = owner.post(mine.action, data=by_script, headers={"HX-Request": "true"})
    assert told.status_code == 409
    assert "Somebody changed this step too" in told.text
    assert send(member, other_step, with__text="Fine.").status_code == 303
    assert [s["with"]["text"] for s in plan_now(workflow)["steps"]] == ["Theirs.", "Fine."]
    assert send(owner, again, ("keep", "yes")).status_code == 303
    assert plan_now(workflow)["steps"][0]["with"]["text"] == "Mine."


START = plan_of(text("s_1"), inputs=[WHO, {"name": "day", "label": "Day", "type": "date"}])
RESULT = plan_of(
    text("s_1"), result=[{"name": "hello", "label": "Hello", "type": "any", "value": "Hi"}]
)


@pytest.mark.parametrize(
    ("plan", "end", "field", "what"),
    [
        (START, "start", "plan-inputs-0-label", "what Start asks for"),
        (RESULT, "result", "plan-result-0-value", "the result"),
        (RESULT, "limits", "plan-limits-steps", "the limits of a run"),
    ],
)
def test_start_result_and_limits_are_not_overwritten_either(
    owner: Any, member: Any, make: Any, plan_now: Any, plan: Any, end: str, field: str, what: str
) -> None:
    workflow = make(plan)
    url = f"{ROOT}/{workflow}?step={end}"
    mine, theirs = form_at(owner, url, f"edit-{end}"), form_at(member, url, f"edit-{end}")
    assert send(member, theirs, **{field: "22"}).status_code == 303
    after_theirs = plan_now(workflow)

    refused = send(owner, mine, **{field: "11"})

    assert refused.status_code == 409
    assert f"Somebody changed {what} too" in refused.text
    assert "<del>" in refused.text
    assert plan_now(workflow) == after_theirs
    again = forms_of(refused.text)[f"edit-{end}"]
    assert again.fields[field] == "11"
    assert send(owner, again, ("keep", "yes")).status_code == 303
    assert form_at(owner, url, f"edit-{end}").fields[field] == "11"
    assert owner.submit(f"{ROOT}/{workflow}/ops", op="undo").status_code == 303
    assert plan_now(workflow) == after_theirs


def test_with_script_a_refused_question_says_so_and_leaves_what_was_typed(
    owner: Any, member: Any, make: Any
) -> None:
    url = f"{ROOT}/{make(START)}?step=start"
    mine, theirs = form_at(owner, url, "edit-start"), form_at(member, url, "edit-start")
    send(member, theirs, **{"plan-inputs-0-label": "Theirs"})

    typed = {**mine.fields, "plan-inputs-0-label": "Mine"}
    told = owner.post(mine.action, data=typed, headers={"HX-Request": "true"})

    assert told.status_code == 409
    assert told.headers["HX-Reswap"] == "none"
    assert "Somebody changed what Start asks for too" in told.text
    assert "Theirs" in told.text
    assert "Mine" in told.text
    assert "<textarea" not in told.text


def test_a_question_that_somebody_added_stays_when_mine_are_kept(
    owner: Any, member: Any, make: Any, plan_now: Any
) -> None:
    workflow = make(START)
    url = f"{ROOT}/{workflow}?step=start"
    mine = form_at(owner, url, "edit-start")
    send(member, form_at(member, url, "edit-start"), ("add", "plan-inputs:"))
    theirs = form_at(member, url, "edit-start")
    send(member, theirs, **{"plan-inputs-2-label": "Amount", "plan-inputs-2-type": "number"})

    send(owner, mine, ("keep", "yes"), **{"plan-inputs-0-label": "Your name"})

    questions = [(one["name"], one["label"]) for one in plan_now(workflow)["inputs"]]
    assert questions == [("who", "Your name"), ("day", "Day"), ("amount", "Amount")]


def test_a_question_that_somebody_removed_comes_back_when_mine_are_kept(
    owner: Any, member: Any, make: Any, plan_now: Any
) -> None:
    workflow = make(START)
    url = f"{ROOT}/{workflow}?step=start"
    mine = form_at(owner, url, "edit-start")
    send(member, form_at(member, url, "edit-start"), ("remove", "plan-inputs-0"))

    send(owner, mine, ("keep", "yes"), **{"plan-inputs-1-label": "On which day"})

    questions = {one["name"]: one for one in plan_now(workflow)["inputs"]}
    assert questions["day"]["label"] == "On which day"
    assert questions["day"]["type"] == "date"
    assert questions["who"]["label"] == "Who"


def test_a_question_can_be_named_in_two_saves_of_one_page(
    owner: Any, make: Any, plan_now: Any
) -> None:
    workflow = make()
    url = f"{ROOT}/{workflow}?step=start"
    send(owner, form_at(owner, url, "edit-start"), ("add", "plan-inputs:"))
    form = form_at(owner, url, "edit-start")
    script = {"HX-Request": "true"}

    first = owner.post(
        form.action, data={**form.fields, "plan-inputs-0-label": "Na"}, headers=script
    )
    was = first.text.partition('name="was" value="')[2].partition('"')[0]
    typed = {**form.fields, "plan-inputs-0-label": "Name", "was": was}
    second = owner.post(form.action, data=typed, headers=script)

    assert second.status_code == 200
    assert [one["label"] for one in plan_now(workflow)["inputs"]] == ["Name"]

"""The step that asks a person is set up by form."""

from __future__ import annotations

import re
from typing import Any

from tests.approvals.conftest import person
from tests.fixtures import House
from tests.workflows.conftest import make, plan_now
from tests.workflows.pages import form_at, send
from tests.workflows.plans import plan_of, text
from webapp.access.permissions import Role

__all__ = ["make", "plan_now"]

EMPTY = {"id": "s_2", "kind": "approval", "name": "", "with": {}}


def opened(owner: Any, workflow: str) -> Any:
    return form_at(owner, f"/o/acme/workflows/{workflow}?step=s_2", "edit-s_2")


def test_everything_about_an_approval_is_set_by_form(
    owner: Any, make: Any, plan_now: Any, acme: House
) -> None:
    workflow = make(plan_of(text("s_1", "Dear Ada.", "Write"), EMPTY))
    admin = person(acme, Role.ADMIN)["person"]
    form = opened(owner, workflow)

    send(owner, form, **{
        "with-who-starter": "yes", "with-who-role-owner": "yes", f"with-who-{admin}": "yes",
        "with-need": "n", "with-need-n": "2", "with-due-in_s": "2", "with-due-in_s-unit": "86400",
        "with-not_starter": "yes", "with-remind_s": "1", "with-remind_s-unit": "3600",
        "with-deputy": admin, "with-refusal": "continue", "with-words-approve": "Send it",
        "add": "with-show:",
    })  # fmt: skip
    form = opened(owner, workflow)
    send(owner, form, **{
        "with-show-0-label": "The letter", "with-show-0-value": "[[Write: Text]]",
        "with-at_due": "pass", "add": "with-questions:",
    })  # fmt: skip
    form = opened(owner, workflow)
    assert "with-edit-the_letter" not in form.fields
    send(owner, form, **{
        "with-edit-the_letter": "yes", f"with-at_due-pass_to-{admin}": "yes",
        "with-questions-0-label": "How much", "with-questions-0-type": "number",
    })  # fmt: skip

    settings = plan_now(workflow)["steps"][1]["with"]
    assert sorted(map(str, settings.pop("who"))) == sorted(
        map(str, [{"starter": True}, {"role": "owner"}, {"person": admin}])
    )
    assert settings == {
        "need": {"n": 2},
        "not_starter": True,
        "show": [
            {"name": "the_letter", "label": "The letter", "value": [{"value": ["s_1", "text"]}]}
        ],
        "edit": ["the_letter"],
        "questions": [{"name": "how_much", "label": "How much", "type": "number"}],
        "due": {"in_s": 172_800},
        "at_due": {"pass_to": [{"person": admin}]},
        "remind_s": 3600,
        "deputy": {"person": admin},
        "refusal": "continue",
        "words": {"approve": "Send it"},
    }
    page = owner.get(f"/o/acme/workflows/{workflow}?step=s_2").text
    assert "Asks owners, whoever started it and 1 person" in page
    assert "Admin of acme" in page


def test_nobody_named_is_left_to_do(owner: Any, make: Any) -> None:
    workflow = make(plan_of(EMPTY))

    page = owner.get(f"/o/acme/workflows/{workflow}?step=s_2").text

    assert "ill in “Who is asked”" in page


def test_a_span_that_is_none_is_said_at_its_field(owner: Any, make: Any) -> None:
    form = opened(owner, make(plan_of(EMPTY)))

    refused = send(owner, form, **{"with-due-in_s": "soon", "with-need": "n", "with-need-n": "0"})

    assert refused.status_code == 422
    assert "Answer within must be a time between 1 minute and 365 days." in refused.text
    assert "Enter how many people, from 1 to 20." in refused.text


def test_what_makes_no_sense_is_left_to_do(program: Any, acme: House) -> None:
    steps = [
        {"id": "s_1", "kind": "approval", "with": {"who": []}},
        {"id": "s_2", "kind": "approval", "with": {"who": [{"role": "owner"}], "edit": ["gone"]}},
        {
            "id": "s_3",
            "kind": "approval",
            "with": {
                "who": [{"starter": True}],
                "questions": [{"name": "a", "type": "file"}],
            },
        },
        {
            "id": "s_4",
            "kind": "approval",
            "with": {"who": [person(acme, Role.OWNER)], "need": {"n": 2}},
        },
        {
            "id": "s_5",
            "kind": "approval",
            "with": {"who": [{"starter": True}], "not_starter": True},
        },
    ]

    made = program.post("/api/v1/workflows", json={"name": "Odd", "plan": plan_of(*steps)})

    checks = made.get_json()["checks"]
    said = {one["step"]: one["text"] for one in checks if one["kind"] != "look"}
    assert "Who is asked" in said["s_1"]
    assert "no value called “gone”" in said["s_2"]
    assert "a question asks for" in said["s_3"]
    assert "only 1 person is named" in said["s_4"]
    assert "nobody is left to ask" in said["s_5"]


def test_where_changes_go_back_to_is_chosen_among_earlier_steps_of_the_block(
    owner: Any, make: Any, plan_now: Any
) -> None:
    inner = {"id": "s_4", "kind": "text", "name": "Inside", "with": {"text": "a"}}
    items = {"id": "s_3", "kind": "each", "name": "Items", "with": {"list": [], "steps": [inner]}}
    later = text("s_5", "Sent.", "Send")
    ask = EMPTY | {"with": {"who": [{"role": "owner"}]}}
    workflow = make(plan_of(text("s_1", "Dear Ada.", "Write"), items, ask, later))
    form = opened(owner, workflow)

    page = owner.get(f"/o/acme/workflows/{workflow}?step=s_2").text
    offered = page.partition('name="with-back_to"')[2].partition("</select>")[0]
    assert re.findall(r'<option value="([^"]*)"', offered) == ["", "s_1", "s_3"]
    assert "with-rounds" not in form.fields
    send(owner, form, **{"with-back_to": "s_1"})
    form = opened(owner, workflow)
    send(owner, form, **{"with-rounds": "5"})

    settings = plan_now(workflow)["steps"][2]["with"]
    assert (settings["back_to"], settings["rounds"]) == ("s_1", 5)
    page = owner.get(f"/o/acme/workflows/{workflow}?step=s_2").text
    assert "If it is rejected, or no round is left" in page
    assert "only an agent reads what is to be changed" in page


def test_rounds_out_of_bounds_are_said_at_their_field(owner: Any, make: Any) -> None:
    ask = EMPTY | {"with": {"who": [{"role": "owner"}], "back_to": "s_1"}}
    form = opened(owner, make(plan_of(text("s_1", "a"), ask)))

    refused = send(owner, form, **{"with-rounds": "11"})

    assert refused.status_code == 422
    assert "Rounds must be a number between 1 and 10." in refused.text


def test_a_group_is_kept_and_left_to_do(owner: Any, make: Any, plan_now: Any) -> None:
    ask = EMPTY | {"with": {"who": [{"group": "gr_1"}, {"role": "owner"}]}}
    workflow = make(plan_of(text("s_1", "a"), ask))

    send(owner, opened(owner, workflow), **{"with-not_starter": "yes"})

    assert plan_now(workflow)["steps"][1]["with"]["who"] == [{"group": "gr_1"}, {"role": "owner"}]
    page = owner.get(f"/o/acme/workflows/{workflow}?step=s_2").text
    assert "there are no groups here yet: choose people or a role" in page.lower()


def test_an_approval_that_goes_back_nowhere_does_not_go_live(program: Any) -> None:
    ask = {"id": "s_2", "kind": "approval", "with": {"who": [{"role": "owner"}], "back_to": "s_9"}}
    made = program.post("/api/v1/workflows", json={"name": "Odd", "plan": plan_of(ask)}).get_json()

    refused = program.post(f"/api/v1/workflows/{made['id']}/live", json={"note": ""})

    assert refused.status_code == 422
    assert "goes back to a step that no longer exists" in refused.text
    tried = program.post(
        f"/api/v1/workflows/{made['id']}/run",
        json={"inputs": {}, "version": "draft"},
        headers={"Idempotency-Key": "once"},
    )
    assert tried.status_code == 422

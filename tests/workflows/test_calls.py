"""Build a step that runs another workflow: by its form, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workflows.counting import counted
from tests.workflows.pages import form_at, forms_of, send
from tests.workflows.plans import WHO, plan_of, text

ROOT = "/o/acme/workflows"
ASKED = [
    {**WHO, "help": "Whom to greet"},
    {"name": "loud", "label": "Loud", "type": "boolean", "required": False},
    {"name": "times", "label": "Times", "type": "number", "default": 2},
]
GREETING = plan_of(
    text("s_1", [{"text": "Hello "}, {"value": ["start", "who"]}]),
    inputs=ASKED,
    result=[{"name": "said", "label": "What was said", "type": "text",
             "value": [{"value": ["s_1", "text"]}]}],
)  # fmt: skip


def calling(workflow: str, **settings: Any) -> dict[str, Any]:
    return {"id": "s_1", "kind": "workflow", "with": {"workflow": workflow, **settings}}


@pytest.fixture
def greeting(make: Any, program: Any) -> str:
    workflow = str(make(GREETING))
    put_live(program, workflow)
    return workflow


def put_live(program: Any, workflow: str, plan: Any = None) -> Any:
    url = f"/api/v1/workflows/{workflow}"
    if plan is not None:
        rev = program.get(url).get_json()["rev"]
        assert program.put(url, json={"plan": plan, "rev": rev}).status_code == 200
    return program.post(f"{url}/live", json={})


def test_it_is_chosen_filled_in_and_its_result_used_without_script(
    owner: Any, make: Any, plan_now: Any, program: Any, greeting: str
) -> None:
    workflow = make(plan_of(inputs=[WHO]))
    base = f"{ROOT}/{workflow}"
    added = send(owner, form_at(owner, base, "ops"), ("op", "add:root::0:workflow"))
    page = owner.get(added.headers["Location"].partition("#")[0])
    assert "Workflow 0" in page.text

    send(owner, forms_of(page.text)["edit-s_1"], with__workflow=greeting)
    page = owner.get(f"{base}?step=s_1")
    assert "Whom to greet." in page.text
    assert "What was said" in page.text
    form = forms_of(page.text)["edit-s_1"]
    send(owner, form, **{"with-inputs-who": "Dear [[Start: Who]]", "with-inputs-loud": "yes",
                         "with-inputs-times": "3", "with-version": "1"})  # fmt: skip
    added = send(owner, form_at(owner, base, "ops"), ("op", "add:root::1:text"))
    send(
        owner,
        form_at(owner, added.headers["Location"], "edit-s_2"),
        with__text="[[Run another workflow: What was said]]",
    )

    first, second = plan_now(workflow)["steps"]
    assert first["with"] == {
        "workflow": greeting,
        "version": 1,
        "inputs": {
            "who": [{"text": "Dear "}, {"value": ["start", "who"]}],
            "loud": True,
            "times": 3,
        },
    }
    assert second["with"]["text"] == [{"value": ["s_1", "said"]}]
    assert "Workflow 0" in owner.get(base).text
    assert put_live(program, workflow).get_json() == {"version": 1}


def test_another_workflow_is_chosen_and_what_the_first_one_got_is_dropped(
    owner: Any, make: Any, plan_now: Any, program: Any, greeting: str
) -> None:
    other = make(plan_of(text("s_1")))
    put_live(program, other)
    workflow = make(plan_of(calling(greeting, inputs={"who": "Ada"}, version=1)))

    form = form_at(owner, f"{ROOT}/{workflow}?step=s_1", "edit-s_1")
    send(owner, form, with__workflow=other)

    assert plan_now(workflow)["steps"][0]["with"] == {"workflow": other}


def test_what_is_not_asked_for_any_more_is_shown_until_it_is_emptied(
    owner: Any, make: Any, plan_now: Any, greeting: str
) -> None:
    workflow = make(plan_of(calling(greeting, inputs={"who": "Ada", "old": "x"})))

    page = owner.get(f"{ROOT}/{workflow}?step=s_1").text
    assert "does not ask for “old”" in page
    form = forms_of(page)["edit-s_1"]
    assert form.fields["with-inputs-old"] == "x"
    send(owner, form, **{"with-inputs-old": ""})

    assert plan_now(workflow)["steps"][0]["with"]["inputs"] == {"who": "Ada"}


def codes(program: Any, workflow: str) -> list[str]:
    verdict = program.post(f"/api/v1/workflows/{workflow}/validate", json={}).get_json()
    return [one["code"] for one in verdict["checks"]]


def test_a_workflow_that_runs_itself_does_not_go_live(
    program: Any, make: Any, plan_now: Any
) -> None:
    workflow = make(plan_of(text("s_1")))
    put_live(program, workflow)

    refused = put_live(program, workflow, plan_of(calling(workflow)))

    assert refused.status_code == 422
    assert refused.get_json()["checks"][0]["code"] == "C-WORKFLOW-SELF"
    assert refused.get_json()["errors"][0]["pointer"] == "/s_1/with/workflow"


def test_a_new_workflow_that_runs_itself_is_not_told_to_go_live_first(
    program: Any, make: Any
) -> None:
    workflow = make(plan_of(text("s_1")))

    refused = put_live(program, workflow, plan_of(calling(workflow)))

    assert [one["code"] for one in refused.get_json()["checks"]] == ["C-WORKFLOW-SELF"]


def test_a_circle_over_live_versions_is_found_and_named(program: Any, make: Any) -> None:
    first, second, third = (make(plan_of(text("s_1"))) for _ in range(3))
    for one in (first, second, third):
        put_live(program, one)
    assert put_live(program, second, plan_of(calling(third))).status_code == 200
    assert put_live(program, third, plan_of(calling(first))).status_code == 200

    refused = put_live(program, first, plan_of(calling(second)))

    assert refused.status_code == 422
    text_of = refused.get_json()["checks"][0]["text"]
    assert "it runs “Workflow 1”, which runs “Workflow 2”, which runs this workflow" in text_of
    assert put_live(program, first, plan_of(calling(second, version=1))).status_code == 200


def test_what_is_gone_not_live_or_of_others_is_said(
    program: Any, make: Any, greeting: str, other: Any, make_key: Any
) -> None:
    sleeping = make(plan_of(text("s_1")))
    given = {"inputs": {"who": "Ada"}}
    caller = make(plan_of(calling(greeting, **given)))
    assert codes(program, caller) == []
    for wanted in (sleeping, "wf_" + "0" * 26, "wf_x"):
        assert codes(program, make(plan_of(calling(wanted, **given)))) == ["C-WORKFLOW-UNKNOWN"]
    assert codes(program, make(plan_of(calling(greeting, version=9, **given)))) == [
        "C-WORKFLOW-UNKNOWN"
    ]
    program.delete(f"/api/v1/workflows/{greeting}")
    assert codes(program, caller) == ["C-WORKFLOW-UNKNOWN"]


def test_workflows_of_another_organization_can_neither_be_chosen_nor_looked_into(
    stranger: Any, program: Any, greeting: str, other: Any, make_key: Any
) -> None:
    program.key = make_key(other)
    body = {"name": "Theirs", "plan": plan_of(calling(greeting, inputs={"who": "x"}))}
    theirs = program.post("/api/v1/workflows", json=body).get_json()

    assert [one["code"] for one in theirs["checks"]] == ["C-WORKFLOW-UNKNOWN"]
    page = stranger.get(f"/o/other/workflows/{theirs['id']}?step=s_1").text
    assert "Workflow 0" not in page
    assert "Whom to greet" not in page


def test_a_viewer_sees_the_form_and_changes_nothing(
    viewer: Any, make: Any, plan_now: Any, greeting: str
) -> None:
    workflow = make(plan_of(calling(greeting)))

    assert "Whom to greet" in viewer.get(f"{ROOT}/{workflow}?step=s_1").text
    url = f"{ROOT}/{workflow}/steps/s_1"
    assert viewer.submit(url, **{"with-inputs-who": "x"}).status_code == 403
    assert plan_now(workflow)["steps"][0]["with"] == {"workflow": greeting}


def test_knowing_other_workflows_costs_few_queries(app: Any, owner: Any, make: Any,
                                                   program: Any, greeting: str) -> None:  # fmt: skip
    steps = [{**calling(greeting, inputs={"who": "A"}), "id": f"s_{n}"} for n in range(1, 30)]
    url = f"{ROOT}/{make(plan_of(*steps))}?step=s_5"
    owner.get(url)

    with counted(app) as seen:
        assert owner.get(url).status_code == 200
    assert len(seen) <= 14, seen

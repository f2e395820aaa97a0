from __future__ import annotations

from typing import Any

import pytest

from tests.workflows.plans import WHO, plan_of, text

PLAN = plan_of(text("s_1", [{"text": "Hello "}, {"value": ["start", "who"]}]), inputs=[WHO])


def created(program: Any, name: str = "Greeting", plan: Any = PLAN) -> dict[str, Any]:
    answer = program.post("/api/v1/workflows", json={"name": name, "plan": plan})
    assert answer.status_code == 201, answer.get_data(as_text=True)
    found: dict[str, Any] = answer.get_json()
    return found


def test_a_workflow_is_created_checked_put_live_and_listed(program: Any) -> None:
    workflow = created(program)
    assert workflow["rev"] == 1
    assert workflow["live_version"] is None
    assert workflow["checks"] == []

    url = f"/api/v1/workflows/{workflow['id']}"
    verdict = program.post(f"{url}/validate", json={}).get_json()
    assert verdict == {"ok": True, "checks": []}
    assert program.post(f"{url}/live", json={"note": "First"}).get_json() == {"version": 1}
    assert program.get(url).get_json()["plan"] == PLAN
    [listed] = program.get("/api/v1/workflows").get_json()["items"]
    assert (listed["live_version"], listed["changed"]) == (1, False)
    [version] = program.get(f"{url}/versions").get_json()["items"]
    assert (version["version"], version["note"], version["live"]) == (1, "First", True)
    assert program.get(f"{url}/versions/1").get_json()["plan"] == PLAN


def test_the_same_plan_put_live_twice_stays_one_version(program: Any) -> None:
    url = f"/api/v1/workflows/{created(program)['id']}"
    program.post(f"{url}/live", json={})

    assert program.post(f"{url}/live", json={}).get_json() == {"version": 1}


def test_a_save_for_an_old_revision_is_refused_and_overwrites_nothing(program: Any) -> None:
    url = f"/api/v1/workflows/{created(program)['id']}"
    mine, theirs = plan_of(text("s_1", "Mine.")), plan_of(text("s_1", "Theirs."))
    assert program.put(url, json={"plan": theirs, "rev": 1}).get_json()["rev"] == 2

    refused = program.put(url, json={"plan": mine, "rev": 1})

    assert refused.status_code == 409
    assert refused.get_json()["code"] == "E-CONFLICT"
    assert program.get(url).get_json()["plan"] == theirs


def test_a_half_filled_draft_is_kept_but_does_not_go_live(program: Any) -> None:
    half = {"id": "s_1", "kind": "text", "with": {}}
    workflow = created(program, plan=plan_of(half))
    assert [c["code"] for c in workflow["checks"]] == ["C-FIELD-EMPTY"]

    refused = program.post(f"/api/v1/workflows/{workflow['id']}/live", json={})

    assert refused.status_code == 422
    problem = refused.get_json()
    assert problem["code"] == "E-NOT-READY"
    assert problem["errors"][0]["pointer"] == "/s_1/with/text"
    assert problem["checks"][0]["field"] == "with.text"


WORDLESS = {"name": "q", "label": "Pick", "type": "oneof"}
NOTHING_FITS = {"name": "n", "label": "Boxes", "type": "number", "min": 5, "max": 1}
USUALLY_WRONG = {"name": "m", "label": "Day", "type": "date", "default": "tomorrow"}
ANSWERABLE = [
    {**WORDLESS, "of": ["a", "b"], "default": "b"},
    {"name": "n", "label": "Boxes", "type": "number", "min": 1, "max": 5, "default": 5},
    {"name": "d", "label": "Day", "type": "date", "default": "today"},
    {"name": "f", "label": "Sure", "type": "boolean", "default": False},
    {"name": "g", "label": "Orders", "type": "file", "default": "file_01m7yzmwkbevv9dw58r1fyr1bb"},
]


def test_what_nobody_could_answer_is_left_to_do_and_does_not_go_live(program: Any) -> None:
    who = {"who": [{"role": "owner"}]}
    asks = {"id": "s_1", "kind": "approval", "with": {**who, "questions": [WORDLESS]}}
    inside = {"name": "l", "label": "List", "type": "list", "items": {"type": "oneof"}}
    plan = plan_of(asks, inputs=[NOTHING_FITS, USUALLY_WRONG, inside])
    workflow = created(program, plan=plan)

    refused = program.post(f"/api/v1/workflows/{workflow['id']}/live", json={})

    assert refused.status_code == 422
    checks = [one for one in refused.get_json()["checks"] if one["kind"] != "look"]
    assert [(one["step"], one["field"], one["text"]) for one in checks] == [
        ("", "inputs.0.min", "Start: “Boxes” can't be answered: at least 5 and at most 1"),
        (
            "",
            "inputs.1.default",
            "Start: what “Day” is when nothing is entered does not fit: Day must be a date like "
            "2026-03-04",
        ),
        ("", "inputs.2.items.of", "Start: “List” has nothing to choose from: add its choices"),
        (
            "s_1",
            "with.questions.0.of",
            "Step 1: “Pick” has nothing to choose from: add its choices",
        ),
    ]


def test_what_can_be_answered_goes_live(program: Any) -> None:
    plan = plan_of(text("s_1", "x"), inputs=ANSWERABLE)

    assert created(program, plan=plan)["checks"] == []


def test_a_number_of_lanes_that_is_none_is_said_once_and_in_its_place(program: Any) -> None:
    blocks = [{"id": one, "steps": [text(f"s_{one}", "x")]} for one in ("a", "b")]
    lanes = {"lanes": blocks, "until": {"n": 0}}

    checks = created(program, plan=plan_of({"id": "s_1", "kind": "parallel", "with": lanes}))

    said = [(one["field"], one["text"]) for one in checks["checks"]]
    assert said == [("with.until.n", "Step 1: n must be at least 1")]


def test_what_a_signal_brought_is_there_when_the_step_fails_without_it(program: Any) -> None:
    uses = text("s_2", [{"value": ["s_1", "signal", "by"]}])
    left = []
    for otherwise in ("fail", "continue"):
        signal = {"name": "go", "timeout_s": 60, "at_timeout": otherwise}
        waits = {"id": "s_1", "kind": "wait", "with": {"signal": signal}}
        checks = created(program, otherwise, plan_of(waits, uses))["checks"]
        left.append([one["code"] for one in checks])

    assert left == [[], ["C-REF-MAYBE-EMPTY"]]


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({"name": ""}, 422, "/name"),
        ({"name": "x" * 81}, 422, "/name"),
        ({"plan": PLAN}, 422, "/name"),
        ({"name": "A", "plan": {"plan": 1, "wrong": 1}}, 422, "/plan/wrong"),
        ({"name": "A", "plan": {"plan": 99}}, 422, "/plan/plan"),
        ({"name": "A", "plan": plan_of(text("S 1"))}, 422, "/plan/steps/0/id"),
        ({"name": "A", "plan": []}, 422, "/plan"),
        ({"name": "A", "more": 1}, 422, "/more"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    program: Any, body: Any, status: int, pointer: str
) -> None:
    answer = program.post("/api/v1/workflows", json=body)

    assert answer.status_code == status
    assert pointer in [error["pointer"] for error in answer.get_json()["errors"]]


def test_two_workflows_cannot_have_one_name(program: Any) -> None:
    created(program, "Greeting")

    answer = program.post("/api/v1/workflows", json={"name": "  Greeting "})

    assert answer.status_code == 409
    assert answer.get_json()["errors"][0]["code"] == "E-FIELD-TAKEN"


def test_a_deleted_workflow_is_gone_and_its_name_is_free(program: Any) -> None:
    workflow = created(program)
    url = f"/api/v1/workflows/{workflow['id']}"

    assert program.delete(url).status_code == 204

    assert program.get(url).status_code == 410
    assert program.get("/api/v1/workflows").get_json()["items"] == []
    created(program)


def test_unknown_things_are_not_found(program: Any) -> None:
    for path in ("wf_0", "run_01k3", "wf_" + "0" * 26, "wf_" + "z" * 26):
        assert program.get(f"/api/v1/workflows/{path}").status_code == 404
    url = f"/api/v1/workflows/{created(program)['id']}"
    assert program.get(f"{url}/versions/7").status_code == 404
    assert program.get(f"{url}/versions/99999999999").status_code == 404


def test_another_organization_sees_nothing_of_it(program: Any, other: Any, make_key: Any) -> None:
    url = f"/api/v1/workflows/{created(program)['id']}"
    program.key = make_key(other)

    for method, path in (("get", url), ("delete", url), ("get", f"{url}/versions")):
        answer = getattr(program, method)(path)
        assert answer.status_code == 404
    assert program.get("/api/v1/workflows").get_json()["items"] == []


def test_a_list_is_paged_and_every_workflow_comes_once(program: Any) -> None:
    for number in range(5):
        created(program, f"Number {number}")

    seen, url = [], "/api/v1/workflows?limit=2"
    while url:
        page = program.get(url).get_json()
        seen += [item["name"] for item in page["items"]]
        url = page["next"] and f"/api/v1/workflows?limit=2&after={page['next']}"

    assert seen == [f"Number {number}" for number in reversed(range(5))]

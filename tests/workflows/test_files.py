"""Plans and workflows as files: JSON and YAML, by the API and by pages, there and back."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from tests.workflows.pages import form_at, forms_of, send
from tests.workflows.plans import WHO, plan_of, text
from webapp.engine.plan import plan_sha
from webapp.kernel import yamls

ROOT = "/o/acme/workflows"
API = "/api/v1/workflows"
YAML = "application/yaml"
EXAMPLE = Path(__file__).parents[2] / "webapp/gallery/examples/overdue_invoices.json"
PLAN = plan_of(
    text("s_1", [{"text": "no\n2026-03-04\n"}, {"value": ["start", "who"]}], "On: 1.50"),
    inputs=[WHO, {"name": "price", "type": "number", "default": 1.50, "required": False}],
)
WRITTEN = """\
name: Written by hand
plan:
  plan: 1
  # What it asks for.
  inputs:
  - {name: day, type: date, default: 2026-03-04, required: false}
  - {name: sure, type: oneof, of: [yes, no], default: no}
  steps:
  - id: s_1
    kind: text
    with:
      text: |
        Two
        lines
"""


def sha(plan: Any) -> str:
    return plan_sha(plan)


def test_a_plan_written_by_hand_in_yaml_keeps_its_texts(program: Any) -> None:
    made = program.post(API, data=WRITTEN, content_type=YAML)
    assert made.status_code == 201, made.text

    plan = program.get(f"{API}/{made.get_json()['id']}").get_json()["plan"]
    assert plan["inputs"][0]["default"] == "2026-03-04"
    assert plan["inputs"][1] == {"name": "sure", "type": "oneof", "of": ["yes", "no"],
                                 "default": "no"}  # fmt: skip
    assert plan["steps"][0]["with"]["text"] == "Two\nlines\n"


@pytest.mark.parametrize("plan", [PLAN, json.loads(EXAMPLE.read_text())], ids=["small", "example"])
def test_a_plan_goes_out_and_comes_in_as_yaml_and_stays_the_same(program: Any, plan: Any) -> None:
    url = f"{API}/{program.post(API, json={'name': 'A', 'plan': plan}).get_json()['id']}"
    kept = program.get(url).get_json()["plan"]

    out = program.get(f"{url}/plan.yaml")
    assert out.mimetype == YAML
    saved = program.put(url, data=yamls.dump({"rev": 1, "plan": yamls.load(out.text)}),
                        content_type=YAML)  # fmt: skip

    assert saved.status_code == 200
    assert saved.get_json()["rev"] == 1, "the same plan is no change"
    assert sha(yamls.load(out.text)) == sha(kept) == sha(plan)
    verdict = program.post(f"{url}/validate", data=f"plan: {json.dumps(plan)}", content_type=YAML)
    assert verdict.get_json()["ok"]


def test_versions_come_out_by_number(program: Any, make: Any) -> None:
    url = f"{API}/{make(plan_of(text('s_1', 'First.')))}"
    assert program.get(f"{url}/plan.yaml?version=live").status_code == 409
    program.post(f"{url}/live", json={})
    program.put(url, json={"plan": plan_of(text("s_1", "Second.")), "rev": 1})

    for version, words in (("1", "First."), ("live", "First."), ("draft", "Second.")):
        assert words in program.get(f"{url}/plan.yaml?version={version}").text
    assert program.get(f"{url}/plan.yaml?version=7").status_code == 404
    assert program.get(f"{url}/plan.yaml?version=newest").status_code == 422


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("name: A\nplan: &x {plan: 1}", "Line 2: the anchor &x cannot be used"),
        ("name: A\nplan: !!python/name:os.system {}", "Line 2: the tag"),
        ("name: A\nname: B", "Line 2: the name “name” is there twice"),
        ("- 1", "The body must be one YAML mapping"),
        ("name: [", "It is not YAML: line"),
        ("", "It is empty."),
    ],
)
def test_yaml_that_cannot_be_read_is_said_with_its_line(
    program: Any, body: str, reason: str
) -> None:
    answer = program.post(API, data=body, content_type=YAML)

    assert answer.status_code == 400
    assert answer.get_json()["code"] == "E-JSON"
    assert reason in answer.get_json()["detail"]


def test_yaml_is_taken_only_where_plans_are_sent(program: Any, make: Any) -> None:
    workflow = make(plan_of(text("s_1")))

    assert program.post(f"{API}/{workflow}/live", data="note: A",
                        content_type=YAML).status_code == 415  # fmt: skip
    assert program.post(API, data="name: A", content_type="text/plain").status_code == 415


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_a_workflow_is_exported_and_brought_in_under_another_name(
    program: Any, suffix: str
) -> None:
    made = program.post(API, json={"name": "Greeting", "about": "Says it.", "plan": PLAN})
    url = f"{API}/{made.get_json()['id']}"
    kept = program.get(url).get_json()["plan"]

    file = program.get(f"{url}/export.{suffix}")
    document = file.get_json() if suffix == "json" else yamls.load(file.text)
    assert list(document)[:3] == ["deckhand", "workflow", "plan"]
    body = json.dumps(document) if suffix == "json" else yamls.dump(document)
    kind = "application/json" if suffix == "json" else YAML
    taken = program.post("/api/v1/import", data=body, content_type=kind)
    assert taken.status_code == 409, "the name is taken"
    program.delete(url)
    brought = program.post("/api/v1/import", data=body, content_type=kind)

    assert brought.status_code == 201
    assert (brought.get_json()["name"], brought.get_json()["left_out"]) == ("Greeting", [])
    again = program.get(f"{API}/{brought.get_json()['id']}").get_json()
    assert sha(again["plan"]) == sha(kept)
    assert again["about"] == "Says it."


def test_what_a_file_has_and_we_cannot_keep_is_said(program: Any) -> None:
    document = {
        "deckhand": 1,
        "workflow": {"name": "Rich", "tags": ["a", "b"]},
        "plan": plan_of(text("s_1")),
        "starts": [{"kind": "schedule"}],
        "samples": {"s_1": {"value": 1}},
        "needs": [{"connection": "cn_1", "service": "slack", "label": "Slack"}],
    }

    answer = program.post("/api/v1/import", json=document)
    assert answer.get_json()["left_out"] == ["2 tags", "1 way to start", "1 sample value"]
    formats: list[dict[str, Any]] = [{"deckhand": 2}, {"deckhand": True}, {"plan": {"plan": 9}}]
    for wrong in (*formats, {"extra": 1}, {"workflow": {"name": ""}}):
        assert program.post("/api/v1/import", json={**document, **wrong}).status_code == 422


def test_a_step_names_its_connection_in_the_file(program: Any, make: Any) -> None:
    call = {"id": "s_1", "kind": "http", "with": {"url": "https://a.example", "connection": "cn_7"}}

    file = program.get(f"{API}/{make(plan_of(call))}/export.json").get_json()

    assert file["needs"] == [{"connection": "cn_7", "service": "", "label": ""}]


def test_a_plan_is_pasted_in_without_script(owner: Any, program: Any, plan_now: Any) -> None:
    new = owner.get(f"{ROOT}/new").text
    assert f'href="{ROOT}/import"' in new
    form = form_at(owner, f"{ROOT}/import", "import-workflow")

    nameless = send(owner, form, text=json.dumps(PLAN))
    assert nameless.status_code == 422
    assert "Enter a name for the workflow." in nameless.text
    made = send(owner, form, name="Pasted", text=yamls.dump(PLAN).replace("\n", "\r\n"))

    assert made.status_code == 303, made.text
    workflow = made.headers["Location"].rpartition("/")[2]
    assert sha(plan_now(workflow)) == sha(PLAN)
    assert "“Pasted” is here." in owner.get(made.headers["Location"]).text
    form = form_at(owner, f"{ROOT}/import", "import-workflow")
    taken = send(owner, form, name="Pasted", text=json.dumps(PLAN))
    assert taken.status_code == 422
    assert "There is already a workflow called “Pasted”" in taken.text


@pytest.mark.parametrize("suffix", ["json", "yaml"])
@pytest.mark.parametrize("what", ["plan", "export"])
def test_a_downloaded_file_is_uploaded_again(
    owner: Any, make: Any, plan_now: Any, what: str, suffix: str
) -> None:
    workflow = make(PLAN)
    kept = plan_now(workflow)
    assert f"{ROOT}/{workflow}/export.yaml" in owner.get(f"{ROOT}/{workflow}/settings").text

    file = owner.get(f"{ROOT}/{workflow}/{what}.{suffix}")
    assert file.status_code == 200
    assert (
        f'filename="Workflow 0 ({"workflow" if what == "export" else "plan"}).{suffix}"'
        in (file.headers["Content-Disposition"])
    )
    form = form_at(owner, f"{ROOT}/import", "import-workflow")
    fields = {**form.fields, "name": "Again", "file": (BytesIO(file.data), f"plan.{suffix}")}
    made = owner.post(form.action, data=fields, content_type="multipart/form-data")

    assert made.status_code == 303, made.text
    assert sha(plan_now(made.headers["Location"].rpartition("/")[2])) == sha(kept)


@pytest.mark.parametrize(
    ("pasted", "sentence"),
    [
        ("", "Enter a plan, or choose a file."),
        ("{", "It is not JSON: line 1"),
        ("[1]", "A plan must be one JSON object"),
        ("just words", "A plan must be one YAML mapping"),
        ("a: &x 1", "Line 1: the anchor &amp;x cannot be used"),
        ("plan: 1\nsteps: [{id: s_1, kind: text, with: {text: {x: 1}}}]",
         "Step s_1, with.text: This is not a value"),
        ("plan: 1\nwrong: 1", "The plan, wrong: There is no setting called “wrong” here."),
        ("plan: 9", "This plan has format 9"),
        ("deckhand: 2", "This file has format 2. This version reads up to 1."),
        ("hello: 1", "hello"),
    ],
)  # fmt: skip
def test_a_pasted_text_that_is_wrong_is_said_with_its_place_and_kept(
    owner: Any, pasted: str, sentence: str
) -> None:
    form = form_at(owner, f"{ROOT}/import", "import-workflow")

    answer = send(owner, form, name="Wrong", text=pasted)

    assert answer.status_code == 422
    assert sentence in answer.text
    assert 'href="#text"' in answer.text
    kept = forms_of(answer.text)["import-workflow"].fields
    assert (kept["name"], kept["text"].replace("\r\n", "\n")) == ("Wrong", pasted)


def test_files_are_for_those_who_may(
    viewer: Any, stranger: Any, make: Any, program: Any, other: Any, make_key: Any
) -> None:
    workflow = make(PLAN)
    assert viewer.get(f"{ROOT}/{workflow}/plan.yaml").status_code == 200
    assert viewer.get(f"{ROOT}/import").status_code == 403
    assert viewer.submit(f"{ROOT}/import", name="A", text="plan: 1").status_code == 403
    for file in ("plan.yaml", "plan.json", "export.yaml", "export.json"):
        assert stranger.get(f"{ROOT}/{workflow}/{file}").status_code == 404
        assert stranger.get(f"/o/other/workflows/{workflow}/{file}").status_code == 404
    program.key = make_key(other)
    for file in ("plan.yaml", "export.yaml", "export.json"):
        assert program.get(f"{API}/{workflow}/{file}").status_code == 404

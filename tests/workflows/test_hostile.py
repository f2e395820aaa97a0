"""Hostile plans at every door: each is refused early, with its step and field named.

How plans that may run stay within bounds while they run is in tests/runs/test_hostile.py.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.workflows.hostile import HOSTILE, Hostile
from tests.workflows.pages import form_at, send
from tests.workflows.plans import plan_of, text
from webapp.kernel import yamls

API = "/api/v1/workflows"
ROOT = "/o/acme/workflows"
YAML = "application/yaml"


@contextmanager
def quick(seconds: float = 3) -> Iterator[None]:
    """Say that it costs little, however busy the machine is."""
    begun = time.thread_time()
    yield
    assert time.thread_time() - begun < seconds


def told(hostile: Hostile, answer: Any) -> bool:
    """Whether an answer names the place that the plan's worst problem is at."""
    said = answer.get_json()
    if not hostile.is_kept:
        pointers = [one["pointer"].removeprefix("/plan") for one in said.get("errors", [])]
        return answer.status_code == 422 and hostile.at in pointers
    places = [(c["step"], c["field"]) for c in said.get("checks", []) if c["kind"] != "look"]
    return (hostile.step, hostile.field) in places


@pytest.mark.parametrize("kind", ["application/json", YAML])
def test_the_api_names_step_and_field_and_nothing_goes_live(
    program: Any, make: Any, kind: str
) -> None:
    unsaid = []
    good = plan_of(text("s_1", "Good."))
    url = f"{API}/{make(good)}"
    for number, hostile in enumerate(HOSTILE):
        write = json.dumps if kind != YAML else yamls.dump
        rev = program.get(url).get_json()["rev"]
        bodies = [
            ("POST", API, write({"name": f"H {number}", "plan": hostile.plan})),
            ("POST", f"{url}/validate", write({"plan": hostile.plan})),
            ("PUT", url, write({"rev": rev, "plan": hostile.plan})),
        ]
        with quick(6):
            answers = [
                program.open(path, method=method, data=body, content_type=kind)
                for method, path, body in bodies
            ]
        if hostile.is_kept:
            answers.append(program.post(f"{url}/live", json={}))
            assert answers[-1].status_code == 422, hostile.name
        for answer in answers:
            is_too_much = answer.status_code == 400 and "values; send it as JSON" in answer.text
            if not told(hostile, answer) and not is_too_much:
                unsaid.append((hostile.name, answer.status_code, answer.text[-300:]))

    assert unsaid == []
    assert program.get(url).get_json()["live_version"] is None


def test_the_page_says_what_is_wrong_and_a_kept_draft_opens(owner: Any, program: Any) -> None:
    for number, hostile in enumerate(HOSTILE):
        form = form_at(owner, f"{ROOT}/import", "import-workflow")
        with quick():
            answer = send(owner, form, name=f"H {number}", text=json.dumps(hostile.plan))
        if not hostile.is_kept:
            assert answer.status_code in {413, 422}, hostile.name
            assert answer.status_code == 413 or 'href="#text"' in answer.text
            continue
        assert answer.status_code == 303, hostile.name
        page = answer.headers["Location"]
        with quick():
            for tail in ("", f"?step={hostile.step}", "/settings"):
                assert owner.get(page + tail).status_code == 200, hostile.name
        assert send(owner, form_at(owner, f"{page}/live", "put-live")).status_code == 422


BODIES = {
    "a megabyte too much": (json.dumps({"name": "A", "about": "x" * 1_100_000}), 413),
    "a list of a million": (json.dumps({"name": "A", "plan": plan_of(
        text("s_1", {"list": [1] * 1_000_000}))}), 413),
    "half a million": (json.dumps({"name": "A", "plan": [0] * 330_000}), 422),
    "deep": ('{"name":"A","plan":' + "[" * 100_000 + "]" * 100_000 + "}", 400),
    "deep records": ('{"name":"A","plan":' + '{"a":' * 5_000 + "1" + "}" * 5_000 + "}", 400),
    "a huge number": ('{"name":"A","plan":{"plan":1,"limits":{"seconds":1e999999}}}', 400),
    "many digits": ('{"name":"A","plan":{"plan":' + "9" * 5_000 + "}}", 400),
    "not a number": ('{"name":"A","plan":{"plan":NaN}}', 400),
    "half a letter": ('{"name":"A","plan":{"plan":1,"steps":[{"id":"\\ud800"}]}}', 400),
    "nul": ('{"name":"A","plan":{"plan":1,"steps":[{"id":"\\u0000"}]}}', 400),
    "twice": ('{"name":"A","plan":{"plan":1,"plan":2}}', 400),
}  # fmt: skip


@pytest.mark.parametrize(("body", "status"), BODIES.values(), ids=[*BODIES])
def test_a_body_that_no_plan_has_is_refused_before_it_is_looked_at(
    owner: Any, program: Any, body: str, status: int
) -> None:
    with quick():
        answer = program.post(API, data=body, content_type="application/json")
        as_yaml = program.post(API, data=body, content_type=YAML)

    assert answer.status_code == status, answer.text[:300]
    assert answer.get_json()["detail"]
    assert as_yaml.status_code in {400, 413, 422}
    form = form_at(owner, f"{ROOT}/import", "import-workflow")
    with quick():
        assert send(owner, form, name="A", text=body).status_code in {413, 422}
    assert program.get(API).get_json()["items"] == []


def test_a_form_that_is_stuffed_with_fields_is_answered_calmly(
    owner: Any, make: Any, plan_now: Any
) -> None:
    plan = plan_of({"id": "s_1", "kind": "list", "with": {"from": [{"value": ["run", "id"]}]}})
    url = f"{ROOT}/{make(plan)}/steps/s_1"
    stuffed = {f"with-do-{n}": "filter" for n in range(9_000)}
    deep = {"with-do-0-where-groups-0" + "-groups-0" * 200 + "-rows-0-value": "1"}
    with quick():
        assert owner.submit(url, **stuffed).status_code == 400  # a form has 1,000 at most
    for fields in (dict.fromkeys(deep, "x"), {"with-from": "[[" * 100_000},
                   {"with-from": "x" * 300_000}, {"insert": "=" * 50_000}):  # fmt: skip
        with quick():
            assert owner.submit(url, **fields).status_code in {200, 303, 413, 422}


def test_a_tower_of_workflows_that_run_each_other_is_checked_in_time(
    program: Any, make: Any
) -> None:
    def runs(*others: str) -> dict[str, Any]:
        steps = [
            {"id": f"s_{n}", "kind": "workflow", "with": {"workflow": other}}
            for n, other in enumerate(others, 1)
        ]
        return plan_of(*steps, text("s_900"))

    chain = [make(plan_of(text("s_1")))]
    program.post(f"{API}/{chain[0]}/live", json={})
    for _ in range(14):
        chain.append(make(runs(*[chain[-1]] * 30)))
        assert program.post(f"{API}/{chain[-1]}/live", json={}).status_code == 200

    with quick():
        verdict = program.post(f"{API}/{chain[-1]}/validate", json={}).get_json()

    assert verdict["ok"]

"""Runs by the API, worked on by a real runner."""

from __future__ import annotations

import threading
import time
from io import BytesIO
from typing import Any

import pytest
from flask import Flask

from tests.fixtures import Browser, House, MakeKey, Program
from tests.runs.following import until
from tests.workflows.plans import WHO, plan_of, text
from webapp.access.permissions import Role
from webapp.runs.execution.runner import Runner

HELLO = [{"text": "Hello "}, {"value": ["start", "who"]}]
RESULT = [
    {"name": "greeting", "label": "Greeting", "type": "text", "value": [{"value": ["s_1", "text"]}]}
]
PLAN = plan_of(text("s_1", HELLO, "Greet"), inputs=[WHO], result=RESULT)


def test_a_run_is_started_listed_and_done(
    program: Any, make_live: Any, start: Any, finish: Any
) -> None:
    workflow = make_live(PLAN)

    answer = start(workflow, inputs={"who": "Ada"})
    assert answer.status_code == 202
    accepted = answer.get_json()
    run = accepted["id"]
    assert accepted == {
        "id": run,
        "state": "queued",
        "url": f"http://127.0.0.1:8000/o/acme/runs/{run}",
    }
    found = finish(run)

    assert found["state"] == "done"
    assert found["word"] == "Done"
    assert found["result"] == {"greeting": "Hello Ada"}
    assert found["workflow"] == {"id": workflow, "name": "Greeting"}
    assert found["version"] == 1
    assert found["error"] is None
    assert found["cost_usd"] == "0"
    [task] = found["tasks"]
    assert (task["id"], task["name"], task["state"]) == (f"{run}.s_1", "Greet", "succeeded")
    [listed] = program.get("/api/v1/runs?state=done").get_json()["items"]
    assert listed["id"] == run
    assert program.get("/api/v1/runs?state=failed").get_json() == {"items": [], "next": None}
    assert len(program.get(f"/api/v1/runs?workflow={workflow}").get_json()["items"]) == 1


def test_a_task_shows_what_went_in_and_came_out(
    program: Any, make_live: Any, start: Any, finish: Any
) -> None:
    tool = {"tool": "calculator", "args": {"expression": "6 * 7"}}
    plan = plan_of({"id": "s_1", "kind": "tool", "name": "Reckon", "with": tool})
    run = start(make_live(plan)).get_json()["id"]
    finish(run)

    task = program.get(f"/api/v1/tasks/{run}.s_1").get_json()
    logs = program.get(f"/api/v1/tasks/{run}.s_1/logs").get_json()["items"]
    all_logs = program.get(f"/api/v1/runs/{run}/logs").get_json()["items"]
    tasks = program.get(f"/api/v1/tasks?run={run}").get_json()

    assert task["input"]["args"] == {"expression": "6 * 7"}
    assert 42 in task["output"].values()
    assert {line["data"]["path"] for line in logs} == {"s_1"}
    assert [line["type"] for line in logs][-1] == "step.done"
    assert [line["seq"] for line in all_logs] == list(range(1, len(all_logs) + 1))
    assert [one["path"] for one in tasks["items"]] == ["s_1"]
    assert program.get(f"/api/v1/tasks/{run}.s_9").status_code == 404


def test_a_caller_who_waits_gets_the_finished_run(
    program: Any, make_live: Any, runner: Runner, start: Any
) -> None:
    workflow = make_live(PLAN)
    ringing = threading.Thread(target=_ring, args=(runner,), daemon=True)
    ringing.start()

    answer = start(workflow, key="wait-1", prefer="wait=10", inputs={"who": "Ada"})
    again = start(workflow, key="wait-1", prefer="wait=10", inputs={"who": "Ada"})

    assert answer.status_code == 200
    assert answer.headers["Preference-Applied"] == "wait=10"
    assert answer.get_json()["result"] == {"greeting": "Hello Ada"}
    assert again.get_json() == answer.get_json()
    assert again.headers["Idempotency-Replayed"] == "true"


def _ring(runner: Runner) -> None:
    for _ in range(100):
        runner.wake()
        time.sleep(0.05)


def test_a_caller_who_has_waited_long_enough_gets_the_accepted_run(
    make_live: Any, start: Any
) -> None:
    answer = start(make_live(PLAN), prefer="wait=1", inputs={"who": "Ada"})  # nobody works

    assert answer.status_code == 202
    assert answer.get_json()["state"] == "queued"


def test_when_too_many_wait_the_answer_comes_at_once(
    app: Flask, make_live: Any, start: Any
) -> None:
    workflow, endings = make_live(PLAN), app.extensions["endings"]
    places = [endings.place() for _ in range(app.extensions["settings"].web_threads // 4)]
    for place in places:
        assert place.__enter__()

    answer = start(workflow, prefer="wait=30", inputs={"who": "Ada"})

    assert answer.status_code == 202
    for place in places:
        place.__exit__(None, None, None)


def test_the_same_key_starts_one_run(program: Any, make_live: Any, start: Any) -> None:
    workflow = make_live(PLAN)

    first = start(workflow, key="k-1", inputs={"who": "Ada"})
    again = start(workflow, key="k-1", inputs={"who": "Ada"})
    other = start(workflow, key="k-1", inputs={"who": "Ben"})

    assert again.status_code == 202
    assert again.get_data() == first.get_data()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert other.status_code == 422
    assert other.get_json()["code"] == "E-IDEM-OTHER"
    assert len(program.get("/api/v1/runs").get_json()["items"]) == 1


def test_a_key_whose_answer_was_forgotten_still_starts_nothing_twice(
    program: Any, make_live: Any, start: Any
) -> None:
    workflow = make_live(PLAN)
    first = start(workflow, key="k-1", inputs={"who": "Ada"}).get_json()

    body = {"workflow": workflow, "inputs": {"who": "Ada"}}
    again = program.post("/api/v1/execute", json=body, headers={"Idempotency-Key": "k-1"})

    assert again.status_code == 202
    assert again.get_json()["id"] == first["id"]
    assert len(program.get("/api/v1/runs").get_json()["items"]) == 1


@pytest.mark.parametrize("path", ["/execute", "/tasks"])
def test_a_run_starts_under_the_other_names_too(path: str, program: Any, make_live: Any) -> None:
    body = {"workflow": make_live(PLAN), "inputs": {"who": "Ada"}}

    answer = program.post(f"/api/v1{path}", json=body, headers={"Idempotency-Key": "x-1"})

    assert answer.status_code == 202
    assert program.get(f"/api/v1/runs/{answer.get_json()['id']}").status_code == 200


def test_wrong_starts_say_what_is_wrong(program: Any, make_live: Any, start: Any) -> None:
    workflow = make_live(PLAN)
    draft = make_live(PLAN, "Not live", live=False)
    url = f"/api/v1/workflows/{workflow}/run"

    missing_key = program.post(url, json={"inputs": {"who": "Ada"}})
    assert (missing_key.status_code, missing_key.get_json()["code"]) == (400, "E-IDEM-MISSING")
    empty = start(workflow)
    assert empty.status_code == 422
    assert empty.get_json()["errors"] == [
        {"pointer": "/inputs/who", "code": "E-FIELD-EMPTY", "detail": "Enter who."}
    ]
    sheet = {"name": "rows", "label": "Orders file", "type": "file", "required": True}
    asks = make_live(plan_of(text("s_1"), inputs=[sheet]), "Asks for a file")
    assert start(asks).get_json()["errors"][0]["detail"] == "Choose a file for “Orders file”."
    unknown = start(workflow, inputs={"who": "Ada", "age": 3})
    assert unknown.get_json()["errors"][0]["pointer"] == "/inputs/age"
    assert start(draft, inputs={"who": "Ada"}).get_json()["code"] == "E-NO-LIVE"
    assert start(draft, inputs={"who": "Ada"}, version="draft").status_code == 202
    assert start(workflow, inputs={"who": "Ada"}, version=9).get_json()["code"] == "E-NO-VERSION"
    assert start(workflow, inputs={"who": "Ada"}, version=[]).status_code == 422
    assert start("wf_nothing", inputs={}).status_code == 404
    assert program.get("/api/v1/runs?state=sleeping").status_code == 422
    assert program.get("/api/v1/runs?limit=201").status_code == 422
    assert program.get("/api/v1/tasks").status_code == 422
    assert program.get("/api/v1/runs/run_nothing").status_code == 404


def test_a_run_that_waits_in_line_is_cancelled_at_once_and_only_once(
    program: Any, make_live: Any, start: Any
) -> None:
    run = start(make_live(PLAN), inputs={"who": "Ada"}).get_json()["id"]

    first = program.post(f"/api/v1/runs/{run}/cancel")
    again = program.post(f"/api/v1/runs/{run}/cancel")

    assert (first.status_code, first.get_json()["state"]) == (200, "cancelled")
    assert (again.status_code, again.get_json()["code"]) == (409, "E-RUN-OVER")


def test_a_viewers_key_may_look_and_not_start_or_stop(
    program: Any, acme: House, make_key: MakeKey, make_live: Any, start: Any
) -> None:
    workflow = make_live(PLAN)
    run = start(workflow, inputs={"who": "Ada"}).get_json()["id"]
    program.key = make_key(acme, Role.VIEWER)

    assert program.get(f"/api/v1/runs/{run}").status_code == 200
    assert start(workflow, inputs={"who": "Ada"}).status_code == 403
    assert program.post(f"/api/v1/runs/{run}/cancel").status_code == 403


def test_another_organization_sees_no_run(
    app: Flask, other: House, make_key: MakeKey, make_live: Any, start: Any
) -> None:
    workflow = make_live(PLAN)
    run = start(workflow, inputs={"who": "Ada"}).get_json()["id"]
    theirs = Program(app, app.response_class, use_cookies=False)
    theirs.key = make_key(other)

    assert theirs.get("/api/v1/runs").get_json()["items"] == []
    for url in (f"runs/{run}", f"tasks/{run}.s_1", f"runs/{run}/logs", f"tasks?run={run}"):
        assert theirs.get(f"/api/v1/{url}").status_code == 404
    assert theirs.post(f"/api/v1/runs/{run}/cancel").status_code == 404
    body = {"workflow": workflow, "inputs": {}}
    headers = {"Idempotency-Key": "theirs"}
    assert theirs.post("/api/v1/execute", json=body, headers=headers).status_code == 404


def test_lists_go_on_with_their_cursor(program: Any, make_live: Any, start: Any) -> None:
    workflow = make_live(PLAN)
    runs = [start(workflow, inputs={"who": "Ada"}).get_json()["id"] for _ in range(3)]

    first = program.get("/api/v1/runs?limit=2").get_json()
    rest = program.get(f"/api/v1/runs?limit=2&after={first['next']}").get_json()

    assert [row["id"] for row in first["items"] + rest["items"]] == runs[::-1]
    assert rest["next"] is None


def test_a_file_is_uploaded_read_and_used(
    program: Any, make_live: Any, start: Any, finish: Any
) -> None:
    sent = program.post(
        "/api/v1/files", data={"file": (BytesIO("größe,1\n".encode()), "Größe.csv")}
    )
    assert sent.status_code == 201, sent.text
    file = sent.get_json()
    content = program.get(f"/api/v1/files/{file['id']}/content")
    asks = {"name": "rows", "label": "Rows", "type": "file", "required": True}
    plan = plan_of(
        text("s_1", [{"value": ["start", "rows"], "adjust": [{"do": "text"}]}]), inputs=[asks]
    )
    workflow = make_live(plan)

    run = start(workflow, inputs={"rows": file["id"]}).get_json()["id"]

    assert (file["name"], file["size"]) == ("Größe.csv", 10)
    assert program.get(f"/api/v1/files/{file['id']}").get_json() == file
    assert content.get_data().decode() == "größe,1\n"
    assert content.headers["Content-Disposition"].startswith("attachment; filename=")
    assert "filename*=UTF-8''Gr%C3%B6%C3%9Fe.csv" in content.headers["Content-Disposition"]
    assert finish(run)["state"] == "done"
    assert start(workflow, inputs={"rows": "file_nothing"}).status_code == 422
    assert program.post("/api/v1/files", data={}).status_code == 422


@pytest.mark.parametrize(
    "kind",
    ["text/html", "text/javascript", "application/ecmascript", "text/css", "image/svg+xml"]
    + ["application/xhtml+xml", "Text/XML", "text/xsl"],
)
def test_what_a_browser_could_run_is_sent_without_its_type(program: Any, kind: str) -> None:
    sent = program.post(
        "/api/v1/files", data={"file": (BytesIO(b"<script>"), "a;b.html", kind)}
    ).get_json()

    answer = program.get(f"/api/v1/files/{sent['id']}/content")

    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert '"a_b.html"' in answer.headers["Content-Disposition"]


NO = {"id": "s_9", "kind": "stop", "with": {"as": "failed", "message": "No."}}
ITEMS = {"name": "items", "label": "Items", "type": "list", "items": {"type": "number"}}
OF = {"list": [{"value": ["start", "items"]}], "most": 500, "steps": [text("s_6"), text("s_7")]}
EACH = {"id": "s_e", "kind": "each", "with": OF}
YES = {"id": "yes", "when": {"all": [{"value": "a", "is": "equal", "to": "a"}]}}
IF = {"id": "s_3", "kind": "if", "with": {"branches": [YES | {"steps": [text("s_4")]}]}}
WAITS = {"id": "s_5", "kind": "wait", "with": {"signal": {"name": "go"}}}


@pytest.mark.parametrize(
    ("steps", "items", "state", "told"),
    [
        ([text("s_1"), text("s_2")], 1, "done", (2, 2)),
        ([text("s_1"), NO, text("s_2")], 1, "failed", (2, 3)),
        ([text("s_1"), EACH, text("s_2")], 150, "done", (5, 5)),
        ([text("s_1"), EACH, WAITS], 250, "waiting", (4, 5)),
        ([IF, WAITS, text("s_2")], 1, "waiting", (2, 4)),
    ],
)
def test_a_run_says_the_step_that_its_page_says(
    steps: list[dict[str, Any]], items: int, state: str, told: tuple[int, int], program: Any,
    owner: Browser, make_live: Any, start: Any, runner: Runner,
) -> None:  # fmt: skip
    plan = plan_of(*steps, inputs=[ITEMS])
    run = start(make_live(plan), inputs={"items": list(range(items))}).get_json()["id"]
    wanted = {"done": told[0], "of": told[1]}

    until(
        lambda: (
            (found := program.get(f"/api/v1/runs/{run}").get_json())["state"] == state
            and found["steps"] == wanted
        ),
        f"the run is {state}, {told[0]} of {told[1]}",
    )

    page = owner.get(f"/o/acme/runs/{run}").text
    assert f"<dt>Step</dt><dd>{told[0]} of {told[1]}</dd>" in page

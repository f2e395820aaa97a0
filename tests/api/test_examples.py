"""The examples of the description do what they say."""

from __future__ import annotations

from typing import Any

from flask import Flask

from tests.fixtures import Program
from webapp.web.openapi import document


def test_the_examples_make_a_workflow_that_greets(app: Flask, program: Program) -> None:
    schemas = document(app)["components"]["schemas"]
    example: dict[str, Any] = {
        name: schemas[name]["examples"][0] for name in ("NewWorkflow", "PutLive", "RunStart")
    }

    made = program.post("/api/v1/workflows", json=example["NewWorkflow"])
    assert made.get_json()["checks"] == []
    url = f"/api/v1/workflows/{made.get_json()['id']}"
    assert program.post(f"{url}/live", json=example["PutLive"]).get_json() == {"version": 1}
    head = {"Idempotency-Key": "order-4711", "Prefer": "wait=20"}
    run = program.post(f"{url}/run", json=example["RunStart"], headers=head)

    assert run.status_code == 200
    assert run.get_json()["state"] == "done"
    assert run.get_json()["result"] == {"greeting": "Hello Ada"}
    task = program.get(f"/api/v1/tasks/{run.get_json()['tasks'][0]['id']}").get_json()
    assert task["output"] == {"text": "Hello Ada"}

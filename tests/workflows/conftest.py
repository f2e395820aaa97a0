from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def make(program: Any) -> Any:
    """Return a function that makes a workflow of Acme and gives its id."""
    names = (f"Workflow {number}" for number in range(100))

    def create(plan: Any = None) -> str:
        body = {"name": next(names), **({"plan": plan} if plan else {})}
        answer = program.post("/api/v1/workflows", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.get_json()["id"])

    return create


@pytest.fixture
def plan_now(program: Any) -> Any:
    def read(workflow: str) -> Any:
        return program.get(f"/api/v1/workflows/{workflow}").get_json()["plan"]

    return read

"""Small plans that tests begin with."""

from __future__ import annotations

from typing import Any


def plan_of(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"plan": 1, "inputs": [], "steps": list(steps), "result": [], **more}


def text(step_id: str, value: Any = "Hello.", name: str = "") -> dict[str, Any]:
    return {"id": step_id, "kind": "text", "name": name, "with": {"text": value}}


def branching(step_id: str, yes: list[dict[str, Any]], otherwise: list[dict[str, Any]]) -> Any:
    row = {"value": [{"value": ["start", "who"]}], "is": "equal", "to": "Ada"}
    branch = {"id": "yes", "label": "Yes", "when": {"all": [row]}, "steps": yes}
    return {"id": step_id, "kind": "if", "with": {"branches": [branch], "otherwise": otherwise}}


WHO = {"name": "who", "label": "Who", "type": "text", "required": True}

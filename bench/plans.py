"""The plans that are measured."""

from __future__ import annotations

from typing import Any


def five_steps() -> dict[str, Any]:
    """Five trivial steps, each of which uses the one before."""
    steps: list[dict[str, Any]] = [
        {
            "id": "s_1",
            "kind": "text",
            "name": "Greet",
            "with": {"text": [{"text": "Hello "}, {"value": ["start", "name"]}]},
        }
    ]
    for number in range(2, 6):
        before = {"value": [f"s_{number - 1}", "text"]}
        steps.append(
            {
                "id": f"s_{number}",
                "kind": "text",
                "name": "Go on",
                "with": {"text": [before, {"text": f" and {number}"}]},
            }
        )
    return _plan(steps)


def chain(length: int, tool: str = "calculator") -> dict[str, Any]:
    """Return a chain of steps that use a tool."""
    steps = [
        {
            "id": f"s_{number}",
            "kind": "tool",
            "name": "Calculate",
            "with": {"tool": tool, "args": {"expression": f"{number} + 1"}},
        }
        for number in range(1, length + 1)
    ]
    return _plan(steps)


def agents(length: int) -> dict[str, Any]:
    """Return a chain of agents that the offline provider answers: each step has its own commits."""
    inline = {"instructions": "Answer.", "model": "default"}
    steps = [
        {
            "id": f"s_{number}",
            "kind": "agent",
            "name": "Ask",
            "with": {"inline": inline, "message": f"Question {number}."},
        }
        for number in range(1, length + 1)
    ]
    return _plan(steps)


def lanes(count: int) -> dict[str, Any]:
    """Return `count` parallel lanes with one calculator step each."""
    made = [
        {
            "id": f"lane_{number}",
            "label": f"Lane {number}",
            "steps": [
                {
                    "id": f"s_{number}",
                    "kind": "tool",
                    "name": "Calculate",
                    "with": {"tool": "calculator", "args": {"expression": "1 + 1"}},
                }
            ],
        }
        for number in range(1, count + 1)
    ]
    step = {"id": "s_all", "kind": "parallel", "name": "All", "with": {"lanes": made}}
    return _plan([step]) | {"limits": {"at_once": 64}}


def long_chain(items: int) -> dict[str, Any]:
    """Return one run that commits back to back for a while: the busy neighbour."""
    body = {
        "id": "s_2",
        "kind": "tool",
        "name": "Calculate",
        "with": {"tool": "calculator", "args": {"expression": "1 + 1"}},
    }
    each = {
        "id": "s_1",
        "kind": "each",
        "name": "Each",
        "with": {
            "list": {"list": list(range(200))},
            "at_once": 1,
            "most": 10_000,
            "steps": [body],
        },
    }
    blocks = max(1, items // 200)
    steps = []
    for number in range(blocks):
        inner = {**body, "id": f"s_{number}b"}
        steps.append(
            {**each, "id": f"s_{number}a", "with": {**each["with"], "steps": [inner]}}  # type: ignore[dict-item]
        )
    return _plan(steps) | {"limits": {"steps": 100_000}}


def _plan(steps: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "plan": 1,
        "inputs": [{"name": "name", "label": "Name", "type": "text", "required": False}],
        "steps": steps,
        "result": [],
    }

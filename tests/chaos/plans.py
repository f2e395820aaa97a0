"""What the runs of these tests do: every class of effect, in lanes that go on side by side."""

from __future__ import annotations

from typing import Any


def http(step: str, url: str, tail: str, method: str = "PUT", **more: Any) -> dict[str, Any]:
    """Return a step that sends to `url/<name of the round>/tail`."""
    where = [{"text": f"{url}/"}, {"value": ["start", "name"]}, {"text": f"/{tail}"}]
    body = {"as": "json", "value": {"record": {"step": step, "of": [{"value": ["start", "name"]}]}}}
    return {
        "id": step,
        "kind": "http",
        "name": step,
        "with": {"method": method, "url": where, "body": body} | more,
    }


def lane(name: str, *steps: dict[str, Any]) -> dict[str, Any]:
    return {"id": name, "label": name, "steps": list(steps)}


def of(*steps: dict[str, Any]) -> dict[str, Any]:
    return {
        "plan": 1,
        "inputs": [{"name": "name", "label": "Name", "type": "text", "required": True}],
        "steps": list(steps),
    }


def mixed(url: str) -> dict[str, Any]:
    """Return what may repeat, what may not, what says it may, and an agent that streams."""
    agent = {
        "inline": {"instructions": "Summarize.", "model": "practice"},
        "message": "Invoices are late. " * 20,
    }
    lanes = [
        lane("put", *(http(f"s_p{n}", url, f"put{n}") for n in range(3))),
        lane("post", *(http(f"s_o{n}", url, f"post{n}", "POST") for n in range(2))),
        lane(
            "agent",
            {"id": "s_a", "kind": "agent", "name": "Say", "with": agent},
            http("s_r", url, "safe", "POST", repeat_safe=True),
        ),
    ]
    return of({"id": "s_1", "kind": "parallel", "name": "All", "with": {"lanes": lanes}})


def chain(url: str, length: int, method: str = "PUT", **more: Any) -> dict[str, Any]:
    """Return steps one after the other."""
    return of(*(http(f"s_{n}", url, f"{n}", method, **more) for n in range(length)))

"""What a new step, branch or lane looks like before anybody has filled it in."""

from __future__ import annotations

from typing import Any

from webapp.engine.steps import KINDS
from webapp.engine.tools import TOOLS
from webapp.kernel.errors import Invalid, field_error

Doc = dict[str, Any]
MOST_BRANCHES = 8
MOST_LANES = 64


def new_step(kind: str, step_id: str, tool: str = "") -> Doc:
    """Return an empty step; raises `Invalid` for a kind or tool that doesn't exist."""
    if kind not in KINDS:
        raise _unknown("/kind", "The kind of step", ", ".join(KINDS))
    if tool and tool not in TOOLS:
        raise _unknown("/tool", "The tool", ", ".join(TOOLS))
    settings = _settings(kind)
    if kind == "tool" and tool:
        settings["tool"] = tool
    return {"id": step_id, "kind": kind, "name": "", "with": settings}


def _unknown(pointer: str, what: str, choices: str) -> Invalid:
    return Invalid([field_error(pointer, "E-FIELD-CHOICE", what=what, choices=choices)])


def _settings(kind: str) -> Doc:
    match kind:
        case "if":
            branch = {"id": "yes", "label": "Yes", "when": {"all": []}, "steps": []}
            return {"branches": [branch], "otherwise": []}
        case "parallel":
            return {"lanes": [_lane("lane_a", "Lane 1"), _lane("lane_b", "Lane 2")]}
        case "each":
            return {"steps": [], "collect": []}
        case "repeat":
            return {"until": {"all": []}, "steps": []}
        case "agent":
            return {"inline": {"instructions": "", "model": "default"}}
        case "tool":
            return {"args": {}}
        case "set":
            return {"fields": []}
        case "list":
            return {"do": []}
        case "http":
            return {"method": "GET"}
    return {}


def new_branch(step: Doc) -> str:
    """Add a branch or lane to the step in place and return which of the two it is."""
    settings = step.setdefault("with", {})
    listed = {"if": "branches", "parallel": "lanes"}.get(step["kind"])
    if listed is None:
        raise _unknown("/step", "The step", "an If, or “At the same time”")
    present = settings.setdefault(listed, [])
    most = MOST_BRANCHES if listed == "branches" else MOST_LANES
    if len(present) >= most:
        text = f"There may be {most} at most."
        raise Invalid([field_error("/step", "E-FIELD", what="The step", text=text)])
    number = len(present) + 1
    used = {one.get("id") for one in present}
    stem = "branch" if listed == "branches" else "lane"
    while f"{stem}_{number}" in used:
        number += 1
    fresh = _lane(f"{stem}_{number}", f"{stem.capitalize()} {len(present) + 1}")
    if listed == "branches":
        fresh["when"] = {"all": []}
    present.append(fresh)
    return stem


def _lane(lane_id: str, label: str) -> Doc:
    return {"id": lane_id, "label": label, "steps": []}

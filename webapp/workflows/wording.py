"""What a step is called and what it does, in a few words."""

from __future__ import annotations

from typing import Any

from webapp.engine.steps import KINDS
from webapp.engine.tools import TOOLS

Doc = dict[str, Any]


def step_title(step: Doc) -> str:
    """Return the step's name, or what it is when it has none."""
    name = step.get("name") or ""
    if name:
        return str(name)
    tool = TOOLS.get((step.get("with") or {}).get("tool", ""))
    return tool.label if tool is not None and step.get("kind") == "tool" else kind_label(step)


def kind_label(step: Doc) -> str:
    kind = KINDS.get(step.get("kind", ""))
    return kind.label if kind is not None else f"Unknown: {step.get('kind')}"


def kind_icon(step: Doc) -> str:
    kind = KINDS.get(step.get("kind", ""))
    return kind.icon if kind is not None else "alert"


def goes_outside(step: Doc) -> bool:
    """Whether the step changes something in another system."""
    kind = KINDS.get(step.get("kind", ""))
    if kind is None or kind.container:
        return False
    try:
        config = kind.config.model_validate(step.get("with") or {})
    except ValueError:
        return step.get("kind") == "http" and (step.get("with") or {}).get("method", "GET") not in (
            "GET",
            "HEAD",
        )
    return str(kind.effect(config).value) != "none"


def listed(words: list[str]) -> str:
    """Return "a, b and c"."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"

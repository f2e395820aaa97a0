"""All kinds of steps. A new kind is a file beside this one, a line here, and a test."""

from __future__ import annotations

from webapp.engine.effects import Effect
from webapp.engine.steps import (
    agent,
    approval,
    each,
    http,
    if_,
    list_,
    parallel,
    repeat,
    set_,
    stop,
    text,
    tool,
    wait,
    workflow,
)
from webapp.engine.steps.kind import StepKind

__all__ = ["KINDS", "Effect", "StepKind"]

KINDS: dict[str, StepKind] = {
    module.KIND.name: module.KIND
    for module in (
        agent,
        approval,
        if_,
        parallel,
        each,
        repeat,
        text,
        set_,
        list_,
        http,
        tool,
        wait,
        workflow,
        stop,
    )
}
"""Step kinds by name, in the order of the picker."""

"""Stop: end the whole run here, as done or as failed."""

from __future__ import annotations

from typing import Any, Literal

import pydantic

from webapp.engine.grammar import Strict, Value
from webapp.engine.steps.kind import StepKind
from webapp.engine.values import Scope, render_text

MOST_CHARACTERS = 2_000


class Config(Strict):
    end: Literal["done", "failed"] = pydantic.Field(
        default="done", alias="as", title="The run ends as"
    )
    message: Value = pydantic.Field(
        default="", title="Message", description="Shown on the run's page."
    )


def compute(config: Config, scope: Scope) -> dict[str, Any]:
    """Return `{"as", "message"}`; the scheduler ends the run with it."""
    return {"as": config.end, "message": render_text(config.message, scope)[:MOST_CHARACTERS]}


KIND = StepKind(
    name="stop",
    label="Stop",
    about="Ends the run here, as done or as failed.",
    icon="cancelled",
    group="Decide and repeat",
    config=Config,
    compute=compute,
    timeout_s=None,
)

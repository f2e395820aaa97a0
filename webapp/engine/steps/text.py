"""Make a text from words and earlier values."""

from __future__ import annotations

from typing import Any

import pydantic

from webapp.engine.errors import StepError
from webapp.engine.grammar import Field, Strict, Value
from webapp.engine.steps.kind import StepKind
from webapp.engine.values import Scope, render_text

MOST_CHARACTERS = 2_000_000


class Config(Strict):
    text: Value = pydantic.Field(
        title="Text", description="Write it here and put in values from earlier steps."
    )


def compute(config: Config, scope: Scope) -> dict[str, Any]:
    text = render_text(config.text, scope)
    if len(text) > MOST_CHARACTERS:
        raise StepError(
            "E-TEXT-LONG",
            f"The text has {len(text):,} characters; {MOST_CHARACTERS:,} can be kept.",
            proven=True,
            retryable=False,
        )
    return {"text": text}


KIND = StepKind(
    name="text",
    label="Make a text",
    about="Writes a text from words and earlier values.",
    icon="text",
    group="Text and values",
    config=Config,
    gives=lambda config: [Field(name="text", label="Text", type="text")],
    compute=compute,
    timeout_s=None,
)

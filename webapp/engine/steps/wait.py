"""Wait: for some time, or until a moment."""

from __future__ import annotations

import pydantic
from pydantic import model_validator

from webapp.engine.errors import StepError
from webapp.engine.grammar import Field, Strict, Value, refuse, unfinished
from webapp.engine.ports import WaitFor
from webapp.engine.readings import as_moment, as_number, as_text, read_number
from webapp.engine.steps.kind import StepKind
from webapp.engine.values import Scope, render

LONGEST_S = 31_536_000


class Config(Strict):
    for_s: Value = pydantic.Field(
        default=None, title="Wait for", description="Seconds, up to a year."
    )
    until: Value = pydantic.Field(
        default=None, title="Wait until", description="A date, or a date with a time."
    )

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Config:
        given = [value for value in (self.for_s, self.until) if value is not None]
        if len(given) > 1:
            raise refuse("Wait for some time or until a moment, not both")
        if not given:
            raise unfinished("Say how long to wait, or until when")
        return self


def waits(config: Config, scope: Scope) -> WaitFor:
    """Return what ends the wait; a moment in the past ends it at once.

    Raises:
        StepError: E-WAIT, the value is no length of time or no moment.
    """
    if config.for_s is not None:
        value = render(config.for_s, scope)
        seconds = as_number(value) if not isinstance(value, str) else read_number(value)
        if seconds is None or not 0 <= seconds <= LONGEST_S:
            raise _wrong(value, "is no number of seconds up to a year")
        return WaitFor(due_s=float(seconds))
    value = render(config.until, scope)
    moment = as_moment(value, str(scope.facts.get("zone") or "UTC"))
    if moment is None:
        raise _wrong(value, "is no date and no time")
    return WaitFor(due_at=moment)


def _wrong(value: object, why: str) -> StepError:
    shown = as_text(value)[:60]
    return StepError(
        "E-WAIT",
        f"“{shown}” {why}, so this step can't wait for it.",
        proven=True,
        retryable=False,
        facts={"value": shown},
    )


KIND = StepKind(
    name="wait",
    label="Wait",
    about="Waits for some time, or until a moment.",
    icon="clock",
    group="Decide and repeat",
    config=Config,
    gives=lambda config: [Field(name="at", label="Went on at", type="datetime")],
    timeout_s=None,
)

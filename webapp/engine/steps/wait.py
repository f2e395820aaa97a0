"""Wait: for some time, until a moment, or for a signal from outside."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

import pydantic
from pydantic import model_validator

from webapp.engine.errors import StepError
from webapp.engine.grammar import Field, Name, Strict, Value, refuse, unfinished
from webapp.engine.ports import WaitFor
from webapp.engine.readings import as_moment, as_number, as_text, read_number
from webapp.engine.steps.kind import Frozen, StepKind
from webapp.engine.values import Scope, render

LONGEST_S = 31_536_000


class Signal(Strict):
    """What somebody outside sends by the run page or the API."""

    name: Name = pydantic.Field(title="Signal")
    timeout_s: Annotated[int, pydantic.Field(ge=1, le=LONGEST_S)] | None = pydantic.Field(
        default=None, title="Wait at most", description="Seconds; empty means as long as it takes."
    )
    at_timeout: Literal["fail", "continue"] = pydantic.Field(
        default="fail", title="If nobody sends it in time"
    )


class Config(Strict):
    for_s: Value = pydantic.Field(
        default=None, title="Wait for", description="Seconds, up to a year."
    )
    until: Value = pydantic.Field(
        default=None, title="Wait until", description="A date, or a date with a time."
    )

    signal: Signal | None = pydantic.Field(
        default=None, title="Wait for a signal", description="Until somebody outside sends it."
    )

    @model_validator(mode="after")
    def _is_one_of_three(self) -> Config:
        given = [one for one in (self.for_s, self.until, self.signal) if one is not None]
        if len(given) > 1:
            raise refuse("Wait for some time, until a moment, or for a signal: one of them")
        if not given:
            raise unfinished("Say how long to wait, until when, or for which signal")
        return self


def waits(config: Config, scope: Scope) -> WaitFor:
    """Return what ends the wait; a moment in the past ends it at once.

    Raises:
        StepError: E-WAIT, the value is no length of time or no moment.
    """
    if config.signal is not None:
        asked = config.signal
        frozen = {"signal": asked.name, "fail_at_timeout": asked.at_timeout == "fail"}
        return WaitFor(due_s=asked.timeout_s, frozen=frozen)
    if config.for_s is not None:
        value = render(config.for_s, scope)
        seconds = seconds_of(value)
        if seconds is None:
            raise _wrong(value, "is no number of seconds up to a year")
        return WaitFor(due_s=float(seconds))
    value = render(config.until, scope)
    moment = as_moment(value, str(scope.facts.get("zone") or "UTC"))
    if moment is None:
        raise _wrong(value, "is no date and no time")
    return WaitFor(due_at=moment)


def seconds_of(value: Any) -> Decimal | None:
    """Return a length of time that a run may wait, None if it is none."""
    seconds = read_number(value) if isinstance(value, str) else as_number(value)
    return seconds if seconds is not None and 0 <= seconds <= LONGEST_S else None


def heard(frozen: Frozen, signal: Any) -> dict[str, Any]:
    """Return what the step gives once its signal has come."""
    return {"at": signal["at"], "signal": signal}


def late(frozen: Frozen, now: str) -> dict[str, Any]:
    """Return what the step gives once its time is over.

    Raises:
        StepError: E-SIGNAL-LATE.
    """
    if frozen.get("signal") is None:
        return {"at": now}
    if frozen.get("fail_at_timeout", True):
        text = f"Nobody sent the signal “{frozen['signal']}” in time."
        raise StepError("E-SIGNAL-LATE", text, proven=True, retryable=False)
    return {"at": now, "signal": None}


def gives(config: Config) -> list[Field]:
    at = Field(name="at", label="Went on at", type="datetime")
    if config.signal is None:
        return [at]
    sent = [
        Field(name="by", label="Sent by", type="text"),
        Field(name="at", label="Sent at", type="datetime"),
        Field(name="data", label="What was sent", type="any", required=False),
        Field(name="id", label="Signal", type="text"),
    ]
    is_sure = config.signal.at_timeout == "fail"
    return [
        at,
        Field(name="signal", label="Signal", type="record", fields=sent, required=is_sure),
    ]


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
    about="Waits for some time, until a moment, or for a signal.",
    icon="clock",
    group="Decide and repeat",
    config=Config,
    gives=gives,
    waits=waits,
    heard=heard,
    late=late,
    timeout_s=None,
)

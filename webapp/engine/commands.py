"""What the scheduler asks for, and what it is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from webapp.engine.errors import StepError
from webapp.engine.journal import End, Record
from webapp.engine.ports import Meter, WaitFor

if TYPE_CHECKING:
    from webapp.engine.compiled import StepPlan
    from webapp.engine.values import Scope


@dataclass(slots=True)
class Start:
    """Run one attempt of a step that holds no steps.

    `found` is the row of an earlier attempt, or of this one before a crash: its frozen bytes
    are used again instead of rendering the settings.
    """

    path: str
    step: StepPlan
    attempt: int
    scope: Scope
    meter: Meter
    found: Record | None = None


@dataclass(slots=True)
class Settle:
    """Write a row; nothing waits for it."""

    record: Record


@dataclass(slots=True)
class Cancel:
    """Stop what runs or waits at `path`; the answer to it, if it runs, is an outcome."""

    path: str


@dataclass(slots=True)
class RetryLater:
    """Tell `take(path, Due())` after a while.

    Attributes: pause: between rounds, not after a failure.
    """

    path: str
    after_s: float
    pause: bool = False


@dataclass(slots=True)
class Wait:
    """Tell `take(path, ...)` when the time of this waiting row has come, unless a signal ends
    the run's parking before.
    """

    path: str
    record: Record


@dataclass(slots=True)
class Finish:
    """All paths are closed. The last command ever."""

    end: End


Command = Start | Settle | Cancel | RetryLater | Wait | Finish


@dataclass(slots=True)
class Spent:
    """What an attempt cost and had to say, however it ended."""

    cost_nano: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    notes: list[str] = field(default_factory=list)
    problems: bool = False
    """A tool call of the agent failed, whatever the agent made of it; or the run that was waited
    for finished with problems. The step's row says so, to whatever takes it over.
    """


@dataclass(slots=True)
class Succeeded:
    result: dict[str, Any]
    spent: Spent = field(default_factory=Spent)


@dataclass(slots=True)
class Failed:
    error: StepError
    spent: Spent = field(default_factory=Spent)


@dataclass(slots=True)
class Stopped:
    """The attempt was cancelled.

    Attributes: begun: it may have had its effect.
    """

    begun: bool = True
    spent: Spent = field(default_factory=Spent)


@dataclass(slots=True)
class Doubtful:
    """Nobody can tell whether the effect happened."""

    error: StepError
    spent: Spent = field(default_factory=Spent)


@dataclass(slots=True)
class Waits:
    """The step waits for a time or for something from outside."""

    what: WaitFor
    spent: Spent = field(default_factory=Spent)


@dataclass(slots=True)
class Due:
    """The time of a retry has come."""


Outcome = Succeeded | Failed | Stopped | Doubtful | Waits | Due

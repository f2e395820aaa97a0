"""What the scheduler, the driver, the checks and the builder know about a kind of step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from webapp.engine.effects import Effect

if TYPE_CHECKING:
    from pydantic import BaseModel

    from webapp.engine.grammar import Field
    from webapp.engine.ports import WaitFor, Work
    from webapp.engine.values import Scope


Frozen = dict[str, Any]
Compute = Callable[[Any, "Scope"], dict[str, Any]]


def no_effect(config: Any) -> Effect:
    return Effect.NONE


def gives_nothing(config: Any) -> list[Field]:
    return []


@dataclass(frozen=True, slots=True)
class StepKind:
    """One kind of step.

    A leaf that has `compute` is pure: it needs no port and is settled in the tick in which it
    becomes ready, without an intent. One that `waits` needs none either. Any other leaf works in
    two phases: `prepare` renders the values into the bytes that the journal keeps as the intent,
    `perform` acts on exactly these bytes, in this attempt and in every later one. Containers have
    neither: the scheduler runs them.
    """

    name: str
    label: str
    """What people see in the picker and on the row."""
    about: str
    """One sentence for the picker."""
    icon: str
    """Name of a symbol in static/icons.svg."""
    group: str
    """Heading in the picker: AI, People, Decide and repeat, Text and values, Other services."""
    config: type[BaseModel]
    effect: Callable[[Any], Effect] = no_effect
    gives: Callable[[Any], list[Field]] = gives_nothing
    """Fields of the step's result, as far as the settings tell."""
    container: bool = False
    compute: Compute | None = None
    computes: Callable[[Any], Compute | None] | None = None
    """Returns `compute` where it hangs on the settings."""
    waits: Callable[[Any, Scope], WaitFor] | None = None
    """Says what the step waits for. A `perform` may return the same, of what it has begun."""
    heard: Callable[[Frozen, Any], dict[str, Any]] | None = None
    """Makes the result of what was waited for and what came; raises StepError to fail."""
    late: Callable[[Frozen, str], dict[str, Any]] | None = None
    """Makes the result when the time is over first, with that time; raises StepError to fail."""
    rehearsed: Callable[[Frozen], dict[str, Any]] | None = None
    """Makes the result that a rehearsal goes on with, since it waits for nothing."""
    rehearses_inside: bool = False
    """A rehearsal performs it too: what it starts is a rehearsal itself."""
    prepare: Callable[[Any, Scope], bytes] | None = None
    perform: Callable[[bytes, Work], Awaitable[dict[str, Any] | WaitFor]] | None = None
    timeout_s: int | None = 120
    """Default time limit of one attempt; None: none."""

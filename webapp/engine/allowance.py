"""How much a plan may make out of little: ten steps that double a text must not fill a machine.

Size is counted in characters, as JSON would have them, a shared value once for each place where
it would be written. What one step works with and what a whole run keeps are both bounded, and the
count stops as soon as a bound is passed, so that counting is never the bomb itself. So is the time
that one step may calculate: all runs of a worker, and its heartbeat, wait for it.
"""

from __future__ import annotations

import math
from time import thread_time
from typing import Any

from webapp.engine.errors import StepError, span

MOST_IN_STEP = 64_000_000
MOST_IN_RUN = 256_000_000
MOST_DEPTH = 100
MOST_S = 5.0
"""How long one step may calculate, in seconds of its thread's processor: one that stands still, or
shares its core, has not calculated.
"""
_LOOK_AT_CLOCK = 64
"""Counts between two looks at the clock."""
ENTRY = 16
"""What an entry of a list or record costs beside its characters."""
ROW = 50
"""What it costs to look at one row, so that comparing all with all ends soon as well."""
_REMEMBERED = 16
"""Entries of a list whose size is worth remembering while a step is at work."""


class Allowance:
    """What is left to spend; all scopes of a run share one.

    Attributes:
        left: for the step at hand; kept: what the run holds of earlier results.
    """

    __slots__ = ("_counts", "_known", "_until", "kept", "left")

    def __init__(self) -> None:
        self.left = MOST_IN_STEP
        self.kept = 0
        self._known: dict[int, tuple[Any, int]] = {}
        self._counts = 0
        self._until = math.inf

    def begin(self) -> None:
        """Start to count for another step."""
        self.left = MOST_IN_STEP
        self._known.clear()
        self._until = thread_time() + MOST_S

    def spend(self, value: Any, times: int = 1, extra: int = 0) -> None:
        """Count a value that is made or looked at `times` times.

        Raises:
            StepError: the step has spent all it may.
        """
        self.count(self._size(value) * times + extra)

    def look(self, value: Any) -> None:
        """Count a value whose every entry is looked at; a record is written out for that."""
        if type(value) is not list:
            self.spend(value, extra=ROW)
            return
        records = sum(type(entry) is dict or type(entry) is list for entry in value)
        self.spend(value, extra=ROW + 2 * ROW * records)

    def _size(self, value: Any) -> int:
        if type(value) is str:
            return len(value)
        if type(value) is not list and type(value) is not dict:
            return ENTRY
        known = self._known.get(id(value))
        if known is not None:
            return known[1]
        size = size_of(value, self.left)
        if len(value) >= _REMEMBERED:
            self._known[id(value)] = (value, size)  # held, so that its id stays its own
        return size

    def count(self, characters: int) -> None:
        """Count so many characters; raises as `spend` does."""
        self.left -= characters
        if self.left < 0:
            raise too_large()
        self._counts += 1
        if self._counts % _LOOK_AT_CLOCK == 0:
            self.look_at_clock()

    def look_at_clock(self) -> None:
        """Raise as `spend` does when the step has calculated for too long."""
        if thread_time() > self._until:
            raise too_slow()

    def keep(self, value: Any) -> None:
        """Count a result that stays until the run ends.

        Raises:
            StepError: it is larger than one step may give.
        """
        self.kept += size_of(value, MOST_IN_STEP)

    def hold(self, value: Any) -> None:
        """Count what came from outside: it happened, so it is kept, whatever its size."""
        try:
            self.keep(value)
        except StepError:
            self.kept = MOST_IN_RUN + 1

    @property
    def is_used_up(self) -> bool:
        return self.kept > MOST_IN_RUN


def size_of(value: Any, most: int) -> int:
    """Return the size of a value, or raise `StepError` when it passes `most`."""
    size, level = 0, [value]
    for _ in range(MOST_DEPTH):
        below: list[Any] = []
        for item in level:
            kind = type(item)
            if kind is str or kind is bytes:
                size += len(item)
            elif kind is list or kind is dict:
                size += len(item) * ENTRY
                if kind is dict:
                    size += sum(map(len, item))
                if size > most:  # before its entries are looked at
                    raise too_large()
                below.extend(item if kind is list else item.values())
        if size > most:
            raise too_large()
        if not below:
            return size
        level = below
    raise too_large()


def too_large() -> StepError:
    return StepError(
        "E-VALUE-LARGE",
        "The values of this step grew too large or too deep. Filter the list or shorten the text.",
        proven=True,
        retryable=False,
        facts={"most": MOST_IN_STEP},
    )


def too_slow() -> StepError:
    limit = span(MOST_S)
    text = f"This step calculated for longer than {limit}, so we stopped it."
    help_ = "Filter the list or shorten the text, or do less in one step."
    facts = {"limit": limit}
    return StepError("E-VALUE-LARGE", f"{text} {help_}", proven=True, retryable=False, facts=facts)


def run_too_large() -> StepError:
    return StepError(
        "E-RUN-LARGE",
        "The run kept more values than one run may. Work on fewer items, or keep less of each.",
        proven=True,
        retryable=False,
        facts={"most": MOST_IN_RUN},
    )


def too_long(seconds: int) -> StepError:
    limit = span(seconds)
    text = f"This run worked longer than {limit}, so we stopped it."
    return StepError("E-RUN-TIME", text, proven=True, facts={"limit": limit})

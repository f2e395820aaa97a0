"""How long an answer is used before it is asked for again, learned from what happens.

The declared time is the bound that is never passed. Below it, an answer that is used often and
known to change is fetched anew earlier, since many would get it when it is wrong; one that has
never changed, or is hardly used, lives for the whole declared time.

With reuse at rate r and changes at rate c, a life of T costs one fetch each T, and r * c * T / 2
wrong answers in unit time. Weighing a wrong answer as w fetches, the least is at
T = sqrt(2 / (w * r * c)).

Source of the rate of change from looks that see at most one change each: Cho and Garcia-Molina
(2003), "Estimating Frequency of Change", ACM Transactions on Internet Technology 3(3).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from webapp.kernel.caches.stores import Entry

_WEIGHT: Final = 0.02
"""What a wrong answer costs, in fetches. Both are allowed here: the declared time has said so."""
_SHORTEST: Final = 0.02
"""Share of the declared time below which no life gets."""
_MOST_GROUPS: Final = 1_000


@dataclass(slots=True)
class _Group:
    """Attributes: looks: fetches where the earlier answer was still known."""

    looks: int = 0
    changes: int = 0
    watched_s: float = 0.0
    uses: int = 0

    @property
    def change_rate(self) -> float:
        """Changes a second; 0: none was seen."""
        if not self.changes or not self.watched_s:
            return 0.0
        unchanged = (self.looks - self.changes + 0.5) / (self.looks + 0.5)
        return -math.log(unchanged) * self.looks / self.watched_s

    @property
    def reuse_rate(self) -> float:
        return self.uses / self.watched_s if self.watched_s else 0.0


class Lifetimes:
    """What was learned of each group in this process; what is known of a key lies beside it."""

    def __init__(self) -> None:
        self._groups: OrderedDict[str, _Group] = OrderedDict()

    def learn(self, group: str, earlier: Entry, value: bytes) -> None:
        """See whether the answer has changed since it was kept; update `earlier` and its group."""
        changed = int(earlier.value != value)
        found = self._group(group)
        for known in (found, earlier):
            known.looks += 1
            known.changes += changed
            known.watched_s += earlier.age_s
        found.uses += earlier.uses

    def life_s(self, group: str, earlier: Entry | None, declared_s: float) -> float:
        """Return how long the next answer is used, at most `declared_s`."""
        found = self._group(group)
        changes, reuse = found.change_rate, found.reuse_rate
        if earlier is not None and earlier.age_s > 0:
            reuse = earlier.uses / earlier.age_s
            if changes:
                # A gamma prior with the group's mean, of the weight of one change.
                changes = (earlier.changes + 1) / (earlier.watched_s + 1 / changes)
        if not changes or not reuse:
            return declared_s
        best_s = math.sqrt(2 / (_WEIGHT * reuse * changes))
        return min(declared_s, max(best_s, declared_s * _SHORTEST))

    def _group(self, name: str) -> _Group:
        found = self._groups.get(name)
        if found is None:
            found = self._groups[name] = _Group()
            if len(self._groups) > _MOST_GROUPS:
                self._groups.popitem(last=False)
        else:
            self._groups.move_to_end(name)
        return found

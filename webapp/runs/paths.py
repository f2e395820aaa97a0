"""Where a plan's steps stand in a run's journal, and which of those places a page shows.

A path is stable: "s_7[12]/s_8" is step s_8 in the 13th item of s_7, "s_9#3/s_8" in the third
round of s_9. What lies neither in an item nor in a round is known before the run begins; of a
list's items a page shows the first few.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from webapp.engine.plan import FAILURE, Plan, Step

ITEM: Final = ""
"""Key of the block that an `each` or a `repeat` does again and again."""
ITEMS_SHOWN: Final = 20
MOST_PATHS: Final = 2_000
_SIGNS: Final = {":": "-c", "/": "--", "[": "-i", "]": "", "#": "-r", "!": "-f"}
_SIGN: Final = re.compile(r"[:/\[\]#!]")
_INDEX: Final = re.compile(r"\[(\d{1,6})\]")
_ROUND: Final = re.compile(r"#(\d{1,6})/")


def prefix_of(path: str, key: str, index: int | None = None) -> str:
    """Return what the paths of a step's block begin with; an item's index counts from 0."""
    if key == ITEM:
        return f"{path}[{index}]/"
    return f"{path}{FAILURE}/" if key == FAILURE else f"{path}:{key}/"


def round_prefix(path: str, number: int) -> str:
    """Return what the paths in one round of a `repeat` begin with; rounds count from 1."""
    return f"{path}#{number}/"


def walk(steps: Sequence[Step], prefix: str = "") -> Iterator[tuple[str, Step]]:
    """Yield every place of these steps with its step, without what lies in items or rounds."""
    for step in steps:
        path = prefix + step.id
        yield path, step
        for key, block in step.blocks.items():
            if key != ITEM:
                yield from walk(block, prefix_of(path, key))


def element_id(path: str) -> str:
    """Return the path as a part of an element's id: letters, digits, "_" and "-" only."""
    return _SIGN.sub(lambda sign: _SIGNS[sign[0]], path)


def outermost(path: str) -> str:
    """Return the id of the step in the root block that the path lies under."""
    return _SIGN.split(path, maxsplit=1)[0]


def item_of(path: str, each: str) -> int | None:
    """Return which item of the `each` at path `each` the path lies in."""
    if not path.startswith(f"{each}["):
        return None
    found = _INDEX.match(path, len(each))
    return int(found[1]) if found else None


def round_of(path: str, repeat: str) -> int | None:
    """Return which round of the `repeat` at path `repeat` the path lies in."""
    if not path.startswith(f"{repeat}#"):
        return None
    found = _ROUND.match(path, len(repeat))
    return int(found[1]) if found else None


def last_round(path: str) -> int | None:
    """Return the round of the innermost repetition that the path lies in."""
    rounds = _ROUND.findall(path)
    return int(rounds[-1]) if rounds else None


@dataclass(slots=True)
class Places:
    """Where the steps of one plan stand.

    Attributes:
        steps: step by id.
        around: for each step the blocks it lies in, outermost first: (holding step, block).
        roots: place of each step of the root block in the order of the plan, from 1.
    """

    plan: Plan
    steps: dict[str, Step] = field(default_factory=dict)
    around: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    roots: dict[str, int] = field(default_factory=dict)
    _lists: list[tuple[str, Step]] = field(default_factory=list)
    _repeats: list[tuple[str, Step]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.roots = {step.id: n for n, step in enumerate(self.plan.steps, 1)}
        self._learn(self.plan.steps, [])
        places = list(walk(self.plan.steps))
        self._lists = [(path, step) for path, step in places if step.kind == "each"]
        self._repeats = [(path, step) for path, step in places if step.kind == "repeat"]

    def _learn(self, steps: Sequence[Step], around: list[tuple[str, str]]) -> None:
        for step in steps:
            self.steps[step.id] = step
            self.around[step.id] = around
            for key, block in step.blocks.items():
                self._learn(block, [*around, (step.id, key)])

    def path_of(self, step_id: str, seen_from: str) -> str | None:
        """Return where a step stands that can be seen from a path: in the same items and rounds."""
        prefix = ""
        for holder, key in self.around.get(step_id, []):
            path = prefix + holder
            if key != ITEM:
                prefix = prefix_of(path, key)
                continue
            inside = self.time_of(holder, path, seen_from)
            if inside is None:
                return None
            prefix = self.time_prefix(holder, path, inside)
        return prefix + step_id if step_id in self.steps else None

    def time_of(self, step_id: str, path: str, inner: str) -> int | None:
        """Return which item or round of the step at `path` another path lies in."""
        is_repeat = self.steps[step_id].kind == "repeat"
        return round_of(inner, path) if is_repeat else item_of(inner, path)

    def time_prefix(self, step_id: str, path: str, number: int) -> str:
        """Return what paths in one item or round of a step begin with."""
        is_repeat = self.steps[step_id].kind == "repeat"
        return round_prefix(path, number) if is_repeat else prefix_of(path, ITEM, number)

    def step_at(self, path: str) -> Step | None:
        """Return the step of a path that this plan has."""
        step = self.steps.get(path.rpartition("/")[2])
        return step if step is not None and self.path_of(step.id, path) == path else None

    def in_item(self, holder: str, number: int) -> list[str]:
        """Return the paths inside one item of a list, or one round of a repetition."""
        step = self.step_at(holder)
        if step is None:
            return []
        prefix = self.time_prefix(step.id, holder, number)
        return [path for path, _ in walk(step.blocks.get(ITEM, []), prefix)]

    def lists(self) -> list[tuple[str, Step]]:
        """Return each `each` that does not itself lie in an item, with its path."""
        return self._lists

    def shown(self, chosen: str = "") -> list[str]:
        """Return the paths a page shows at first, at most 2,000, and those beside `chosen`."""
        paths = [path for path, _ in walk(self.plan.steps)]
        for path, _ in self.lists():
            for index in range(ITEMS_SHOWN):
                paths += self.in_item(path, index)
        for path, step in self._repeats:
            for number in range(1, _most_rounds(step) + 1):
                paths += self.in_item(path, number)
        del paths[MOST_PATHS:]
        for holder, step in [*self._lists, *self._repeats]:
            number_chosen = self.time_of(step.id, holder, chosen)
            if number_chosen is not None:
                paths += self.in_item(holder, number_chosen)
        return list(dict.fromkeys([*paths, chosen] if chosen else paths))


def _most_rounds(step: Step) -> int:
    return int(step.config.most) if step.config is not None else 0

"""Where a plan's steps stand in a run's journal, and which of those places a page shows.

A path is stable: "s_7[12]/s_8" is step s_8 in the 13th item of s_7. What does not lie in an item
of a list is known before the run begins; of a list's items a page shows the first few.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from webapp.engine.plan import FAILURE, Plan, Step

ITEM: Final = ""
"""Key of the block that an `each` repeats."""
ITEMS_SHOWN: Final = 20
MOST_PATHS: Final = 2_000
_SIGNS: Final = {":": "-c", "/": "--", "[": "-i", "]": "", "#": "-r", "!": "-f"}
_SIGN: Final = re.compile(r"[:/\[\]#!]")
_INDEX: Final = re.compile(r"\[(\d{1,6})\]")


def prefix_of(path: str, key: str, index: int | None = None) -> str:
    """Return what the paths of a step's block begin with."""
    if key == ITEM:
        return f"{path}[{index}]/"
    return f"{path}{FAILURE}/" if key == FAILURE else f"{path}:{key}/"


def walk(steps: Sequence[Step], prefix: str = "") -> Iterator[tuple[str, Step]]:
    """Yield every place of these steps with its step, without what lies in items of a list."""
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

    def __post_init__(self) -> None:
        self.roots = {step.id: n for n, step in enumerate(self.plan.steps, 1)}
        self._learn(self.plan.steps, [])
        self._lists = [(p, step) for p, step in walk(self.plan.steps) if step.kind == "each"]

    def _learn(self, steps: Sequence[Step], around: list[tuple[str, str]]) -> None:
        for step in steps:
            self.steps[step.id] = step
            self.around[step.id] = around
            for key, block in step.blocks.items():
                self._learn(block, [*around, (step.id, key)])

    def path_of(self, step_id: str, seen_from: str) -> str | None:
        """Return where a step stands that can be seen from a path: in the same items."""
        prefix = ""
        for holder, key in self.around.get(step_id, []):
            path = prefix + holder
            index: int | None = item_of(seen_from, path) if key == ITEM else None
            if key == ITEM and index is None:
                return None
            prefix = prefix_of(path, key, index)
        return prefix + step_id if step_id in self.steps else None

    def step_at(self, path: str) -> Step | None:
        """Return the step of a path that this plan has."""
        step = self.steps.get(path.rpartition("/")[2])
        return step if step is not None and self.path_of(step.id, path) == path else None

    def in_item(self, each: str, index: int) -> list[str]:
        """Return the paths inside one item of a list."""
        step = self.step_at(each)
        block = step.blocks.get(ITEM, []) if step is not None else []
        return [path for path, _ in walk(block, prefix_of(each, ITEM, index))]

    def lists(self) -> list[tuple[str, Step]]:
        """Return each `each` that does not itself lie in an item, with its path."""
        return self._lists

    def shown(self, chosen: str = "") -> list[str]:
        """Return the paths a page shows at first, at most 2,000, and those beside `chosen`."""
        paths = [path for path, _ in walk(self.plan.steps)]
        for path, _ in self.lists():
            for index in range(ITEMS_SHOWN):
                paths += self.in_item(path, index)
        del paths[MOST_PATHS:]
        for each, _ in self.lists():
            chosen_item = item_of(chosen, each)
            if chosen_item is not None:
                paths += self.in_item(each, chosen_item)
        return list(dict.fromkeys([*paths, chosen] if chosen else paths))

"""Where a plan's steps stand in a run's journal, and which of those places a page shows.

A path is stable: "s_7[12]/s_8" is step s_8 in the 13th item of s_7, "s_9#3/s_8" in the third
round of s_9. What lies neither in an item nor in a round is known before the run begins; of a
list's items a page shows the first few.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from webapp.engine.changes import steps_again
from webapp.engine.plan import FAILURE, Plan, Step
from webapp.engine.reuse import comes_before, key_of, steps_of

ITEM: Final = ""
"""Key of the block that an `each` or a `repeat` does again and again."""
ITEMS_SHOWN: Final = 20
MOST_PATHS: Final = 2_000
MOST_ROUNDS: Final = 50
"""In so many rounds a page looks for what a step was given."""
_WITH_ROUNDS: Final = frozenset({"repeat", "approval"})
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
        steps: step by id; blocks: the block that each stands in.
        around: for each step the blocks it lies in, outermost first: (holding step, block).
        numbers: place of each step in the order of the plan, from 1, as the builder counts.
        sizes: how many steps each is, with those inside it.
    """

    plan: Plan
    steps: dict[str, Step] = field(default_factory=dict)
    blocks: dict[str, Sequence[Step]] = field(default_factory=dict)
    around: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    _lists: list[tuple[str, Step]] = field(default_factory=list)
    _repeats: list[tuple[str, Step]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.numbers = {step.id: n for n, step in enumerate(self.plan.walk(), 1)}
        self._learn(self.plan.steps, [])
        places = list(walk(self.plan.steps))
        self._lists = [(path, step) for path, step in places if step.kind == "each"]
        self._repeats = [(path, step) for path, step in places if step.kind == "repeat"]

    def _learn(self, steps: Sequence[Step], around: list[tuple[str, str]]) -> None:
        for step in steps:
            self.steps[step.id] = step
            self.blocks[step.id] = steps
            self.around[step.id] = around
            self.sizes[step.id] = 1
            for holder, _ in around:
                self.sizes[holder] += 1
            for key, block in step.blocks.items():
                self._learn(block, [*around, (step.id, key)])

    def paths_of(self, step_id: str, seen_from: str) -> list[str]:
        """Return where a step may stand that can be seen from a path, in the order of time: in
        the same items and rounds, and more than once where an approval sends it back.
        """
        if step_id not in self.steps:
            return []
        prefixes = [""]
        for holder, key in self.around[step_id]:
            paths = [path for prefix in prefixes for path in self._times(holder, prefix)]
            prefixes = [
                prefix
                for path in paths
                if (prefix := self._prefix(holder, key, path, seen_from)) is not None
            ]
        found = [path for prefix in prefixes for path in self._times(step_id, prefix)]
        if holding := [path for path in found if seen_from.startswith((f"{path}[", f"{path}#"))]:
            return holding
        if len(found) < 2 or seen_from.endswith("/"):  # at the end of a block all is before
            return found
        return [path for path in found if comes_before(self.plan, path, seen_from)]

    def _prefix(self, holder: str, key: str, path: str, seen_from: str) -> str | None:
        if key != ITEM:
            return prefix_of(path, key)
        inside = self.time_of(holder, path, seen_from)
        return None if inside is None else self.time_prefix(holder, path, inside)

    def _times(self, step_id: str, prefix: str) -> list[str]:
        """Return the places of a step in one execution of its block, rounds included."""
        block = self.blocks[step_id]
        walked = self._walked(block, block, prefix, None)
        return list(islice((path for path, step in walked if step.id == step_id), MOST_ROUNDS))

    def _walked(
        self, steps: Sequence[Step], block: Sequence[Step], prefix: str, own: str | None
    ) -> Iterator[tuple[str, Step]]:
        """Yield the steps of a block as they may follow each other; `own` is the approval in
        whose round these are.
        """
        for step in steps:
            yield prefix + step.id, step
            if step.kind == "approval" and step.id != own:
                yield from self._rounds(step, block, prefix + step.id)

    def _rounds(
        self, approval: Step, block: Sequence[Step], path: str
    ) -> Iterator[tuple[str, Step]]:
        again = steps_again(block, approval)
        for number in range(2, approval.config.rounds + 1 if again else 2):
            yield from self._walked(again, block, round_prefix(path, number), approval.id)

    def again(self, step: Step) -> list[Step]:
        """Return the steps that an approval may send back."""
        return steps_again(self.blocks[step.id], step) if step.kind == "approval" else []

    def in_rounds(self, steps: Sequence[Step], prefix: str = "") -> Iterator[str]:
        """Yield the paths that lie in rounds of approvals in these blocks, what is in items and
        repetitions there as far as a page shows it.
        """
        for path, step in walk(steps, prefix):
            if step.kind != "approval":
                continue
            for inner, one in self._rounds(step, self.blocks[step.id], path):
                yield from (at for at, _ in walk([one], inner[: -len(one.id)]))
                for number in _times_shown(one):
                    begin = self.time_prefix(one.id, inner, number)
                    yield from (at for at, _ in walk(one.blocks.get(ITEM, []), begin))

    def time_of(self, step_id: str, path: str, inner: str) -> int | None:
        """Return which item or round of the step at `path` another path lies in."""
        has_rounds = self.steps[step_id].kind in _WITH_ROUNDS
        return round_of(inner, path) if has_rounds else item_of(inner, path)

    def time_prefix(self, step_id: str, path: str, number: int) -> str:
        """Return what paths in one item or round of a step begin with."""
        has_rounds = self.steps[step_id].kind in _WITH_ROUNDS
        return round_prefix(path, number) if has_rounds else prefix_of(path, ITEM, number)

    def numbered(self, path: str) -> range:
        """Return the numbers of the step at a path and of the steps inside it."""
        step = self.step_at(path)
        if step is None:
            return range(0)
        first = self.numbers[step.id]
        return range(first, first + self.sizes[step.id])

    def step_at(self, path: str) -> Step | None:
        """Return the step of a path that this plan has."""
        try:
            parts = steps_of(path)
        except ValueError:
            return None
        block: Sequence[Step] = self.plan.steps
        here: Sequence[Step] = block
        for step_id, inside in parts[:-1]:
            step = next((one for one in here if one.id == step_id), None)
            if step is None or not _is_block(step, inside):
                return None
            if step.kind == "approval" and inside != FAILURE:
                here = steps_again(block, step)  # a round does steps of this very block
            else:
                block = here = step.blocks.get(key_of(inside), [])
        last, inside = parts[-1]
        return next((one for one in here if one.id == last), None) if not inside else None

    def in_item(self, holder: str, number: int) -> list[str]:
        """Return the paths inside one item of a list, or one round of a step."""
        step = self.step_at(holder)
        if step is None:
            return []
        prefix = self.time_prefix(step.id, holder, number)
        if step.kind == "approval":
            return [path for path, _ in walk(self.again(step), prefix)]
        block = step.blocks.get(ITEM, [])
        return [*(path for path, _ in walk(block, prefix)), *self.in_rounds(block, prefix)]

    def lists(self) -> list[tuple[str, Step]]:
        """Return each `each` that does not itself lie in an item, with its path."""
        return self._lists

    def shown(self, chosen: str = "") -> list[str]:
        """Return the paths a page shows at first, at most 2,000, and those beside `chosen`."""
        paths = [path for path, _ in walk(self.plan.steps)]
        paths += islice(self.in_rounds(self.plan.steps), MOST_PATHS)
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


def _times_shown(step: Step) -> range:
    if step.kind == "repeat":
        return range(1, _most_rounds(step) + 1)
    return range(ITEMS_SHOWN if step.kind == "each" else 0)


def _most_rounds(step: Step) -> int:
    return int(step.config.most) if step.config is not None else 0


def _is_block(step: Step, inside: str) -> bool:
    """Whether a step has the block that a path goes through."""
    if inside.startswith("["):
        return step.kind == "each"
    if inside.startswith("#"):
        return step.kind in _WITH_ROUNDS
    return inside == FAILURE or (inside.startswith(":") and key_of(inside) in step.blocks)

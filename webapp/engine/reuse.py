"""Which steps of a finished run a new run may take over, when it begins again from a step."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from webapp.engine.plan import FAILURE, Plan, Step
from webapp.engine.sight import lane_needs

_PART: Final = re.compile(
    r"(s_[a-z0-9]{1,12})(?:(:)([a-z][a-z0-9_]*)|\[(\d+(?:-\d+)?)\]|#(\d+)|(!))?"
)


def steps_of(path: str) -> list[tuple[str, str]]:
    """Return (step id, block) along a path: "s_5:lane_b/s_6" -> [("s_5", ":lane_b"), ("s_6", "")].

    Raises:
        ValueError: it is no path of a step.
    """
    found = []
    for part in path.split("/"):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"no path of a step: {path}")
        found.append((match[1], part[len(match[1]) :]))
    return found


def steps_around(path: str) -> Iterator[str]:
    """Yield the paths of the steps inside which something happened, the outermost first."""
    outside, inner, _ = path.rpartition("/")
    around = ""
    for step, inside in steps_of(outside) if inner else ():
        yield around + step
        around += f"{step}{inside}/"


def comes_before(plan: Plan, path: str, start: str) -> bool:
    """Whether what happened at `path` does not depend on the step at `start`, by the plan alone.

    Steps behind `start` come after it, and so do lanes that need its lane, and rounds of a
    person who asked for changes. Other items of its list, and lanes beside its own, do not.
    """
    block: list[Step] = plan.steps
    for (mine, inside), (other, its) in zip(steps_of(path), steps_of(start), strict=False):
        places = {step.id: place for place, step in enumerate(block)}
        if mine not in places or other not in places:
            return False
        if mine != other:
            return places[mine] < places[other]
        step = block[places[mine]]
        if not inside or not its:
            # It is the step itself, or one holds the other; but rounds lie behind an approval.
            return step.kind == "approval" and its.startswith("#")
        if inside != its:
            return _beside(step, inside, its)
        if not _is_round(step, inside):
            block = step.blocks.get(key_of(inside), [])
    return False


def stands_in(plan: Plan, path: str) -> bool:
    """Whether the plan has a step at the path, whatever else it says."""
    block: list[Step] = plan.steps
    for step_id, inside in steps_of(path):
        step = next((one for one in block if one.id == step_id), None)
        if step is None:
            return False
        if not _is_round(step, inside):
            block = step.blocks.get(key_of(inside), [])
    return True


def is_untouched(plan: Plan, changed: Collection[str], path: str) -> bool:
    """Whether what happened at `path`, by an earlier version, is what `plan` would do there.

    Args:
        changed: ids of the steps of `plan` that are new, say something else, or stand elsewhere.
    """
    block: list[Step] = plan.steps
    for step_id, inside in steps_of(path):
        place = next((n for n, one in enumerate(block) if one.id == step_id), None)
        if place is None or any(_is_touched(one, changed) for one in block[:place]):
            return False
        step = block[place]
        if step.id in changed or not inside:
            return not _is_touched(step, changed)
        if _depends_inside(step, inside, changed):
            return False
        if not _is_round(step, inside):
            block = step.blocks.get(key_of(inside), [])
    return True


def _depends_inside(step: Step, inside: str, changed: Collection[str]) -> bool:
    """Whether one block of a step has seen what another block, or a round before, gave."""
    if inside == FAILURE or step.kind in {"repeat", "approval"}:
        return _is_touched(step, changed)
    if step.kind != "parallel":
        return False
    needs = lane_needs(step)
    lanes = [lane for lane, steps in step.blocks.items() if _any_touched(steps, changed)]
    return any(_needs(needs, inside[1:], lane) for lane in lanes)


def _is_touched(step: Step, changed: Collection[str]) -> bool:
    return step.id in changed or any(_any_touched(block, changed) for block in step.blocks.values())


def _any_touched(steps: Iterable[Step], changed: Collection[str]) -> bool:
    return any(_is_touched(step, changed) for step in steps)


def _beside(step: Step, mine: str, its: str) -> bool:
    """Whether one block of a step keeps what it did when another block of it is done again."""
    if its == FAILURE:
        return True  # the failure branch comes behind all else
    if step.kind == "each":
        return True
    if step.kind in {"repeat", "approval"} and mine != FAILURE:
        return int(mine[1:]) < int(its[1:])
    if step.kind == "parallel" and mine != FAILURE:
        return not _needs(lane_needs(step), mine[1:], its[1:])
    return False


def _needs(needs: Mapping[str, list[str]], lane: str, wanted: str) -> bool:
    todo, seen = list(needs.get(lane, [])), set()
    while todo:
        one = todo.pop()
        if one == wanted:
            return True
        if one not in seen:
            seen.add(one)
            todo.extend(needs.get(one, []))
    return False


def _is_round(step: Step, inside: str) -> bool:
    """Whether steps of the very block in which an approval stands were done once more."""
    return step.kind == "approval" and inside.startswith("#")


def key_of(inside: str) -> str:
    """Return the key of a block among a step's blocks."""
    if inside == FAILURE:
        return FAILURE
    return inside[1:] if inside.startswith(":") else ""

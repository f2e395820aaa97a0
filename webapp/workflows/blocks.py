"""A plan document as a tree of blocks: find a step, and change where steps stand.

Pure and on plain JSON. A place between steps is a slot, written "parent:lane:index":
`root::2`, `s_2:urgent:0`, `s_2:otherwise:1`, `s_7::1` (inside each), `s_11:!:0` (when it failed).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from webapp.kernel.errors import Invalid, NotFound, field_error

Doc = dict[str, Any]

ROOT: Final = "root"
FAILURE: Final = "!"
LISTED: Final = {"if": "branches", "parallel": "lanes"}
REPEATED: Final = {"each": "Each item", "repeat": "Each round"}
_SLOT: Final = re.compile(r"(root|s_[a-z0-9]{1,12}):([a-z][a-z0-9_]{0,19}|!|):(\d{1,3})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Slot:
    parent: str
    lane: str
    index: int

    def __str__(self) -> str:
        return f"{self.parent}:{self.lane}:{self.index}"

    @classmethod
    def parse(cls, text: str) -> Slot:
        """Read "s_2:urgent:0"; raises `Invalid` for anything else."""
        found = _SLOT.fullmatch(text)
        if found is None:
            raise no_slot()
        return cls(found[1], found[2], int(found[3]))

    @property
    def block(self) -> tuple[str, str]:
        return self.parent, self.lane


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step stands: `slot` is its own place, `number` counts as pages show it."""

    step: Doc
    slot: Slot
    depth: int
    number: int


def no_slot() -> Invalid:
    text = "This place in the workflow is gone. Choose another one."
    return Invalid([field_error("/slot", "E-FIELD", what="The place", text=text)])


def inner_blocks(step: Doc, *, to_change: bool = False) -> Iterator[tuple[str, str, list[Doc]]]:
    """Yield (key, label, steps) for each block inside `step`, in the order they are read.

    With `to_change` the list of steps is the document's own, made where it is missing.
    """
    settings = step.setdefault("with", {}) if to_change else step.get("with") or {}
    if listed := LISTED.get(step.get("kind", "")):
        for number, one in enumerate(settings.get(listed) or [], start=1):
            label = one.get("label") or (f"Lane {number}" if listed == "lanes" else "Yes")
            yield one.get("id", ""), label, _inside(one, "steps", to_change)
    if step.get("kind") == "if":
        yield "otherwise", "Otherwise", _inside(settings, "otherwise", to_change)
    if label := REPEATED.get(step.get("kind", "")):
        yield "", label, _inside(settings, "steps", to_change)
    failure = step.get("on_failure") or {}
    if failure.get("do") == "branch":
        yield FAILURE, "When it fails", _inside(failure, "steps", to_change)


def _inside(holder: Doc, key: str, to_change: bool) -> list[Doc]:
    steps: list[Doc] = holder.setdefault(key, []) if to_change else holder.get(key) or []
    return steps


def places(doc: Doc) -> list[Place]:
    """Return every step in the order they are read."""
    found: list[Place] = []
    _collect(doc.get("steps") or [], ROOT, "", 0, found)
    return found


def _collect(steps: list[Doc], parent: str, lane: str, depth: int, found: list[Place]) -> None:
    for index, step in enumerate(steps):
        found.append(Place(step, Slot(parent, lane, index), depth, len(found) + 1))
        for key, _, inside in inner_blocks(step):
            _collect(inside, step["id"], key, depth + 1, found)


def own_settings(step: Doc) -> Doc:
    """Return the settings of the step without the steps inside it."""
    settings = {k: v for k, v in (step.get("with") or {}).items() if k not in {"otherwise"}}
    if step.get("kind") in REPEATED:
        settings.pop("steps", None)
    if listed := LISTED.get(step.get("kind", "")):
        settings[listed] = [
            {key: value for key, value in one.items() if key != "steps"}
            for one in settings.get(listed) or []
        ]
    return settings


def place_of(doc: Doc, step_id: str) -> Place:
    """Return where the step stands, or raise `NotFound`."""
    for place in places(doc):
        if place.step["id"] == step_id:
            return place
    raise NotFound("E-STEP-GONE")


def step_of(doc: Doc, step_id: str) -> Doc:
    return place_of(doc, step_id).step


def block_at(doc: Doc, slot: Slot) -> list[Doc]:
    """Return the list of steps that holds `slot`, or raise `Invalid`: the place is gone."""
    if slot.parent == ROOT:
        block: list[Doc] = doc.setdefault("steps", [])
        return block
    try:
        step = step_of(doc, slot.parent)
    except NotFound:
        raise no_slot() from None
    for key, _, inside in inner_blocks(step, to_change=True):
        if key == slot.lane:
            return inside
    raise no_slot()


def insert(doc: Doc, slot: Slot, step: Doc) -> Slot:
    """Put `step` at the slot; behind the last one when the block became shorter meanwhile."""
    block = block_at(doc, slot)
    index = min(slot.index, len(block))
    block.insert(index, step)
    return Slot(slot.parent, slot.lane, index)


def remove(doc: Doc, step_id: str) -> tuple[Doc, Slot]:
    """Take the step with all inside it out of the document; return it and where it was."""
    place = place_of(doc, step_id)
    del block_at(doc, place.slot)[place.slot.index]
    return place.step, place.slot


def move(doc: Doc, step_id: str, to: Slot) -> Slot:
    """Move the step; `to` is counted before it is taken out. Into itself is refused."""
    place = place_of(doc, step_id)
    if to.parent == step_id or to.parent in inner_ids(place.step):
        text = "A step cannot be moved into itself. Choose another place."
        raise Invalid([field_error("/slot", "E-FIELD", what="The place", text=text)])
    block_at(doc, to)
    remove(doc, step_id)
    same = to.block == place.slot.block
    index = to.index - 1 if same and to.index > place.slot.index else to.index
    return insert(doc, Slot(to.parent, to.lane, index), place.step)


def neighbors(doc: Doc, step_id: str) -> tuple[Slot | None, Slot | None]:
    """Return the slots one up and one down in the same block, None at its ends."""
    slot = place_of(doc, step_id).slot
    length = len(block_at(doc, slot))
    up = Slot(slot.parent, slot.lane, slot.index - 1) if slot.index else None
    down = Slot(slot.parent, slot.lane, slot.index + 2) if slot.index < length - 1 else None
    return up, down


def inner_ids(step: Doc) -> list[str]:
    """Return the ids of all steps inside `step`."""
    found: list[Place] = []
    for key, _, inside in inner_blocks(step):
        _collect(inside, step["id"], key, 0, found)
    return [place.step["id"] for place in found]


def copy_of(step: Doc, new_ids: Iterator[str]) -> Doc:
    """Return a copy with new ids; what refers to steps inside it refers to their copies."""
    renewed = {old: next(new_ids) for old in [step["id"], *inner_ids(step)]}
    copied: Doc = _renamed(deepcopy(step), renewed)
    return copied


def _renamed(value: Any, ids: dict[str, str]) -> Any:
    if isinstance(value, dict):
        renamed = {key: _renamed(inner, ids) for key, inner in value.items()}
        if "kind" in renamed and renamed.get("id") in ids:
            renamed["id"] = ids[renamed["id"]]
        if renamed.get("kind") == "approval" and isinstance(settings := renamed.get("with"), dict):
            back_to = settings.get("back_to")
            settings |= {"back_to": ids[back_to]} if back_to in ids else {}
        ref = renamed.get("value")
        if isinstance(ref, list) and ref and isinstance(ref[0], str) and ref[0] in ids:
            renamed["value"] = [ids[ref[0]], *ref[1:]]
        return renamed
    if isinstance(value, list):
        return [_renamed(inner, ids) for inner in value]
    return value


def first_free_number(doc: Doc) -> int:
    """Return a number greater than that of every `s_<number>` in the document."""
    numbers = (p.step["id"][2:] for p in places(doc))
    return max((int(n) for n in numbers if n.isdecimal() and n.isascii()), default=0) + 1

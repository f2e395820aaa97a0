"""Long lists in parts: slices of an `each` that runs of their own do, on any worker.

Which items a part does and what its steps see of the run around it is fixed when it starts, so
that a part knows nothing of its parent. Its paths are those that the items would have anyway.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from webapp.engine.canonical import from_bytes, to_bytes
from webapp.engine.compiled import READING_RETRIES, StepPlan
from webapp.engine.plan import Limits, Step
from webapp.engine.ports import WaitFor, Work
from webapp.engine.steps.part import KIND, OWN_STEPS
from webapp.engine.values import Scope

if TYPE_CHECKING:
    from webapp.engine.frames import Task
    from webapp.engine.tree import Tree

FREE: Final = frozenset(
    {"text", "set", "list", "http", "tool", "if", "parallel", "each", "repeat", "wait", "approval",
     "stop"}
)  # fmt: skip
"""Kinds that never spend money by themselves."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a run does that is a part.

    Attributes:
        step: id of the `each`; path: where it stands in the parent.
        items: its slice; first: the place of the slice's first item in the whole list.
        seen: values by root, as the steps inside see them; now: when the list was begun.
        told: what agents inside are told beside that.
        at_once: of its items.
        open_parts: paths of the parts whose steps were not counted when it was ordered.
    """

    step: str
    path: str
    first: int
    items: list[Any]
    seen: Mapping[str, Any]
    now: Mapping[str, Any]
    at_once: int
    limits: Limits
    told: dict[str, Any] | None = None
    open_parts: tuple[str, ...] = ()

    @property
    def prefix(self) -> str:
        """What stands before the step in its path."""
        return self.path[: -len(self.step)]


def read_part(about: Mapping[str, Any], items: bytes, seen: bytes, limits: Limits) -> Part:
    """Make a part of what was ordered, in a run whose plan has these limits."""
    kept = from_bytes(seen)
    mine = {"steps": about["steps"], "at_once": about["places"]}
    mine["seconds"] = about.get("seconds", limits.seconds)
    return Part(
        about["step"], about["path"], about["first"], from_bytes(items), kept["roots"],
        kept["now"], about["at_once"], limits.model_copy(update=mine), kept.get("told"),
        tuple(about.get("open") or ()),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class PartOrder:
    """A part to be started.

    Attributes:
        about: step, path, first and count of its items, and how much it may do.
        items, seen: as `read_part` takes them.
    """

    about: dict[str, Any]
    items: bytes
    seen: bytes


class Split:
    """How one list is done in parts.

    Args:
        task: the `each`.
        items: the whole list.
        now: when it was begun.
        size: of a part.
    """

    def __init__(
        self, tree: Tree, task: Task, items: Sequence[Any], now: Mapping[str, Any], size: int
    ) -> None:
        self._tree = tree
        self._task = task
        self._items = items
        self._now = now
        self._size = size
        self.count = -(-len(items) // size)
        at_once = task.step.config.at_once
        self.beside = min(at_once, tree.limits.at_once, self.count)
        """How many parts are at work at the same time."""

    def path(self, number: int) -> str:
        first = number * self._size
        last = min(first + self._size, len(self._items)) - 1
        return f"{self._task.path}[{first}-{last}]"

    def indexes(self, number: int) -> range:
        first = number * self._size
        return range(first, min(first + self._size, len(self._items)))

    def step(self, number: int) -> StepPlan:
        """Return a part as a step that can be started."""
        each = self._task.step

        def prepare(config: Any, scope: Scope) -> bytes:
            return to_bytes(self._about(number))

        async def perform(request: bytes, work: Work) -> WaitFor:
            assert work.ports.runs is not None
            mine = self.indexes(number)
            order = PartOrder(
                from_bytes(request), to_bytes(self._items[mine.start : mine.stop]), self._seen
            )
            return WaitFor(frozen={"child": await work.ports.runs.start_part(work.path, order)})

        return replace(
            each,
            kind_name=KIND.name,
            kind=replace(KIND, prepare=prepare, perform=perform),
            step=self._stop,
            effect="none",
            limit_nano=None,
            timeout_s=KIND.timeout_s,
            retry=READING_RETRIES,
        )

    @cached_property
    def _stop(self) -> Step:
        """The rules of a part: what its failure means, the list says."""
        return Step(id=self._task.step.id, kind="each")

    def _about(self, number: int) -> dict[str, Any]:
        indexes, limits = self.indexes(number), self._tree.limits
        left = max(0, limits.steps - self._tree.executions)
        return {
            "step": self._task.step.id,
            "path": self._task.path,
            "first": indexes.start,
            "count": len(indexes),
            "beside": self.beside,
            "at_once": max(1, self._task.step.config.at_once // self.beside),
            "places": max(1, limits.at_once // self.beside),
            "steps": left + OWN_STEPS,
            "open": sorted(self._tree.open_parts - {self.path(number)}),
        }

    @cached_property
    def _seen(self) -> bytes:
        roots = {
            root: value
            for root in sorted(named_roots(self._task.step.step) - {self._task.step.id, "now"})
            if (value := self._task.scope.lookup([root])) is not None
        }
        told = self._task.block.owner.tells_inside(self._task)
        more = {} if told is None else {"told": told}
        return to_bytes({"roots": roots, "now": dict(self._now), **more})


def may_split(task: Task) -> bool:
    """Whether the items of a list may be done apart from each other and from the run.

    One purse is exact only in one run, and a signal that is sent to the run is heard there.
    """
    inner = list(_inside(task.step.step))
    if any(step.kind == "wait" and step.config.signal is not None for step in inner):
        return False
    return task.meter.left_nano is None or all(step.kind in FREE for step in inner)


def _inside(step: Step) -> Iterator[Step]:
    for block in step.blocks.values():
        for inner in block:
            yield inner
            yield from _inside(inner)


def named_roots(step: Step) -> set[str]:
    """Return the roots of all references in a step and in what lies inside it."""
    found: set[str] = set()
    waiting: list[Any] = [step.config.model_dump(by_alias=True)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            ref = value.get("value")
            if isinstance(ref, list | tuple) and ref and isinstance(ref[0], str):
                found.add(ref[0])
            waiting.extend(value.values())
        elif isinstance(value, list | tuple):
            waiting.extend(value)
    return found

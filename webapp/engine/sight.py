"""Which values can be seen where in a plan, and what is known of them.

One walk, used by the checks and by the picker of earlier values; `scheduler` keeps to the same
rules when it runs the plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from webapp.engine.callees import NOBODY, Callees, given_by_workflow
from webapp.engine.grammar import Field
from webapp.engine.plan import FAILURE, Plan, Step
from webapp.engine.steps import KINDS

ERROR = Field(
    name="error",
    label="What went wrong",
    type="record",
    fields=[
        Field(name="text", label="What went wrong", type="text"),
        Field(name="code", label="Code", type="text"),
        Field(name="attempts", label="Attempts", type="number"),
    ],
)
FAILED = Field(name="failed", label="Failed", type="boolean")
RUN = [
    Field(name="link", label="This run's link", type="text"),
    Field(name="started_by", label="Who started it", type="text"),
    Field(name="started_at", label="Started at", type="datetime"),
    Field(name="version", label="Version", type="number"),
    Field(name="rehearsal", label="Is a rehearsal", type="boolean"),
    Field(name="id", label="Run", type="text"),
]
NOW = [
    Field(name="today", label="Today", type="date"),
    Field(name="time", label="Now", type="datetime"),
    Field(name="zone", label="Time zone", type="text"),
]


@dataclass(frozen=True, slots=True)
class Sight:
    """What is known of one root.

    Attributes: fields: empty and `is_known` false: anything may be there; may_be_empty: the step
    may not have run.
    """

    root: str
    title: str
    fields: tuple[Field, ...] = ()
    is_known: bool = True
    may_be_empty: bool = False


Seen = dict[str, Sight]
Visit = Callable[[Step, Seen, Seen], None]
"""Gets a step, what can be seen by its settings, and what can be seen at the end of its own
block (by what an `each` collects, and a `repeat` looks at after a round)."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value that can be picked."""

    ref: tuple[str | int, ...]
    label: str
    type: str
    may_be_empty: bool


@dataclass(frozen=True, slots=True)
class ValueGroup:
    """Values of one step, or of Start, the run, or now."""

    root: str
    title: str
    values: tuple[Value, ...]


def values_at(
    plan: Plan, step_id: str = "", *, collected: bool = False, callees: Callees = NOBODY
) -> list[ValueGroup]:
    """Return what the settings of a step can use, nearest first; of the result, without a step.

    Args:
        plan: may be a draft.
        step_id: "" for what the plan's result can use.
        collected: at the end of the step's own block, as what an `each` collects sees it.
    """
    found: list[Seen] = []

    def look(step: Step, seen: Seen, inside: Seen) -> None:
        if step.id == step_id:
            found.append(dict(inside if collected else seen))

    end = walk(plan, look, callees)
    sights = list((found[0] if found else end).values())
    steps = [one for one in sights if one.root not in {"start", "run", "now"}]
    others = [one for one in sights if one.root in {"start", "run", "now"}]
    return [_group(one) for one in [*reversed(steps), *others] if one.fields]


def _group(sight: Sight) -> ValueGroup:
    values = tuple(
        value
        for field in sight.fields
        for value in _values(field, (sight.root,), sight.may_be_empty, depth=0)
    )
    return ValueGroup(sight.root, sight.title, values)


def _values(
    field: Field, ref: tuple[str | int, ...], may_be_empty: bool, depth: int
) -> Iterator[Value]:
    here = (*ref, str(field.name))
    empty = may_be_empty or not field.required
    yield Value(here, field.label or str(field.name), field.type, empty)
    if field.type == "record" and depth < 3:
        for inner in field.fields:
            yield from _values(inner, here, empty, depth + 1)


def walk(plan: Plan, visit: Visit, callees: Callees = NOBODY) -> Seen:
    """Visit each step with what it sees; return what the plan's result sees."""
    titles = {step.id: f"{n}. {title_of(step)}" for n, step in enumerate(plan.walk(), 1)}
    inputs = tuple(
        field.model_copy(update={"required": field.required or field.default is not None})
        for field in plan.inputs
    )
    seen: Seen = {
        "start": Sight("start", "Start", inputs),
        "run": Sight("run", "This run", tuple(RUN)),
        "now": Sight("now", "Now", tuple(NOW)),
    }
    _Walk(visit, titles, callees).block(plan.steps, seen)
    return seen


def title_of(step: Step) -> str:
    kind = KINDS.get(step.kind)
    return step.name or (kind.label if kind else step.kind)


class _Walk:
    def __init__(self, visit: Visit, titles: dict[str, str], callees: Callees) -> None:
        self.visit = visit
        self.titles = titles
        self.callees = callees

    def block(self, steps: list[Step], seen: Seen) -> None:
        """Visit the steps one after the other; `seen` grows by what they give."""
        for step in steps:
            before = dict(seen) if step.blocks else seen
            inside = self.blocks(step, seen)
            self.visit(step, before, inside if inside is not None else before)
            seen[step.id] = self.gives(step)

    def blocks(self, step: Step, seen: Seen) -> Seen | None:
        """Visit the blocks inside a step; add to `seen` what can be seen of them from behind."""
        own = {key: block for key, block in step.blocks.items() if key != FAILURE}
        inside: Seen | None = None
        if step.kind in {"each", "repeat"}:
            around = self.item(step) if step.kind == "each" else self.round(step)
            inside = {**seen, step.id: around}
            self.block(own.get("", []), inside)
        elif step.kind == "parallel":
            self.behind(seen, self.lanes(step, own, seen))
        else:
            for block in own.values():
                after = dict(seen)
                self.block(block, after)
                self.behind(seen, after)
        if FAILURE in step.blocks:
            failed = Sight(step.id, self.titles[step.id], (ERROR,))
            after = {**seen, step.id: failed}
            self.block(step.blocks[FAILURE], after)
            del after[step.id]
            self.behind(seen, after)
        return inside

    def behind(self, seen: Seen, after: Seen) -> None:
        for root, sight in after.items():
            if root not in seen:
                seen[root] = replace(sight, may_be_empty=True)

    def lanes(self, step: Step, own: dict[str, list[Step]], seen: Seen) -> Seen:
        """Visit lanes, each after those it needs; return everything they give."""
        needs = lane_needs(step)
        given: dict[str, Seen] = {}
        everything: Seen = {}
        for lane in in_order(needs, list(own)):
            after = dict(seen)
            for need in needs.get(lane, []):
                after.update(given.get(need, {}))
            self.block(own[lane], after)
            given[lane] = {root: sight for root, sight in after.items() if root not in seen}
            everything.update(given[lane])
        return everything

    def item(self, step: Step) -> Sight:
        fields = (
            Field(name="item", label="This item", type="any"),
            Field(name="index", label="Its place in the list", type="number"),
        )
        return Sight(step.id, self.titles[step.id], fields)

    def round(self, step: Step) -> Sight:
        carried = [
            Field.model_construct(
                name=one["name"], label=str(one.get("label") or ""), type=one.get("type", "any")
            )
            for one in carries(step)
            if isinstance(one.get("name"), str)
        ]
        fields = (
            Field(name="round", label="This round", type="number"),
            Field(name="carry", label="Handed on", type="record", fields=carried),
        )
        return Sight(step.id, self.titles[step.id], fields)

    def gives(self, step: Step) -> Sight:
        fields, is_known = given(step, self.callees)
        handled = step.on_failure.do != "stop"
        if handled:
            fields = [*fields, FAILED, *([ERROR] if FAILURE in step.blocks else [])]
        return Sight(step.id, self.titles[step.id], tuple(fields), is_known, step.off or handled)


def given(step: Step, callees: Callees = NOBODY) -> tuple[list[Field], bool]:
    """Return the fields of a step's result, and whether that is all of them."""
    kind = KINDS.get(step.kind)
    if kind is None:
        return [], False
    if kind.name == "workflow":
        return given_by_workflow(step, callees)
    if step.config is not None:
        fields = kind.gives(step.config)
        return fields, bool(fields) or kind.name in {"stop", "wait"}
    try:
        # A draft's settings may lack something that has nothing to do with what the step gives.
        loose = kind.config.model_construct(None, **step.with_)
        return list(kind.gives(loose)), False
    except (AttributeError, TypeError, ValidationError):
        return [], False


def carries(step: Step) -> list[dict[str, Any]]:
    """Return what a `repeat` hands from round to round; also of a draft."""
    if step.config is not None:
        return [one.model_dump(include={"name", "label", "type"}) for one in step.config.carry]
    found = step.with_.get("carry") if isinstance(step.with_, dict) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def lane_needs(step: Step) -> dict[str, list[str]]:
    """Return the lanes that each lane of a `parallel` needs; also of a draft."""
    lanes = step.with_.get("lanes") if isinstance(step.with_, dict) else None
    if lanes is None:
        lanes = [lane.model_dump(include={"id", "needs"}) for lane in step.config.lanes]
    needs: dict[str, list[str]] = {}
    for lane in lanes if isinstance(lanes, list) else []:
        if isinstance(lane, dict) and isinstance(lane.get("id"), str):
            found = lane.get("needs")
            needs[lane["id"]] = [n for n in found if isinstance(n, str)] if found else []
    return needs


def in_order(needs: dict[str, list[str]], lanes: list[str]) -> list[str]:
    """Return the lanes, each after those it needs as far as that is possible."""
    order: dict[str, None] = {}
    open_: set[str] = set()

    def put(lane: str) -> None:
        if lane in order or lane in open_ or lane not in lanes:
            return
        open_.add(lane)
        for need in needs.get(lane, []):
            put(need)
        order[lane] = None

    for lane in lanes:
        put(lane)
    return list(order)


def cycle_in(needs: dict[str, list[str]]) -> list[str]:
    """Return lanes that need each other in a circle, or an empty list."""
    done: set[str] = set()

    def follow(lane: str, trail: list[str]) -> list[str]:
        if lane in trail:
            return trail[trail.index(lane) :]
        if lane in done:
            return []
        for need in needs.get(lane, []):
            if found := follow(need, [*trail, lane]):
                return found
        done.add(lane)
        return []

    for lane in needs:
        if found := follow(lane, []):
            return found
    return []

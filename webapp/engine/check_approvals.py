"""Whether those who are asked are known, and whether what they send back can be done again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from webapp.engine.changes import steps_again
from webapp.engine.plan import Plan, Step
from webapp.engine.steps import KINDS
from webapp.engine.steps.approval import Config, most_named
from webapp.engine.steps.asking import PassOn, SoMany

Finding = tuple[Literal["todo", "broken", "look"], Step, str, str, str]
"""Kind, step, field, code and text of a check."""
MOST_INSIDE = 4
"""Rounds in rounds; deeper ones would make paths longer than the journal takes."""


def check_approvals(plan: Plan, places: Mapping[str, int]) -> Iterator[Finding]:
    """Yield what is to be said about the plan's approvals.

    Args:
        places: the number of each step of the plan, as pages show it.
    """
    yield from _in_block(plan.steps, places, 0)


def _in_block(block: Sequence[Step], places: Mapping[str, int], depth: int) -> Iterator[Finding]:
    ranges = [steps_again(block, one) if one.kind == "approval" else [] for one in block]
    for step, again, rounds in zip(block, ranges, _rounds_around(ranges), strict=True):
        if step.kind == "approval" and not step.off:
            yield from _people(step)
            yield from _passed_on(step)
            yield from _way_back(step, block, places)
            yield from _done_again(step, again, places)
            if again and depth + rounds > MOST_INSIDE:
                text = (
                    f"it lies in rounds of too many others: at most {MOST_INSIDE} may send back "
                    "the same steps"
                )
                yield "todo", step, "with.back_to", "C-DEPTH", text
        for inner in step.blocks.values():
            yield from _in_block(inner, places, depth + rounds)


def _rounds_around(ranges: Sequence[Sequence[Step]]) -> list[int]:
    """Return in how many rounds, one in the other, each step of a block may lie."""
    inside: dict[int, int] = {}
    deepest = []
    for place in reversed(range(len(ranges))):  # approvals that come later lie outside
        first = {one: one + 1 - len(ranges[one]) for one in inside}
        around = max((n for one, n in inside.items() if first[one] <= place), default=0)
        if ranges[place]:
            inside[place] = around = around + 1
        deepest.append(around)
    return deepest[::-1]


def _people(step: Step) -> Iterator[Finding]:
    for field, one in _asked(step):
        if "group" in one:
            text = "there are no groups here yet: choose people or a role"
            yield "todo", step, field, "C-GROUP-UNKNOWN", text


def _passed_on(step: Step) -> Iterator[Finding]:
    """Those who agreed before it was passed on do not count any more."""
    asks = step.config
    if not (isinstance(asks, Config) and isinstance(asks.at_due, PassOn)):
        return
    named = most_named(asks.at_due.pass_to, asks.not_starter)
    need = asks.need.n if isinstance(asks.need, SoMany) else 1
    if named is not None and need > named:
        text = (
            f"{need} must agree, but it is passed on to {named or 'nobody'} who may: name more, or "
            "ask fewer"
        )
        yield "todo", step, "with.at_due.pass_to", "C-NEED-MORE", text


def people_asked(step: Step) -> Iterator[tuple[str, str]]:
    """Yield each person whom an approval names, with the field that does."""
    if step.kind == "approval" and not step.off:
        for field, one in _asked(step):
            if isinstance(person := one.get("person"), str):
                yield field, person


def _asked(step: Step) -> Iterator[tuple[str, dict[str, Any]]]:
    settings = _settings(step)
    at_due = settings.get("at_due")
    passed_on = at_due.get("pass_to") if isinstance(at_due, dict) else None
    for key, named in (("with.who", settings.get("who")), ("with.at_due.pass_to", passed_on)):
        for n, one in enumerate(named if isinstance(named, list) else []):
            if isinstance(one, dict):
                yield f"{key}.{n}", one
    if isinstance(deputy := settings.get("deputy"), dict):
        yield "with.deputy", deputy


def _way_back(step: Step, block: Sequence[Step], places: Mapping[str, int]) -> Iterator[Finding]:
    back_to = _settings(step).get("back_to")
    if back_to is None:
        return
    ids = [one.id for one in block]
    if back_to not in places:
        text = "asking for changes goes back to a step that no longer exists: choose another"
        yield "broken", step, "with.back_to", "C-BACK-GONE", text
    elif back_to not in ids or ids.index(back_to) >= ids.index(step.id):
        text = (
            f"asking for changes goes back to step {places[back_to]}, which is not before it in "
            "the same block: choose an earlier one"
        )
        yield "broken", step, "with.back_to", "C-BACK-LATER", text


def _done_again(step: Step, again: Sequence[Step], places: Mapping[str, int]) -> Iterator[Finding]:
    if not again:
        return
    if not any(one.kind == "agent" for one in _walk(again[:1])):
        text = (
            f"step {places[again[0].id]} is done again when changes are asked for, but only an "
            "agent reads what is to be changed"
        )
        yield "look", step, "with.back_to", "C-BACK-NO-AGENT", text
    for one in _walk(again):
        if not one.off and one.config is not None and _acts(one):
            text = (
                f"step {places[one.id]} changes something outside, and is done again each time "
                "changes are asked for"
            )
            yield "look", step, "with.back_to", "C-BACK-SENDS", text
            return


def _acts(step: Step) -> bool:
    return KINDS[step.kind].effect(step.config).value != "none"


def _walk(steps: Sequence[Step]) -> Iterator[Step]:
    for step in steps:
        yield step
        for block in step.blocks.values():
            yield from _walk(block)


def _settings(step: Step) -> dict[str, Any]:
    """Return the settings of a step, also of one in which some are missing."""
    if step.config is not None:
        return dict(step.config.model_dump(by_alias=True))
    return step.with_ if isinstance(step.with_, dict) else {}

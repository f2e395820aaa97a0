"""The workflows that a plan's steps run: what they ask for and give, and whether they come back.

A version never changes, so what is known of one is read once a process.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, tuple_

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.engine.callees import NOBODY, Call, Callee, Callees, call_of
from webapp.engine.grammar import Field
from webapp.engine.plan import Plan, PlanError, Step, load_plan
from webapp.engine.steps.workflow import MOST_DEPTH
from webapp.kernel.errors import NotFound
from webapp.kernel.ids import parse_id, public_id
from webapp.workflows import queries
from webapp.workflows.blocks import Doc, places
from webapp.workflows.models import Version, Workflow

_MOST_CHOICES: Final = 500
_MOST_VERSIONS: Final = 50
_MOST_FOLLOWED: Final = 200
"""Workflows that are looked at for a circle; a run may go ten deep at most anyway."""


@dataclass(frozen=True, slots=True)
class _Outline:
    """What a version asks for, gives, and runs."""

    inputs: tuple[Field, ...]
    result: tuple[Field, ...]
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    callee: Callee
    version_id: UUID | None = None


@requires(Permission.VIEW_WORKFLOWS)
def known_to(ctx: Context, plan: Plan, own: UUID | None = None) -> Callees:
    """Return what the organization has of the workflows that the plan's steps run.

    Args:
        own: the workflow that the plan is of, so that a circle is seen.
    """
    calls = _calls_of(plan.walk())
    if not calls:
        return NOBODY
    home = public_id("wf", own) if own is not None else ""
    found: dict[Call, _Found] = {}
    outlines: dict[Call, _Outline] = {}
    fresh: Sequence[Call] = calls
    for _ in range(MOST_DEPTH):
        fresh = [call for call in dict.fromkeys(fresh) if call not in found][:_MOST_FOLLOWED]
        if not fresh or len(found) > _MOST_FOLLOWED:
            break
        level = _find(ctx, fresh)
        found |= level
        outlines |= _outlines_of(ctx, level)
        fresh = [inner for call in fresh if call in outlines for inner in outlines[call].calls]
    return {call: _callee(call, found, outlines, home) for call in calls if call in found}


@requires(Permission.VIEW_WORKFLOWS)
def names_in(ctx: Context, *documents: Doc | None) -> dict[str, str]:
    """Return the names of the workflows that steps of these plans run, by their ids."""
    steps = (place.step for document in documents for place in places(document or {}))
    named = {str((step.get("with") or {}).get("workflow") or "") for step in steps}
    ids = {text: found for text in named if (found := _id_of(text)) is not None}
    names = queries.names_of(ctx, list(ids.values())) if ids else {}
    return {text: names[found] for text, found in ids.items() if found in names}


def _calls_of(steps: Iterable[Step]) -> tuple[Call, ...]:
    calls = (call_of(step) for step in steps)
    return tuple(dict.fromkeys(call for call in calls if call is not None))


def _callee(
    call: Call, found: dict[Call, _Found], outlines: dict[Call, _Outline], home: str
) -> Callee:
    callee, outline = found[call].callee, outlines.get(call)
    circle = _circle(call, found, outlines, (home, "live"))
    if outline is None:
        return replace(callee, circle=circle)
    return replace(callee, inputs=outline.inputs, result=outline.result, circle=circle)


def _circle(
    start: Call, found: dict[Call, _Found], outlines: dict[Call, _Outline], home: Call
) -> tuple[str, ...] | None:
    """Return the names on the way from `start` to `home`, None when none leads there."""
    ways: list[tuple[Call, ...]] = [(start,)]
    seen = {start}
    for way in ways:
        if way[-1] == home:
            return tuple(found[call].callee.name for call in way[:-1] if call in found)
        outline = outlines.get(way[-1])
        for call in outline.calls if outline is not None else ():
            if call not in seen:
                seen.add(call)
                ways.append((*way, call))
    return None


def _find(ctx: Context, calls: Sequence[Call]) -> dict[Call, _Found]:
    """Return the version that each call means, or what there is not."""
    ids = {call: workflow for call in calls if (workflow := _id_of(call[0])) is not None}
    rows = ctx.session.execute(
        select(Workflow.id, Workflow.name, Workflow.live_version_id).where(
            Workflow.id.in_(set(ids.values())), Workflow.deleted_at.is_(None)
        )
    ).all()
    there = {row[0]: (row[1], row[2]) for row in rows}
    numbered = _numbered(ctx, {(ids[call], call[1]) for call in ids if call[1] != "live"})
    found = {}
    for call in calls:
        workflow = ids.get(call)
        if workflow is None or workflow not in there:
            found[call] = _Found(Callee(lack="workflow"))
            continue
        name, version = there[workflow]
        if call[1] != "live":
            version = numbered.get((workflow, call[1]))
        if version is not None:
            found[call] = _Found(Callee(name), version)
        else:
            found[call] = _Found(Callee(name, lack="live" if call[1] == "live" else "version"))
    return found


def _numbered(ctx: Context, wanted: set[Any]) -> dict[tuple[UUID, Any], UUID]:
    wanted = {(workflow, number) for workflow, number in wanted if 0 < number < 2**31}
    if not wanted:
        return {}
    which = tuple_(Version.workflow_id, Version.number).in_(wanted)
    query = select(Version.workflow_id, Version.number, Version.id).where(which)
    return {(row[0], row[1]): row[2] for row in ctx.session.execute(query)}


def _id_of(text: str) -> UUID | None:
    try:
        return parse_id("wf", text)
    except NotFound:
        return None


# What is known of versions

_MOST_KEPT: Final = 1_000
_kept: OrderedDict[UUID, _Outline] = OrderedDict()
_lock = threading.Lock()


def _outlines_of(ctx: Context, found: dict[Call, _Found]) -> dict[Call, _Outline]:
    wanted = {one.version_id for one in found.values() if one.version_id is not None}
    known = _known(wanted)
    if missing := wanted - known.keys():
        query = select(Version.id, Version.plan).where(Version.id.in_(missing))
        known |= _learn((row[0], row[1]) for row in ctx.session.execute(query))
    return {call: known[one.version_id] for call, one in found.items() if one.version_id in known}


def _known(wanted: Iterable[UUID]) -> dict[UUID, _Outline]:
    with _lock:
        return {version: _kept[version] for version in wanted if version in _kept}


def _learn(rows: Iterable[tuple[UUID, Any]]) -> dict[UUID, _Outline]:
    learned = {version: _outline(document) for version, document in rows}
    with _lock:
        _kept.update(learned)
        while len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)
    return learned


def _outline(document: Any) -> _Outline:
    try:
        plan = load_plan(document)
    except PlanError:  # of a later format: another process put it live
        return _Outline((), (), ())
    on = (step for step in plan.walk() if not step.off)
    result = [Field(name=one.name, label=one.label, type=one.type) for one in plan.result]
    return _Outline(tuple(plan.inputs), tuple(result), _calls_of(on))


# What can be chosen


@requires(Permission.VIEW_WORKFLOWS)
def choices(ctx: Context, own: UUID) -> list[tuple[str, str]]:
    """Return id and name of the workflows that a step of `own` can run, by name."""
    is_one = Workflow.live_version_id.is_not(None) & Workflow.deleted_at.is_(None)
    query = select(Workflow.id, Workflow.name).where(is_one, Workflow.id != own)
    rows = ctx.session.execute(query.order_by(func.lower(Workflow.name)).limit(_MOST_CHOICES))
    return [(public_id("wf", row[0]), row[1]) for row in rows]


@requires(Permission.VIEW_WORKFLOWS)
def numbers_of(ctx: Context, workflow: str) -> list[int]:
    """Return the numbers of the workflow's versions, newest first."""
    workflow_id = _id_of(workflow)
    if workflow_id is None:
        return []
    query = select(Version.number).where(
        Version.workflow_id == workflow_id, Version.number.is_not(None)
    )
    found = ctx.session.scalars(query.order_by(Version.number.desc()).limit(_MOST_VERSIONS))
    return [number for number in found if number is not None]

"""Change a draft: one operation, one undoable entry, one new revision.

Every operation says in words what it did; `history` keeps what undo needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final
from uuid import UUID

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.kernel.errors import Conflict
from webapp.workflows import blocks, callees, history, queries
from webapp.workflows.blocks import Slot
from webapp.workflows.models import Draft
from webapp.workflows.plans import Doc, Finding, digest, findings, read
from webapp.workflows.starting import new_step
from webapp.workflows.wording import step_title

ENDS: Final = {
    "start": ("inputs", "what Start asks for"),
    "result": ("result", "the result"),
    "limits": ("limits", "the limits of a run"),
}
"""Parts of a plan that are no steps and have forms too: their key, and what they are called."""


@requires(Permission.VIEW_WORKFLOWS)
def get_draft(ctx: Context, workflow_id: UUID) -> Draft:
    return queries.draft_of(ctx, workflow_id)


@requires(Permission.VIEW_WORKFLOWS)
def check(ctx: Context, workflow_id: UUID, plan: Doc | None = None) -> list[Finding]:
    """Return what is left to do in `plan`, else in the draft.

    Raises:
        Invalid: `plan` is no plan at all.
    """
    queries.overview(ctx, workflow_id)
    doc = plan or queries.draft_of(ctx, workflow_id).plan
    found = read(doc)
    return findings(ctx, found, doc, callees.known_to(ctx, found, workflow_id))


@requires(Permission.EDIT_WORKFLOWS)
def save_plan(ctx: Context, workflow_id: UUID, plan: Doc, rev: int) -> Draft:
    """Replace the whole plan.

    Raises:
        Conflict: the draft has another revision than `rev`.
        Invalid: it is no plan.
    """
    edit = history.replacement(plan, "Replaced the whole plan")
    return history.change(ctx, workflow_id, edit, rev=rev)


@requires(Permission.EDIT_WORKFLOWS)
def add_step(ctx: Context, workflow_id: UUID, kind: str, slot: str, tool: str = "") -> str:
    """Put a new step of `kind` at `slot` and return its id."""
    made: list[Doc] = []

    def add(doc: Doc, ids: Iterator[str]) -> str:
        made.append(new_step(kind, next(ids), tool))
        _name_apart(doc, made[0])
        blocks.insert(doc, Slot.parse(slot), made[0])
        return f"Added “{step_title(made[0])}”"

    history.change(ctx, workflow_id, add)
    return str(made[0]["id"])


@requires(Permission.EDIT_WORKFLOWS)
def move_step(ctx: Context, workflow_id: UUID, step_id: str, slot: str) -> Draft:
    def move(doc: Doc, _: Iterator[str]) -> str:
        blocks.move(doc, step_id, Slot.parse(slot))
        return f"Moved “{step_title(blocks.step_of(doc, step_id))}”"

    return history.change(ctx, workflow_id, move)


@requires(Permission.EDIT_WORKFLOWS)
def shift_step(ctx: Context, workflow_id: UUID, step_id: str, *, down: bool) -> Draft:
    """Move the step one place up or down in its block; at the end nothing happens."""

    def shift(doc: Doc, _: Iterator[str]) -> str:
        to = blocks.neighbors(doc, step_id)[1 if down else 0]
        if to is not None:
            blocks.move(doc, step_id, to)
        word = "down" if down else "up"
        return f"Moved “{step_title(blocks.step_of(doc, step_id))}” {word}"

    return history.change(ctx, workflow_id, shift)


@requires(Permission.EDIT_WORKFLOWS)
def duplicate_step(ctx: Context, workflow_id: UUID, step_id: str) -> str:
    """Put a copy behind the step, with all that is inside it, and return the copy's id."""
    made: list[str] = []

    def duplicate(doc: Doc, ids: Iterator[str]) -> str:
        place = blocks.place_of(doc, step_id)
        copied = blocks.copy_of(place.step, ids)
        made.append(copied["id"])
        _name_apart(doc, copied)
        slot = place.slot
        blocks.insert(doc, Slot(slot.parent, slot.lane, slot.index + 1), copied)
        return f"Duplicated “{step_title(copied)}”"

    history.change(ctx, workflow_id, duplicate)
    return made[0]


@requires(Permission.EDIT_WORKFLOWS)
def delete_step(ctx: Context, workflow_id: UUID, step_id: str) -> Draft:
    def remove(doc: Doc, _: Iterator[str]) -> str:
        step, _slot = blocks.remove(doc, step_id)
        return f"Deleted “{step_title(step)}”"

    return history.change(ctx, workflow_id, remove)


@requires(Permission.EDIT_WORKFLOWS)
def switch_step(ctx: Context, workflow_id: UUID, step_id: str, *, off: bool) -> Draft:
    def switch(doc: Doc, _: Iterator[str]) -> str:
        step = blocks.step_of(doc, step_id)
        step["off"] = off
        return f"Turned {'off' if off else 'on'} “{step_title(step)}”"

    return history.change(ctx, workflow_id, switch)


@requires(Permission.EDIT_WORKFLOWS)
def change_step(
    ctx: Context, workflow_id: UUID, step_id: str, step: Doc, was: str | None = None
) -> Draft:
    """Replace a step's own settings; the steps inside it stay as they are now.

    Args:
        step: the step as it should be; blocks it names keep their present steps.
        was: `fingerprint` of the step the change was made for, None to skip the comparison.

    Raises:
        Conflict: somebody else changed this step meanwhile.
    """

    def change(doc: Doc, _: Iterator[str]) -> str:
        present, changed = fingerprint(doc, step_id), with_change(doc, step_id, step)
        if was not in {None, present} and fingerprint(changed, step_id) != present:
            raise Conflict("E-STEP-CHANGED", what="This step")
        doc.update(changed)
        return f"Changed “{step_title(blocks.step_of(doc, step_id))}”"

    return history.change(ctx, workflow_id, change, one_go=step_id)


@requires(Permission.EDIT_WORKFLOWS)
def note_step(ctx: Context, workflow_id: UUID, step_id: str, note: str) -> Draft:
    """Write the step's note, or take it away with ""."""

    def write(doc: Doc, _: Iterator[str]) -> str:
        step = blocks.step_of(doc, step_id)
        step.pop("note", None)
        if note:
            step["note"] = note
        return f"{'Noted at' if note else 'Removed the note of'} “{step_title(step)}”"

    return history.change(ctx, workflow_id, write)


@requires(Permission.EDIT_WORKFLOWS)
def change_end(
    ctx: Context, workflow_id: UUID, end: str, value: Any, was: str | None = None
) -> Draft:
    """Replace one of `ENDS`.

    Args:
        was: `fingerprint` of what the change was made for, None to skip the comparison.

    Raises:
        Conflict: somebody else changed it meanwhile.
    """
    _, what = ENDS[end]

    def change(doc: Doc, _: Iterator[str]) -> str:
        present, changed = fingerprint(doc, end), with_change(doc, end, value)
        if was not in {None, present} and fingerprint(changed, end) != present:
            raise Conflict("E-STEP-CHANGED", what=f"{what[:1].upper()}{what[1:]}")
        doc.update(changed)
        return f"Changed {what}"

    return history.change(ctx, workflow_id, change, one_go=end)


def with_change(doc: Doc, place: str, value: Any) -> Doc:
    """Return a copy in which a step, or one of `ENDS`, is `value`; blocks keep their steps."""
    changed = deepcopy(doc)
    if place in ENDS:
        key, _ = ENDS[place]
        return changed if not value and key not in doc else {**changed, key: value}
    present = blocks.step_of(changed, place)
    own = {**with_present_blocks(value, present), "id": place}
    present.clear()
    present.update(own)
    return changed


def fingerprint(doc: Doc, place: str) -> str:
    """Return what changes when the own settings of a step, or one of `ENDS`, change.

    Raises:
        NotFound: no such step.
    """
    if place in ENDS:
        key, _ = ENDS[place]
        return digest({key: doc.get(key) or None})[:16]
    return _own_digest(blocks.step_of(doc, place))


def _own_digest(step: Doc) -> str:
    """Leave out the steps inside: they have their own."""
    own = with_present_blocks(step, {"kind": step.get("kind")})
    return digest({**own, "off": bool(step.get("off"))})[:16]


def with_present_blocks(step: Doc, present: Doc) -> Doc:
    """Return a copy of `step` in which each block holds the steps it has in `present`."""
    now_inside = {key: inside for key, _, inside in blocks.inner_blocks(present)}
    copied = deepcopy(step)
    for key, _, inside in blocks.inner_blocks(copied, to_change=True):
        inside[:] = now_inside.get(key, [])
    return copied


def _name_apart(doc: Doc, step: Doc) -> None:
    """Number a new step whose name another one has, so that its values can be told apart."""
    taken = {step_title(place.step) for place in blocks.places(doc)}
    title = stem = step_title(step)
    number = 1
    while title in taken:
        number += 1
        title = f"{stem[:74]} {number}"
    if title != stem:
        step["name"] = title

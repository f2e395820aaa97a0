"""Change a draft: one operation, one undoable entry, one new revision.

Every operation says in words what it did; undo and redo go back and forth over the last hundred.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, select

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.kernel.clock import now
from webapp.kernel.errors import Conflict
from webapp.workflows import blocks, changes, queries
from webapp.workflows.blocks import Slot
from webapp.workflows.models import Draft, DraftChange, Workflow
from webapp.workflows.plans import Doc, Finding, digest, findings, structural
from webapp.workflows.starting import new_branch, new_step
from webapp.workflows.wording import step_title

KEPT_CHANGES: Final = 100
_ONE_GO: Final = timedelta(seconds=60)
"""Saves of one step within this time are one entry for undo: people type, then pause."""

Edit = Callable[[Doc, Iterator[str]], str]
"""Changes the document in place and says what it did; draws ids for new steps."""


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
    return findings(structural(plan) if plan else queries.draft_of(ctx, workflow_id).plan)


@requires(Permission.EDIT_WORKFLOWS)
def save_plan(ctx: Context, workflow_id: UUID, plan: Doc, rev: int) -> Draft:
    """Replace the whole plan.

    Raises:
        Conflict: the draft has another revision than `rev`.
        Invalid: it is no plan.
    """

    def replace(doc: Doc, _: Iterator[str]) -> str:
        doc.clear()
        doc.update(deepcopy(plan))
        return "Replaced the whole plan"

    return _change(ctx, workflow_id, replace, rev=rev)


@requires(Permission.EDIT_WORKFLOWS)
def add_step(ctx: Context, workflow_id: UUID, kind: str, slot: str, tool: str = "") -> str:
    """Put a new step of `kind` at `slot` and return its id."""
    made: list[Doc] = []

    def add(doc: Doc, ids: Iterator[str]) -> str:
        made.append(new_step(kind, next(ids), tool))
        _name_apart(doc, made[0])
        blocks.insert(doc, Slot.parse(slot), made[0])
        return f"Added “{step_title(made[0])}”"

    _change(ctx, workflow_id, add)
    return str(made[0]["id"])


@requires(Permission.EDIT_WORKFLOWS)
def move_step(ctx: Context, workflow_id: UUID, step_id: str, slot: str) -> Draft:
    def move(doc: Doc, _: Iterator[str]) -> str:
        blocks.move(doc, step_id, Slot.parse(slot))
        return f"Moved “{step_title(blocks.step_of(doc, step_id))}”"

    return _change(ctx, workflow_id, move)


@requires(Permission.EDIT_WORKFLOWS)
def shift_step(ctx: Context, workflow_id: UUID, step_id: str, *, down: bool) -> Draft:
    """Move the step one place up or down in its block; at the end nothing happens."""

    def shift(doc: Doc, _: Iterator[str]) -> str:
        to = blocks.neighbors(doc, step_id)[1 if down else 0]
        if to is not None:
            blocks.move(doc, step_id, to)
        word = "down" if down else "up"
        return f"Moved “{step_title(blocks.step_of(doc, step_id))}” {word}"

    return _change(ctx, workflow_id, shift)


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

    _change(ctx, workflow_id, duplicate)
    return made[0]


@requires(Permission.EDIT_WORKFLOWS)
def delete_step(ctx: Context, workflow_id: UUID, step_id: str) -> Draft:
    def remove(doc: Doc, _: Iterator[str]) -> str:
        step, _slot = blocks.remove(doc, step_id)
        return f"Deleted “{step_title(step)}”"

    return _change(ctx, workflow_id, remove)


@requires(Permission.EDIT_WORKFLOWS)
def switch_step(ctx: Context, workflow_id: UUID, step_id: str, *, off: bool) -> Draft:
    def switch(doc: Doc, _: Iterator[str]) -> str:
        step = blocks.step_of(doc, step_id)
        step["off"] = off
        return f"Turned {'off' if off else 'on'} “{step_title(step)}”"

    return _change(ctx, workflow_id, switch)


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
        present = blocks.step_of(doc, step_id)
        changed = {**with_present_blocks(step, present), "id": step_id}
        is_new = fingerprint(changed) != fingerprint(present)
        if was is not None and is_new and was != fingerprint(present):
            raise Conflict("E-STEP-CHANGED")
        present.clear()
        present.update(changed)
        return f"Changed “{step_title(present)}”"

    return _change(ctx, workflow_id, change, one_go=step_id)


@requires(Permission.EDIT_WORKFLOWS)
def set_field(ctx: Context, workflow_id: UUID, step_id: str, pointer: str, value: Any) -> Draft:
    """Set one setting of a step by its pointer, such as "with.url" or "name"."""

    def change(doc: Doc, _: Iterator[str]) -> str:
        step = blocks.step_of(doc, step_id)
        *way, last = pointer.split(".")
        holder: Any = step
        for key in way:
            holder = holder[int(key)] if isinstance(holder, list) else holder.setdefault(key, {})
        holder[int(last) if isinstance(holder, list) else last] = value
        return f"Changed “{step_title(step)}”"

    return _change(ctx, workflow_id, change, one_go=step_id)


@requires(Permission.EDIT_WORKFLOWS)
def add_branch(ctx: Context, workflow_id: UUID, step_id: str) -> Draft:
    """Add a branch to an If, or a lane to a step that works at the same time."""

    def add(doc: Doc, _: Iterator[str]) -> str:
        step = blocks.step_of(doc, step_id)
        what = new_branch(step)
        return f"Added a {what} to “{step_title(step)}”"

    return _change(ctx, workflow_id, add)


@requires(Permission.EDIT_WORKFLOWS)
def remove_branch(ctx: Context, workflow_id: UUID, step_id: str, branch_id: str) -> Draft:
    """Remove a branch or lane with the steps in it."""

    def remove(doc: Doc, _: Iterator[str]) -> str:
        step = blocks.step_of(doc, step_id)
        listed = blocks.LISTED.get(step["kind"], "branches")
        kept = [one for one in step["with"].get(listed, []) if one.get("id") != branch_id]
        step["with"][listed] = kept
        for one in kept:
            if branch_id in one.get("needs", []):
                one["needs"] = [need for need in one["needs"] if need != branch_id]
        return f"Removed a {'lane' if listed == 'lanes' else 'branch'} of “{step_title(step)}”"

    return _change(ctx, workflow_id, remove)


@requires(Permission.EDIT_WORKFLOWS)
def change_inputs(ctx: Context, workflow_id: UUID, inputs: list[Doc]) -> Draft:
    def change(doc: Doc, _: Iterator[str]) -> str:
        doc["inputs"] = inputs
        return "Changed what Start asks for"

    return _change(ctx, workflow_id, change, one_go="start")


@requires(Permission.EDIT_WORKFLOWS)
def change_result(ctx: Context, workflow_id: UUID, result: list[Doc]) -> Draft:
    def change(doc: Doc, _: Iterator[str]) -> str:
        doc["result"] = result
        return "Changed the result"

    return _change(ctx, workflow_id, change, one_go="result")


@requires(Permission.VIEW_WORKFLOWS)
def undoable(ctx: Context, workflow_id: UUID) -> tuple[str, str]:
    """Return what undo and redo would do, in words; "" when there is nothing."""
    query = select(DraftChange.n, DraftChange.undone, DraftChange.say)
    rows = ctx.session.execute(
        query.where(DraftChange.workflow_id == workflow_id).order_by(DraftChange.n)
    ).all()
    done = [row.say for row in rows if not row.undone]
    undone = [row.say for row in rows if row.undone]
    return (done[-1] if done else ""), (undone[0] if undone else "")


@requires(Permission.EDIT_WORKFLOWS)
def undo(ctx: Context, workflow_id: UUID) -> str:
    """Take the last change back and return what it was.

    Raises:
        Conflict: there is nothing to undo.
    """
    queries.overview(ctx, workflow_id)
    draft = queries.draft_of(ctx, workflow_id, to_change=True)
    entry = _entry(ctx, workflow_id, undone=False)
    if entry is None:
        raise Conflict("E-UNDO", what="undo")
    _put(ctx, draft, changes.applied(draft.plan, entry.after, entry.before))
    entry.undone = True
    return entry.say


@requires(Permission.EDIT_WORKFLOWS)
def redo(ctx: Context, workflow_id: UUID) -> str:
    """Do the change that was undone last again and return what it was.

    Raises:
        Conflict: nothing was undone.
    """
    queries.overview(ctx, workflow_id)
    draft = queries.draft_of(ctx, workflow_id, to_change=True)
    entry = _entry(ctx, workflow_id, undone=True)
    if entry is None:
        raise Conflict("E-UNDO", what="redo")
    _put(ctx, draft, changes.applied(draft.plan, entry.before, entry.after))
    entry.undone = False
    return entry.say


def replace_draft(ctx: Context, workflow_id: UUID, plan: Doc, say: str) -> Draft:
    """For `publishing`, which has asked for the permission: make `plan` the draft."""

    def replace(doc: Doc, _: Iterator[str]) -> str:
        doc.clear()
        doc.update(deepcopy(plan))
        return say

    return _change(ctx, workflow_id, replace)


def fingerprint(step: Doc) -> str:
    """Return what changes when the step's own settings change, and not with steps inside it."""
    own = with_present_blocks(step, {"kind": step.get("kind")})
    return digest({**own, "off": bool(step.get("off"))})[:16]


def with_present_blocks(step: Doc, present: Doc) -> Doc:
    """Return a copy of `step` in which each block holds the steps it has in `present`."""
    now_inside = {key: inside for key, _, inside in blocks.inner_blocks(present)}
    copied = deepcopy(step)
    for key, _, inside in blocks.inner_blocks(copied, to_change=True):
        inside[:] = now_inside.get(key, [])
    return copied


def _change(
    ctx: Context, workflow_id: UUID, edit: Edit, *, rev: int | None = None, one_go: str = ""
) -> Draft:
    workflow = queries.overview(ctx, workflow_id).workflow
    draft = queries.draft_of(ctx, workflow_id, to_change=True)
    if rev is not None and rev != draft.rev:
        raise Conflict("E-CONFLICT", rev=rev, now=draft.rev)
    doc, ids = deepcopy(draft.plan), _Ids(draft.next_id)
    say = edit(doc, ids)
    structural(doc)
    if digest(doc) == draft.plan_sha:
        return draft
    draft.next_id = max(ids.number, blocks.first_free_number(doc))
    _remember(ctx, draft, doc, say[:200], one_go)
    _put(ctx, draft, doc)
    workflow.changed_at = draft.changed_at
    return draft


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


class _Ids:
    """New step ids, never one that was there before."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __iter__(self) -> _Ids:
        return self

    def __next__(self) -> str:
        self.number += 1
        return f"s_{self.number - 1}"


def _put(ctx: Context, draft: Draft, doc: Doc) -> None:
    draft.plan, draft.plan_sha = doc, digest(doc)
    draft.rev += 1
    draft.changed_at = now()
    workflow = ctx.session.get(Workflow, draft.workflow_id)
    if workflow is not None:
        workflow.changed_at = draft.changed_at
    ctx.session.flush()


def _remember(ctx: Context, draft: Draft, doc: Doc, say: str, one_go: str) -> None:
    of_this = DraftChange.workflow_id == draft.workflow_id
    ctx.session.execute(delete(DraftChange).where(of_this, DraftChange.undone))
    last = _entry(ctx, draft.workflow_id, undone=False)
    by = ctx.actor.name[:120]
    if last and one_go and _goes_on(last, say, by):
        start = changes.applied(draft.plan, last.after, last.before)
        last.before, last.after = changes.between(start, doc)
        return
    before, after = changes.between(draft.plan, doc)
    number = last.n + 1 if last else 1
    ctx.session.add(
        DraftChange(
            workflow_id=draft.workflow_id, n=number, before=before, after=after, say=say, by=by
        )
    )
    too_old = DraftChange.n <= number - KEPT_CHANGES
    ctx.session.execute(delete(DraftChange).where(of_this, too_old))


def _goes_on(last: DraftChange, say: str, by: str) -> bool:
    """Whether the change belongs to the entry before it: same words, same person, just now."""
    return last.say == say and last.by == by and now() - last.at < _ONE_GO


def _entry(ctx: Context, workflow_id: UUID, *, undone: bool) -> DraftChange | None:
    """Return the entry that undo (the newest done) or redo (the oldest undone) is about."""
    order = DraftChange.n if undone else DraftChange.n.desc()
    query = select(DraftChange).where(
        DraftChange.workflow_id == workflow_id, DraftChange.undone == undone
    )
    return ctx.session.scalars(query.order_by(order).limit(1)).first()

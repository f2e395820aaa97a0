"""The last hundred changes of a draft: make one, take it back, do it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import delete, select

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.kernel.clock import now
from webapp.kernel.errors import Conflict
from webapp.workflows import blocks, changes, queries
from webapp.workflows.models import Draft, DraftChange, Workflow
from webapp.workflows.plans import Doc, digest, structural

KEPT_CHANGES: Final = 100
_ONE_GO: Final = timedelta(seconds=60)
"""Saves of one step within this time are one entry for undo: people type, then pause."""

Edit = Callable[[Doc, Iterator[str]], str]
"""Changes the document in place and says what it did; draws ids for new steps."""


def change(
    ctx: Context, workflow_id: UUID, edit: Edit, *, rev: int | None = None, one_go: str = ""
) -> Draft:
    """For the verbs beside this, which have asked for the permission: change the draft.

    Args:
        rev: the revision that the change was made for; None for whichever there is.
        one_go: what it changes; saves of the same within a minute are one entry for undo.

    Raises:
        Conflict: the draft has another revision than `rev`.
        Invalid: it would be no plan any more.
    """
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


def replacement(plan: Doc, say: str) -> Edit:
    """Return the edit that makes `plan` the draft."""

    def replace(doc: Doc, _: Iterator[str]) -> str:
        doc.clear()
        doc.update(deepcopy(plan))
        return say

    return replace


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

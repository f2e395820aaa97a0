"""Workflows as files: written, and brought in again, here or elsewhere."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.engine.checks import check_document
from webapp.kernel.drafts import validated
from webapp.kernel.errors import Conflict, FieldError, Invalid
from webapp.workflows import publishing, queries, service
from webapp.workflows.plans import Doc
from webapp.workflows.queries import Overview
from webapp.workflows.schemas import Export, NewWorkflow

FORMAT: Final = 1
_LEADING: Final = ("plan", "inputs", "steps", "result", "limits")
"""Keys of a plan in the order in which people read them."""


@requires(Permission.VIEW_WORKFLOWS)
def plan_of(ctx: Context, workflow_id: UUID, version: str = "draft") -> Doc:
    """Return the plan of the draft, of the live version, or of a number.

    Raises:
        Conflict: E-NO-LIVE. NotFound: E-NO-VERSION.
    """
    if version == "draft":
        queries.overview(ctx, workflow_id)
        plan: Doc | None = queries.draft_of(ctx, workflow_id).plan
    elif version == "live":
        plan = publishing.live_plan(ctx, workflow_id)
    else:
        plan = publishing.get_version(ctx, workflow_id, int(version)).plan
    if plan is None:
        raise Conflict("E-NO-LIVE")
    leading = {key: plan[key] for key in _LEADING if key in plan}
    return leading | plan


@requires(Permission.VIEW_WORKFLOWS)
def exported(ctx: Context, workflow_id: UUID) -> Doc:
    """Return the draft with what the workflow is called, as a file says it.

    There are no tags, ways to start or samples yet, so the file has none; no secret is in it.
    """
    workflow = queries.overview(ctx, workflow_id).workflow
    plan = plan_of(ctx, workflow_id)
    needs = [{"connection": one, "service": "", "label": ""} for one in _connections(plan)]
    return {
        "deckhand": FORMAT,
        "workflow": {"name": workflow.name, "about": workflow.about, "tags": []},
        "plan": plan,
        "starts": [],
        "needs": needs,
        "samples": {},
    }


def _connections(plan: Doc) -> list[str]:
    """Return the connections that steps name, each once."""
    found: dict[str, None] = {}
    waiting: list[Any] = [plan.get("steps")]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            named = one.get("connection")
            if isinstance(named, str) and named.startswith("cn_"):
                found[named] = None
        waiting += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
    return sorted(found)


@requires(Permission.EDIT_WORKFLOWS)
def import_workflow(ctx: Context, sent: Export, name: str = "") -> tuple[Overview, list[str]]:
    """Make a workflow of an exported one; return also what could not be kept, in words.

    Args:
        name: instead of the one in the file.
    """
    new = {"name": name or sent.workflow.name, "about": sent.workflow.about, "plan": sent.plan}
    made = service.create_workflow(ctx, validated(NewWorkflow, new))
    return made, _left_out(sent)


def _left_out(sent: Export) -> list[str]:
    counted = (
        (len(sent.workflow.tags), "tag", "tags"),
        (len(sent.starts), "way to start", "ways to start"),
        (len(sent.samples), "sample value", "sample values"),
    )
    return [f"{count} {one if count == 1 else many}" for count, one, many in counted if count]


@requires(Permission.EDIT_WORKFLOWS)
def import_document(ctx: Context, doc: Doc, name: str = "") -> tuple[Overview, list[str]]:
    """As `import_workflow`, of a document that may also be a plan alone.

    Raises:
        Invalid: pointers are `/name` and `/text`, each problem with its step and field.
    """
    number = doc.get("deckhand")
    if type(number) is int and number > FORMAT:
        text = f"This file has format {number}. This version reads up to {FORMAT}."
        raise Invalid.at("/text", "E-FIELD", text=text)
    if type(doc.get("plan")) is int:
        doc = {"deckhand": FORMAT, "workflow": {"name": name}, "plan": doc}
        if not name:
            raise Invalid.at("/name", "E-FIELD-EMPTY", what="a name for the workflow")
    try:
        return import_workflow(ctx, validated(Export, doc), name)
    except Invalid as error:
        raise Invalid(_said_of_text(error, doc)) from None


def _said_of_text(error: Invalid, doc: Doc) -> list[FieldError]:
    """Tell of a plan's problems by step and field; the page has one field for the whole text."""
    if any(one.pointer.startswith("/plan") for one in error.errors):
        _, broken = check_document(doc.get("plan"))
        if broken:
            return [FieldError("/text", one.code, _placed(one)) for one in broken[:20]]
    return [
        one
        if one.pointer == "/name"
        else FieldError("/text", one.code, f"{one.pointer.strip('/')}: {one.detail}".lstrip(": "))
        for one in error.errors
    ]


def _placed(broken: Any) -> str:
    place = f"Step {broken.step}" if broken.step else "The plan"
    at = f", {broken.field}" if broken.field else ""
    return f"{place}{at}: {broken.text}."

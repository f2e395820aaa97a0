"""Workflows as files: downloads of plans, and a page that takes one in."""

from __future__ import annotations

import re
from typing import Any, Final

from flask import Response, render_template, request

from webapp.access.context import Context
from webapp.access.permissions import Permission
from webapp.files.sending import attachment
from webapp.kernel import yamls
from webapp.kernel.errors import BadRequest, Invalid, NotFound
from webapp.kernel.jsons import pretty
from webapp.web import jsons
from webapp.web.forms import form_of, posted
from webapp.web.htmx import done, invalid
from webapp.workflows import service, transfer
from webapp.workflows.pages.doors import doors, id_of, url_of
from webapp.workflows.schemas import PastedPlan, PlanAsked

_MOST_BYTES: Final = 2 * jsons.MOST_BYTES
"""A whole plan as a file, and the form around it."""
_NO_NAME: Final = re.compile(r"[\\/:*?\"<>|\x00-\x1f]+")
"""What some machine does not take in the name of a file."""


@doors.get("/o/<org>/workflows/<workflow>/plan.<suffix>", permission=Permission.VIEW_WORKFLOWS)
def plan(ctx: Context, workflow: str, suffix: str) -> Response:
    """Return the plan of the draft, or of `?version=`, as a file."""
    workflow_id, version = id_of(workflow), jsons.asked(PlanAsked).version
    name = service.get_workflow(ctx, workflow_id).workflow.name
    of = "" if version == "draft" else f", version {version}"
    return _file(transfer.plan_of(ctx, workflow_id, version), f"{name} (plan{of})", suffix)


@doors.get("/o/<org>/workflows/<workflow>/export.<suffix>", permission=Permission.VIEW_WORKFLOWS)
def export(ctx: Context, workflow: str, suffix: str) -> Response:
    """Return the whole workflow as a file."""
    workflow_id = id_of(workflow)
    name = service.get_workflow(ctx, workflow_id).workflow.name
    return _file(transfer.exported(ctx, workflow_id), f"{name} (workflow)", suffix)


def _file(document: dict[str, Any], name: str, suffix: str) -> Response:
    file = f"{_NO_NAME.sub(' ', name)}.{suffix}"
    match suffix:
        case "yaml":
            return attachment(yamls.dump(document), file, "application/yaml; charset=utf-8")
        case "json":
            return attachment(f"{pretty(document)}\n", file, "application/json; charset=utf-8")
    raise NotFound()


@doors.get("/o/<org>/workflows/import", permission=Permission.EDIT_WORKFLOWS)
def paste(ctx: Context) -> str:
    return render_template("workflows/import.html", form=form_of(PastedPlan))


@doors.post(
    "/o/<org>/workflows/import", permission=Permission.EDIT_WORKFLOWS, most_bytes=_MOST_BYTES
)
def bring_in(ctx: Context) -> Response:
    """Make a workflow of what was pasted or uploaded; open it in the builder."""
    form = posted(PastedPlan)
    made = form.submit(lambda sent: transfer.import_document(ctx, _document(), sent.name))
    if made is None:
        return invalid(form, "workflows/import.html", "workflows/_import.html")
    opened, left_out = made
    left = f" The file also has {', '.join(left_out)}: left out." if left_out else ""
    return done(url_of(opened.workflow.id), say=f"“{opened.workflow.name}” is here.{left}")


def _document() -> dict[str, Any]:
    """Return what was uploaded, else what was pasted: JSON if it begins like it, else YAML.

    Raises:
        Invalid: neither, or not one mapping.
    """
    file = request.files.get("file")
    raw = (
        file.read() if file is not None and file.filename else request.form.get("text", "").encode()
    )
    if not raw.strip():
        raise Invalid.at("/text", "E-FIELD-EMPTY", what="a plan, or choose a file")
    if len(raw) > jsons.MOST_BYTES:
        raise Invalid.at("/text", "E-FIELD", text="A plan has at most 1 MB.")
    is_json = raw.lstrip().startswith((b"{", b"["))
    try:
        return jsons.read(raw.strip()) if is_json else jsons.read_yaml(raw)
    except BadRequest as error:
        reason = error.text.removeprefix("The body must be")
        text = error.text if reason == error.text else f"A plan must be{reason}"
        raise Invalid.at("/text", "E-FIELD", text=text) from None

"""The form that starts a run by hand."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from flask import Response, make_response, render_template, request

from webapp.access.context import Context
from webapp.access.permissions import Permission
from webapp.engine.grammar import Field
from webapp.files.service import describe_files, upload_file
from webapp.kernel.clock import now
from webapp.kernel.errors import FieldError, Invalid
from webapp.kernel.ids import parse_id, public_id
from webapp.runs import asking, service, starting
from webapp.runs.inputs import TODAY
from webapp.runs.pages.doors import doors, list_url, org_url, zone
from webapp.web.htmx import done, is_htmx
from webapp.web.jsons import MOST_BYTES, MOST_UPLOAD_BYTES


@doors.get("/o/<org>/workflows/<workflow>/run", permission=Permission.START_RUNS)
def run_form(ctx: Context, workflow: str) -> str:
    """Ask what a run is started with; `version=draft` is the draft, `from` an earlier run."""
    form = starting.run_form(ctx, parse_id("wf", workflow), _which())
    values = _prefilled(ctx, form)
    files = describe_files(ctx, asking.file_ids(values))
    asked = asking.questions(form.fields or [], values, files, zone())
    return render_template("runs/form.html", **_about_form(form, asked))


@doors.post(
    "/o/<org>/workflows/<workflow>/run",
    permission=Permission.START_RUNS,
    most_bytes=MOST_UPLOAD_BYTES + MOST_BYTES,
)
def start(ctx: Context, workflow: str) -> Response:
    """Start a run by hand. The form's one-time field makes a second press harmless."""
    workflow_id, which = parse_id("wf", workflow), _which()
    form = starting.run_form(ctx, workflow_id, which)
    fields = form.fields or []
    uploads: dict[str, str] = {}
    try:
        uploads = _keep_uploads(ctx, fields)
        given = asking.answers(fields, request.form, uploads, zone())
        rehearsal = bool(request.form.get("rehearsal"))
        run = starting.start_run_once(
            ctx, workflow_id, given, which, key=form_key(), rehearsal=rehearsal
        )
    except Invalid as error:
        return _invalid(ctx, form, error)
    return done(f"{list_url()}/{public_id('run', run.id)}")


def _keep_uploads(ctx: Context, fields: Sequence[Field]) -> dict[str, str]:
    """Keep the files that came with the form; return their ids by the question's name."""
    kept = {}
    for one in fields:
        file = request.files.get(f"{asking.PREFIX}{one.name}")
        if one.type == "file" and file is not None and file.filename:
            content = file.read()
            try:
                kept[str(one.name)] = upload_file(ctx, file.filename, file.mimetype, content).id
            except Invalid as error:
                detail = error.errors[0].detail
                raise Invalid([FieldError(f"/inputs/{one.name}", "E-FILE", detail)]) from None
    return kept


def _invalid(ctx: Context, form: starting.Form, error: Invalid) -> Response:
    """Show the form as it was typed; a file that came with it must be chosen again."""
    fields = form.fields or []
    typed = asking.answers(fields, request.form, {}, zone())
    files = describe_files(ctx, asking.file_ids(typed))
    asked = asking.questions(fields, typed, files, zone())
    problems = asking.put_errors(asked, error.errors)
    for question in asked:
        if question.kind == "file" and not question.errors and request.files.get(question.name):
            question.description = "Choose the file again: it was not kept."
    values = _about_form(form, asked) | {"problems": problems or [("", error.text)]}
    template = "runs/_form.html" if is_htmx() else "runs/form.html"
    return make_response(render_template(template, **values), 422)


def _about_form(form: starting.Form, asked: list[asking.Question]) -> dict[str, Any]:
    count, took_ms, cost_nano = form.usual
    return {
        "form": form,
        "questions": asked,
        "problems": [],
        "which": _which(),
        "url": request.full_path.rstrip("?"),
        "workflow_url": f"{org_url()}/workflows/{public_id('wf', form.workflow_id)}",
        "estimate": (count, took_ms / 1000, cost_nano) if count else None,
    }


def _prefilled(ctx: Context, form: starting.Form) -> dict[str, Any]:
    """Return what the form begins with: an earlier run's values, else defaults, else the last."""
    earlier = request.args.get("from", "")
    if earlier:
        return dict(service.find_run(ctx, parse_id("run", earlier)).run.inputs)
    values = {}
    for one in form.fields or []:
        today = one.type == "date" and one.default == TODAY
        default: Any = now().date().isoformat() if today else one.default
        if one.type == "file" and isinstance(default, str):
            default = {"file": default}  # as a run keeps it
        values[str(one.name)] = default if default is not None else form.last.get(str(one.name))
    return values


def _which() -> starting.Which:
    return "draft" if request.args.get("version") == "draft" else "live"


def form_key() -> str:
    """Return the key of what this form starts; a form without one is a press of its own."""
    return f"form:{request.form.get('once') or secrets.token_urlsafe(18)}"[:300]

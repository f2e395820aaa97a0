"""Run again from a step: first what that means, then the press that does it."""

from __future__ import annotations

from uuid import UUID

from flask import Response, render_template, request

from webapp.access.context import Context
from webapp.access.permissions import Permission
from webapp.kernel.errors import Conflict, Gone, Invalid, NotFound
from webapp.kernel.ids import parse_id, public_id
from webapp.runs import again, service, watching
from webapp.runs.again_showing import again_view
from webapp.runs.bases import VersionChoice
from webapp.runs.pages.doors import doors, list_url, org_url, run_url
from webapp.runs.pages.form import form_key
from webapp.web.htmx import done

MOST_PATH = 400


@doors.get("/o/<org>/runs/<run>/again", permission=Permission.START_RUNS)
def check_again(ctx: Context, run: str) -> str:
    """Say what running again from the step `from` keeps, and what was sent already."""
    run_id = parse_id("run", run)
    row = service.find_run(ctx, run_id)
    start = request.args.get("from", "")[:MOST_PATH]
    try:
        found, refused = _preview(ctx, run_id, start, _version(request.args.get("version", "")))
    except (Conflict, Gone) as error:
        error.facts["actions"] = [("Back to the run", run_url(row))]
        raise
    except Invalid:
        raise NotFound() from None  # an address that no page of ours has
    view = again_view(ctx, found, watching.places_of(ctx, row), refused=refused)
    workflow = f"{org_url()}/workflows/{public_id('wf', row.run.workflow_id)}"
    return render_template(
        "runs/again.html",
        a=view,
        row=row,
        run_url=run_url(row),
        live_url=f"{workflow}/versions/{view.live}",
    )


@doors.post("/o/<org>/runs/<run>/again", permission=Permission.START_RUNS)
def run_again(ctx: Context, run: str) -> Response:
    """Start the new run. The form's one-time field makes a second press harmless."""
    start = request.form.get("from", "")[:MOST_PATH]
    wanted = [path[:MOST_PATH] for path in request.form.getlist("send_again")]
    version = _version(request.form.get("version", ""))
    new = again.run_again(ctx, parse_id("run", run), start, wanted, version, key=form_key())
    return done(f"{list_url()}/{public_id('run', new.id)}")


def _preview(
    ctx: Context, run: UUID, start: str, version: VersionChoice
) -> tuple[again.Again, str]:
    """Return what running again would mean, and why it can't be by the version that is live."""
    try:
        return again.preview(ctx, run, start, version), ""
    except Invalid as error:
        if version == "same":
            raise
        return again.preview(ctx, run, start), error.errors[0].detail


def _version(word: str) -> VersionChoice:
    return "live" if word == "live" else "same"

"""The organization's line, and the buttons that pause a workflow or everything."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response, render_template

from webapp.access.context import Context
from webapp.access.permissions import Permission
from webapp.kernel.errors import Gone
from webapp.kernel.ids import parse_id, public_id
from webapp.runs import holding, traffic
from webapp.runs.pages.doors import doors, list_url, org_url
from webapp.runs.standing import queue_paused_by
from webapp.runs.starting import QUEUE
from webapp.web.forms import form_of, posted
from webapp.web.htmx import done, invalid
from webapp.workflows import pace
from webapp.workflows.schemas import OrganizationPace
from webapp.workflows.service import get_workflow

CONTROL, PACE = Permission.CONTROL_RUNS, Permission.PACE_RUNS


@doors.get("/o/<org>/queue", permission=Permission.VIEW_RUNS)
def queue(ctx: Context) -> str:
    """Show how much waits and works, and what holds it back."""
    values = _values(ctx)
    form = form_of(OrganizationPace, most_running=values["gate"].most_running)
    return render_template("runs/queue.html", form=form, **values)


def _values(ctx: Context) -> dict[str, Any]:
    return {
        "gate": pace.gate_of(ctx, ctx.organization_id),
        "traffic": traffic.traffic_here(ctx),
        "held": queue_paused_by(ctx, QUEUE),
        "base": f"{org_url()}/queue",
        "list_url": list_url(),
    }


@doors.post("/o/<org>/queue", permission=PACE)
def change_queue(ctx: Context) -> Response:
    """Say how many of the organization's runs work at the same time."""
    form = posted(OrganizationPace)
    if form.submit(lambda draft: pace.change_organization_pace(ctx, draft)) is None:
        return invalid(form, "runs/queue.html", "runs/_queue_form.html", **_values(ctx))
    return done(f"{org_url()}/queue", say="Saved.")


@doors.post("/o/<org>/queue/pause", permission=PACE)
def pause_organization(ctx: Context) -> Response:
    holding.pause_organization(ctx)
    return done(f"{org_url()}/queue", say="All runs are paused. New starts wait.")


@doors.post("/o/<org>/queue/resume", permission=PACE)
def resume_organization(ctx: Context) -> Response:
    holding.resume_organization(ctx)
    return done(f"{org_url()}/queue", say="Runs go on.")


@doors.post("/o/<org>/workflows/<workflow>/pause", permission=CONTROL)
def pause_workflow(ctx: Context, workflow: str) -> Response:
    workflow_id = parse_id("wf", workflow)
    holding.pause_workflow(ctx, workflow_id)
    return done(_back(ctx, workflow_id), say="The workflow is paused. New starts wait.")


@doors.post("/o/<org>/workflows/<workflow>/resume", permission=CONTROL)
def resume_workflow(ctx: Context, workflow: str) -> Response:
    workflow_id = parse_id("wf", workflow)
    holding.resume_workflow(ctx, workflow_id)
    return done(_back(ctx, workflow_id), say="The workflow goes on.")


def _back(ctx: Context, workflow_id: UUID) -> str:
    """Return the page with the button: the settings, or the runs of a workflow in the bin."""
    url = f"{org_url()}/workflows/{public_id('wf', workflow_id)}"
    try:
        get_workflow(ctx, workflow_id)
    except Gone:
        return f"{url}/runs"
    return f"{url}/settings"

"""Pauses, limits and lines for programs."""

from __future__ import annotations

from dataclasses import asdict

from webapp.access.context import Context
from webapp.access.permissions import Permission
from webapp.kernel.ids import parse_id
from webapp.runs import holding, pausing, presenting, traffic
from webapp.runs.schemas import QueueOut, RunSummary
from webapp.runs.standing import all_held, queue_held
from webapp.runs.starting import QUEUE
from webapp.web.doors import ApiDoors
from webapp.workflows import pace, service
from webapp.workflows.models import Gate
from webapp.workflows.schemas import OrganizationPace, Pace, PaceShown

doors = ApiDoors("pausing", __name__)

VIEW, CONTROL, PACE = Permission.VIEW_RUNS, Permission.CONTROL_RUNS, Permission.PACE_RUNS


@doors.post("/runs/<run>/pause", permission=CONTROL, answer=RunSummary, errors=(409,))
def pause_run(ctx: Context, run: str) -> RunSummary:
    """Let a run begin nothing more. What it has begun is finished and kept."""
    return presenting.summary(pausing.pause_run(ctx, parse_id("run", run)))


@doors.post("/runs/<run>/resume", permission=CONTROL, answer=RunSummary, errors=(409,))
def resume_run(ctx: Context, run: str) -> RunSummary:
    """Put a paused run back in line."""
    return presenting.summary(pausing.resume_run(ctx, parse_id("run", run)))


@doors.get(
    "/workflows/<workflow>/settings",
    permission=Permission.VIEW_WORKFLOWS,
    answer=PaceShown,
    errors=(410,),
)
def workflow_settings(ctx: Context, workflow: str) -> PaceShown:
    """Return how the workflow's runs go beside each other, and whether they are paused."""
    workflow_id = parse_id("wf", workflow)
    service.get_workflow(ctx, workflow_id)
    return _shown(pace.gate_of(ctx, workflow_id))


@doors.put(
    "/workflows/<workflow>/settings",
    permission=Permission.EDIT_WORKFLOWS,
    body=Pace,
    answer=PaceShown,
    errors=(410,),
)
def change_workflow_settings(ctx: Context, workflow: str, body: Pace) -> PaceShown:
    """Say how the workflow's runs go beside each other."""
    return _shown(pace.change_pace(ctx, parse_id("wf", workflow), body))


@doors.post("/workflows/<workflow>/pause", permission=CONTROL, answer=PaceShown)
def pause_workflow(ctx: Context, workflow: str) -> PaceShown:
    """Let no run of a workflow begin anything more. New starts are accepted and wait."""
    return _shown(holding.pause_workflow(ctx, parse_id("wf", workflow)))


@doors.post("/workflows/<workflow>/resume", permission=CONTROL, answer=PaceShown)
def resume_workflow(ctx: Context, workflow: str) -> PaceShown:
    """Put the runs that the workflow's pause held back in line."""
    return _shown(holding.resume_workflow(ctx, parse_id("wf", workflow)))


@doors.get("/queue", permission=VIEW, answer=QueueOut)
def queue(ctx: Context) -> QueueOut:
    """Return how many of the organization's runs wait and work, and what holds them back."""
    return _queue(ctx, pace.gate_of(ctx, ctx.organization_id))


@doors.put("/queue", permission=PACE, body=OrganizationPace, answer=QueueOut)
def change_queue(ctx: Context, body: OrganizationPace) -> QueueOut:
    """Say how many of the organization's runs work at the same time."""
    return _queue(ctx, pace.change_organization_pace(ctx, body))


@doors.post("/queue/pause", permission=PACE, answer=QueueOut)
def pause_organization(ctx: Context) -> QueueOut:
    """Let no run of the organization begin anything more. New starts are accepted and wait."""
    return _queue(ctx, holding.pause_organization(ctx))


@doors.post("/queue/resume", permission=PACE, answer=QueueOut)
def resume_organization(ctx: Context) -> QueueOut:
    """Put the runs that the organization's pause held back in line."""
    return _queue(ctx, holding.resume_organization(ctx))


def _queue(ctx: Context, gate: Gate) -> QueueOut:
    seen = asdict(traffic.traffic_here(ctx)) | _shown(gate).model_dump()
    return QueueOut(**seen, held=queue_held(ctx, QUEUE) or all_held(ctx))


def _shown(gate: Gate) -> PaceShown:
    return PaceShown.model_validate(
        {
            "run_mode": gate.run_mode,
            "most_running": gate.most_running,
            "paused": gate.paused_at is not None,
            "paused_by": gate.paused_by,
            "paused_at": gate.paused_at,
        }
    )

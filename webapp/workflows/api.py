"""Workflows for programs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response

from webapp.access.context import Context
from webapp.access.permissions import Permission
from webapp.engine.plan import json_schema
from webapp.kernel.errors import NotFound
from webapp.kernel.ids import parse_id, public_id
from webapp.web.doors import ApiDoors
from webapp.web.paging import asked
from webapp.workflows import drafting, publishing, service
from webapp.workflows.models import Version
from webapp.workflows.plans import Finding, findings
from webapp.workflows.queries import Overview
from webapp.workflows.schemas import (
    CheckShown,
    LiveVersion,
    NewWorkflow,
    PlanSave,
    PlanToCheck,
    PutLive,
    Verdict,
    VersionList,
    VersionOpened,
    VersionShown,
    WorkflowList,
    WorkflowOpened,
    WorkflowSaved,
    WorkflowShown,
)

api = ApiDoors("workflows", __name__)
VIEW, EDIT = Permission.VIEW_WORKFLOWS, Permission.EDIT_WORKFLOWS


@api.get("/workflows", permission=VIEW, answer=WorkflowList)
def index(ctx: Context) -> dict[str, Any]:
    wanted = asked("wf")
    found = service.list_workflows(ctx, before=wanted.after, limit=wanted.limit)
    return wanted.page(found, "wf", lambda one: one.workflow.id).json(_shown)


@api.post("/workflows", permission=EDIT, body=NewWorkflow, status=201, answer=WorkflowSaved)
def create(ctx: Context, body: NewWorkflow) -> WorkflowSaved:
    return _saved(ctx, service.create_workflow(ctx, body))


@api.get("/workflows/<workflow>", permission=VIEW, answer=WorkflowOpened)
def show(ctx: Context, workflow: str) -> WorkflowOpened:
    opened = service.get_workflow(ctx, _id(workflow))
    draft = drafting.get_draft(ctx, opened.workflow.id)
    return WorkflowOpened(
        **_shown(opened).model_dump(), checks=_checks(findings(draft.plan)), plan=draft.plan
    )


@api.put("/workflows/<workflow>", permission=EDIT, body=PlanSave, answer=WorkflowSaved)
def save(ctx: Context, workflow: str, body: PlanSave) -> WorkflowSaved:
    workflow_id = _id(workflow)
    drafting.save_plan(ctx, workflow_id, body.plan, body.rev)
    return _saved(ctx, service.get_workflow(ctx, workflow_id))


@api.delete("/workflows/<workflow>", permission=EDIT, status=204)
def delete(ctx: Context, workflow: str) -> Response:
    service.move_to_bin(ctx, _id(workflow))
    return Response(status=204)


@api.post("/workflows/<workflow>/validate", permission=VIEW, body=PlanToCheck, answer=Verdict)
def validate(ctx: Context, workflow: str, body: PlanToCheck) -> Verdict:
    checks = drafting.check(ctx, _id(workflow), body.plan)
    return Verdict(ok=all(one.kind == "look" for one in checks), checks=_checks(checks))


@api.post(
    "/workflows/<workflow>/live",
    permission=Permission.PUBLISH_WORKFLOWS,
    body=PutLive,
    answer=LiveVersion,
)
def put_live(ctx: Context, workflow: str, body: PutLive) -> LiveVersion:
    version = publishing.put_live(ctx, _id(workflow), body)
    return LiveVersion(version=version.number or 0)


@api.get("/workflows/<workflow>/versions", permission=VIEW, answer=VersionList)
def versions(ctx: Context, workflow: str) -> dict[str, Any]:
    wanted = asked("ver")
    workflow_id = _id(workflow)
    live = service.get_workflow(ctx, workflow_id).live_number
    found = publishing.list_versions(ctx, workflow_id, before=wanted.after, limit=wanted.limit)
    page = wanted.page(found, "ver", lambda one: one.id)
    return page.json(lambda version: _version(version, live))


@api.get("/workflows/<workflow>/versions/<int:number>", permission=VIEW, answer=VersionOpened)
def version(ctx: Context, workflow: str, number: int) -> VersionOpened:
    workflow_id = _id(workflow)
    if number >= 2**31:
        raise NotFound("E-NO-VERSION", number=number)
    found = publishing.get_version(ctx, workflow_id, number)
    live = service.get_workflow(ctx, workflow_id).live_number
    return VersionOpened(**_version(found, live).model_dump(), plan=found.plan)


@api.get("/plan/schema", permission=VIEW)
def plan_schema(ctx: Context) -> dict[str, Any]:
    return json_schema("live")


def _id(text: str) -> UUID:
    return parse_id("wf", text)


def _shown(one: Overview) -> WorkflowShown:
    return WorkflowShown(
        id=public_id("wf", one.workflow.id),
        name=one.workflow.name,
        about=one.workflow.about,
        rev=one.rev,
        live_version=one.live_number,
        changed=one.is_changed,
        changed_at=one.workflow.changed_at,
    )


def _saved(ctx: Context, one: Overview) -> WorkflowSaved:
    checks = drafting.check(ctx, one.workflow.id)
    return WorkflowSaved(**_shown(one).model_dump(), checks=_checks(checks))


def _checks(found: list[Finding]) -> list[CheckShown]:
    return [CheckShown(kind=c.kind, step=c.step, field=c.field, code=c.code, text=c.text)
            for c in found]  # fmt: skip


def _version(version: Version, live: int | None) -> VersionShown:
    return VersionShown(
        version=version.number or 0,
        live=version.number == live,
        note=version.note,
        by=version.by,
        at=version.at,
    )

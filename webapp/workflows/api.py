"""Workflows for programs."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal
from uuid import UUID

from flask import Response

from webapp.access.context import Context
from webapp.access.permissions import Permission
from webapp.engine.plan import json_schema
from webapp.kernel import yamls
from webapp.kernel.errors import NotFound
from webapp.kernel.ids import parse_id, public_id
from webapp.web.doors import ApiDoors
from webapp.web.jsons import YAML, dump
from webapp.web.paging import asked_by
from webapp.workflows import drafting, publishing, service, transfer
from webapp.workflows.plans import Finding
from webapp.workflows.queries import Overview
from webapp.workflows.schemas import (
    CheckShown,
    Export,
    ExportYaml,
    Imported,
    JsonSchema,
    LiveVersion,
    NewWorkflow,
    PlanAsked,
    PlanSave,
    PlanToCheck,
    PlanYaml,
    PutLive,
    SchemaAsked,
    Verdict,
    VersionList,
    VersionOpened,
    VersionsAsked,
    VersionShown,
    WorkflowList,
    WorkflowOpened,
    WorkflowsAsked,
    WorkflowSaved,
    WorkflowShown,
)

api = ApiDoors("workflows", __name__)
VIEW, EDIT = Permission.VIEW_WORKFLOWS, Permission.EDIT_WORKFLOWS


@api.get("/workflows", permission=VIEW, query=WorkflowsAsked, answer=WorkflowList)
def index(ctx: Context, query: WorkflowsAsked) -> dict[str, Any]:
    """List workflows, newest first."""
    wanted = asked_by(query, "wf")
    found = service.list_workflows(ctx, before=wanted.after, limit=wanted.limit)
    return wanted.page(found, "wf", lambda one: one.workflow.id).json(_shown)


@api.post(
    "/workflows",
    permission=EDIT,
    body=NewWorkflow,
    yaml=True,
    status=201,
    answer=WorkflowSaved,
    errors=(409,),
)
def create(ctx: Context, body: NewWorkflow) -> WorkflowSaved:
    """Create a workflow, with a plan or empty. `checks` says what is left to do in it."""
    return _saved(ctx, service.create_workflow(ctx, body))


@api.get("/workflows/<workflow>", permission=VIEW, answer=WorkflowOpened, errors=(410,))
def show(ctx: Context, workflow: str) -> WorkflowOpened:
    """Return a workflow with the plan of its draft."""
    opened = service.get_workflow(ctx, _id(workflow))
    draft = drafting.get_draft(ctx, opened.workflow.id)
    return WorkflowOpened(**_saved(ctx, opened).model_dump(), plan=draft.plan)


@api.put(
    "/workflows/<workflow>",
    permission=EDIT,
    body=PlanSave,
    yaml=True,
    answer=WorkflowSaved,
    errors=(409, 410),
)
def save(ctx: Context, workflow: str, body: PlanSave) -> WorkflowSaved:
    """Replace the draft's plan, if it still has the revision `rev`."""
    workflow_id = _id(workflow)
    drafting.save_plan(ctx, workflow_id, body.plan, body.rev)
    return _saved(ctx, service.get_workflow(ctx, workflow_id))


@api.delete("/workflows/<workflow>", permission=EDIT, status=204, errors=(410,))
def delete(ctx: Context, workflow: str) -> Response:
    """Move a workflow to the bin. It starts no more. Its runs stay; those under way go on, and
    those that are paused with it stay so until it is resumed or they are cancelled.
    """
    service.move_to_bin(ctx, _id(workflow))
    return Response(status=204)


@api.post(
    "/workflows/<workflow>/validate",
    permission=VIEW,
    body=PlanToCheck,
    yaml=True,
    answer=Verdict,
    errors=(410,),
)
def validate(ctx: Context, workflow: str, body: PlanToCheck) -> Verdict:
    """Say what is left to do in a plan, or in the draft. It changes nothing."""
    checks = drafting.check(ctx, _id(workflow), body.plan)
    return Verdict(ok=all(one.kind == "look" for one in checks), checks=_checks(checks))


@api.post(
    "/workflows/<workflow>/live",
    permission=Permission.PUBLISH_WORKFLOWS,
    body=PutLive,
    answer=LiveVersion,
    errors=(410,),
)
def put_live(ctx: Context, workflow: str, body: PutLive) -> LiveVersion:
    """Make the draft the live version, a new number if it differs from the last one."""
    version = publishing.put_live(ctx, _id(workflow), body)
    return LiveVersion(version=version.number or 0)


@api.get(
    "/workflows/<workflow>/versions",
    permission=VIEW,
    query=VersionsAsked,
    answer=VersionList,
    errors=(410,),
)
def versions(ctx: Context, workflow: str, query: VersionsAsked) -> dict[str, Any]:
    """List the versions that were put live, newest first."""
    wanted = asked_by(query, "ver")
    workflow_id = _id(workflow)
    live = service.get_workflow(ctx, workflow_id).live_number
    found = publishing.list_versions(ctx, workflow_id, before=wanted.after, limit=wanted.limit)
    page = wanted.page(found, "ver", lambda one: one.id)
    return page.json(lambda version: _version(version, live))


@api.get(
    "/workflows/<workflow>/versions/<int:number>",
    permission=VIEW,
    answer=VersionOpened,
    errors=(410,),
)
def version(ctx: Context, workflow: str, number: int) -> VersionOpened:
    """Return a version with its plan."""
    workflow_id = _id(workflow)
    if number >= 2**31:
        raise NotFound("E-NO-VERSION", number=number)
    found = publishing.get_version(ctx, workflow_id, number)
    live = service.get_workflow(ctx, workflow_id).live_number
    return VersionOpened(**_version(found, live).model_dump(), plan=found.plan)


@api.get(
    "/workflows/<workflow>/plan.yaml",
    permission=VIEW,
    query=PlanAsked,
    answer=PlanYaml,
    errors=(409, 410),
)
def plan_yaml(ctx: Context, workflow: str, query: PlanAsked) -> Response:
    """Return a plan as YAML: the draft's, or a version's."""
    return _yaml(transfer.plan_of(ctx, _id(workflow), query.version))


@api.get("/workflows/<workflow>/export.json", permission=VIEW, answer=Export, errors=(410,))
def export(ctx: Context, workflow: str) -> dict[str, Any]:
    """Return the workflow as a file, to be kept or brought in elsewhere."""
    return transfer.exported(ctx, _id(workflow))


@api.get("/workflows/<workflow>/export.yaml", permission=VIEW, answer=ExportYaml, errors=(410,))
def export_yaml(ctx: Context, workflow: str) -> Response:
    """Return the same file as YAML."""
    return _yaml(transfer.exported(ctx, _id(workflow)))


@api.post(
    "/import",
    permission=EDIT,
    body=Export,
    yaml=True,
    status=201,
    answer=Imported,
    errors=(409,),
)
def bring_in(ctx: Context, body: Export) -> Imported:
    """Make a workflow of an exported one. `left_out` says what could not be kept."""
    made, left_out = transfer.import_workflow(ctx, body)
    return Imported(**_saved(ctx, made).model_dump(), left_out=left_out)


def _yaml(document: dict[str, Any]) -> Response:
    return Response(yamls.dump(document), mimetype=YAML)


@api.get("/plan/schema", public=True, query=SchemaAsked, answer=JsonSchema)
def plan_schema(query: SchemaAsked) -> Response:
    """Return the JSON Schema of plans, live ones or drafts. No key is needed."""
    return Response(_schema_text(query.level), mimetype="application/schema+json")


@cache
def _schema_text(level: Literal["live", "draft"]) -> str:
    return dump(json_schema(level))


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


def _version(version: publishing.Version, live: int | None) -> VersionShown:
    return VersionShown(
        version=version.number or 0,
        live=version.number == live,
        note=version.note,
        by=version.by,
        at=version.at,
    )

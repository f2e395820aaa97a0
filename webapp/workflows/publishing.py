"""Put a draft live as a numbered version, look at versions, go back to one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import bindparam, func, select
from sqlalchemy.exc import IntegrityError

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission
from webapp.audit.service import record
from webapp.engine.plan import PlanError, load_plan
from webapp.kernel.errors import Conflict, FieldError, Invalid, NotFound
from webapp.kernel.ids import public_id
from webapp.workflows import drafting, history, queries
from webapp.workflows.models import Draft, Gate, Version, Workflow
from webapp.workflows.plans import Doc, Finding
from webapp.workflows.schemas import PutLive


@requires(Permission.PUBLISH_WORKFLOWS)
def put_live(ctx: Context, workflow_id: UUID, live: PutLive) -> Version:
    """Make the draft the live version; the same plan again stays the version it is.

    Raises:
        Invalid: E-NOT-READY, something is left to do; each check stands among the errors.
    """
    workflow = queries.overview(ctx, workflow_id).workflow
    draft = queries.draft_of(ctx, workflow_id, to_change=True)
    _refuse_unready(ctx, draft)
    before = _version(ctx, workflow.live_version_id)
    if before is not None and before.plan_sha == draft.plan_sha:
        return before
    version = _new_version(ctx, draft, note=live.note)
    workflow.live_version_id = version.id
    queries.touch(workflow)
    record(
        ctx,
        "workflow.published",
        public_id("wf", workflow.id),
        before={"version": before.number if before else None},
        after={"version": version.number, "plan_sha": version.plan_sha},
    )
    ctx.session.flush()
    return version


def _refuse_unready(ctx: Context, draft: Draft) -> None:
    """Raise `Invalid` with everything that keeps the draft from running."""
    found = drafting.check(ctx, draft.workflow_id)
    left = [finding for finding in found if finding.kind != "look"]
    if not left:
        left = _unreadable(draft.plan)
    if left:
        errors = [FieldError(pointer(one), one.code, one.text) for one in left]
        checks = [asdict(finding) for finding in left]
        raise Invalid(errors, code="E-NOT-READY", first=left[0].text, members={"checks": checks})


def pointer(finding: Finding) -> str:
    parts = [part for part in (finding.step, *finding.field.split(".")) if part]
    return "".join(f"/{part}" for part in parts)


def _unreadable(plan: Doc) -> list[Finding]:
    """What the strict reader says that no check said; a version must be readable for ever."""
    try:
        load_plan(plan, "live")
    except PlanError as error:
        return [Finding("todo", "", p.pointer, p.code, f"{p.text}.") for p in error.problems[:50]]
    return []


@requires(Permission.VIEW_WORKFLOWS)
def next_number(ctx: Context, workflow_id: UUID) -> int:
    """Return the number that the next version will have."""
    last = select(func.max(Version.number)).where(Version.workflow_id == workflow_id)
    return (ctx.session.scalar(last) or 0) + 1


def _new_version(ctx: Context, draft: Draft, note: str) -> Version:
    version = Version(
        workflow_id=draft.workflow_id,
        number=next_number(ctx, draft.workflow_id),
        plan=draft.plan,
        plan_sha=draft.plan_sha,
        note=note,
        by=ctx.actor.name[:120],
    )
    ctx.session.add(version)
    ctx.session.flush()
    return version


def _version(ctx: Context, version_id: UUID | None) -> Version | None:
    return None if version_id is None else ctx.session.get(Version, version_id)


@requires(Permission.VIEW_WORKFLOWS)
def list_versions(
    ctx: Context, workflow_id: UUID, *, before: UUID | None = None, limit: int = 50
) -> list[Version]:
    """Return up to `limit + 1` numbered versions older than `before`, newest first."""
    queries.overview(ctx, workflow_id)
    return queries.page_of_versions(ctx, workflow_id, before=before, limit=limit)


@requires(Permission.VIEW_WORKFLOWS)
def get_version(ctx: Context, workflow_id: UUID, number: int) -> Version:
    queries.overview(ctx, workflow_id)
    return queries.version_numbered(ctx, workflow_id, number)


@requires(Permission.VIEW_RUNS)
def version_by_id(ctx: Context, version_id: UUID) -> Version:
    """Return the version a run was made of, numbered or not."""
    return ctx.get(Version, version_id)


@requires(Permission.VIEW_RUNS)
def live_of(ctx: Context, workflow_id: UUID) -> tuple[UUID, int | None] | None:
    """Return id and number of what is live; None: nothing is, or the workflow is in the bin."""
    live = (
        select(Version.id, Version.number)
        .join(Workflow, Workflow.live_version_id == Version.id)
        .where(Workflow.id == workflow_id, Workflow.deleted_at.is_(None))
    )
    found = ctx.session.execute(live).one_or_none()
    return None if found is None else (found[0], found[1])


@requires(Permission.VIEW_WORKFLOWS)
def live_plan(ctx: Context, workflow_id: UUID) -> Doc | None:
    """Return the plan that is live, None while nothing is."""
    workflow = queries.overview(ctx, workflow_id).workflow
    version = _version(ctx, workflow.live_version_id)
    return None if version is None else version.plan


@requires(Permission.EDIT_WORKFLOWS)
def go_back_to(ctx: Context, workflow_id: UUID, number: int) -> Draft:
    """Copy version `number` into the draft; undo brings the present draft back."""
    version = get_version(ctx, workflow_id, number)
    edit = history.replacement(version.plan, f"Went back to version {number}")
    return history.change(ctx, workflow_id, edit)


@requires(Permission.EDIT_WORKFLOWS)
def discard_changes(ctx: Context, workflow_id: UUID) -> Draft:
    """Make the draft what is live; undo brings the changes back.

    Raises:
        Conflict: nothing is live.
    """
    plan = live_plan(ctx, workflow_id)
    if plan is None:
        raise Conflict("E-NO-LIVE")
    return history.change(ctx, workflow_id, history.replacement(plan, "Threw the changes away"))


_WORKFLOW: Final[Any] = Workflow.__table__.c
_GATE: Final[Any] = Gate.__table__.c
_RUN_MODE: Final = select(_GATE.run_mode).where(
    _GATE.organization_id == bindparam("org"), _GATE.scope_id == bindparam("workflow")
)
_LIVE_VERSION: Final = select(_WORKFLOW.live_version_id, _RUN_MODE.scalar_subquery()).where(
    _WORKFLOW.organization_id == bindparam("org"),
    _WORKFLOW.id == bindparam("workflow"),
    _WORKFLOW.deleted_at.is_(None),
)


@requires(Permission.START_RUNS)
def live_version(ctx: Context, workflow_id: UUID) -> tuple[UUID, str]:
    """Return the id of the live version and the workflow's run mode, in one small statement:
    every start asks for it.

    Raises:
        NotFound: no such workflow here. Conflict: E-NO-LIVE.
    """
    which = {"org": ctx.organization_id, "workflow": workflow_id}
    found = ctx.session.connection().execute(_LIVE_VERSION, which).one_or_none()
    if found is None:
        raise NotFound()
    if found[0] is None:
        raise Conflict("E-NO-LIVE")
    return found[0], found[1] or "parallel"


@requires(Permission.START_RUNS)
def run_mode(ctx: Context, workflow_id: UUID) -> str:
    """Return what a start does beside a run that is under way."""
    which = {"org": ctx.organization_id, "workflow": workflow_id}
    return ctx.session.connection().execute(_RUN_MODE, which).scalar() or "parallel"


@requires(Permission.START_RUNS)
def version_to_run(
    ctx: Context, workflow_id: UUID, wanted: Literal["live", "draft"] | int = "live"
) -> Version:
    """Return the row a run is made of; for "draft" a copy without number, made when missing.

    Raises:
        Conflict: E-NO-LIVE. NotFound: E-NO-VERSION. Invalid: E-NOT-READY, the draft can't run.
    """
    workflow = queries.overview(ctx, workflow_id).workflow
    if isinstance(wanted, int):
        return queries.version_numbered(ctx, workflow_id, wanted)
    if wanted == "draft":
        return _copy_of_draft(ctx, workflow_id)
    version = _version(ctx, workflow.live_version_id)
    if version is None:
        raise Conflict("E-NO-LIVE")
    return version


def _copy_of_draft(ctx: Context, workflow_id: UUID) -> Version:
    draft = queries.draft_of(ctx, workflow_id)
    same = select(Version).where(
        Version.workflow_id == workflow_id,
        Version.plan_sha == draft.plan_sha,
        Version.number.is_(None),
    )
    found = ctx.session.scalars(same).one_or_none()
    if found is not None:
        return found
    _refuse_unready(ctx, draft)
    version = Version(
        workflow_id=workflow_id,
        plan=draft.plan,
        plan_sha=draft.plan_sha,
        by=ctx.actor.name[:120],
    )
    try:
        with ctx.session.begin_nested():
            ctx.session.add(version)
            ctx.session.flush()
    except IntegrityError:  # somebody else tried the same draft at the same moment
        return ctx.session.scalars(same).one()
    return version

"""A workflow has one draft that may be wrong and numbered versions that never change."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from webapp.access.tenancy import OrganizationOwned, own, owned
from webapp.kernel.clock import now
from webapp.kernel.db import Base, Id, Json, UtcDateTime
from webapp.kernel.ids import new_id


class Workflow(OrganizationOwned, Base):
    """A named list of steps that does a job."""

    __tablename__ = "workflow"

    id: Mapped[UUID] = mapped_column(Id, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(80))
    about: Mapped[str] = mapped_column(String(500), default="")
    live_version_id: Mapped[UUID | None] = mapped_column(Id)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When it was moved to the bin; its runs stay."""

    __table_args__ = (
        *own(),
        Index("workflow_org", "organization_id", "id"),
        Index(
            "workflow_org_name",
            "organization_id",
            "name",
            unique=True,
            postgresql_where=text("deleted_at IS NULL"),
            sqlite_where=text("deleted_at IS NULL"),
        ),
    )


class Gate(OrganizationOwned, Base):
    """What holds runs back: of one workflow, or of the whole organization.

    There is a row only where somebody has set something.
    """

    __tablename__ = "gate"

    organization_id: Mapped[UUID] = mapped_column(Id, primary_key=True, sort_order=-1)
    scope_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    """The workflow's id, or the organization's own."""
    run_mode: Mapped[str] = mapped_column(String(10), default="parallel")
    """parallel, single, queued or restart: what a start does beside a run under way."""
    most_running: Mapped[int | None] = mapped_column(Integer)
    """How many runs may be at work at the same time."""
    paused_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    paused_by: Mapped[str | None] = mapped_column(String(120))
    opening: Mapped[bool] = mapped_column(default=False)
    """It goes on again, and runs it held are still to be put back in line."""


class Draft(OrganizationOwned, Base):
    """What is being changed. `rev` grows with every change; a save for another rev is refused."""

    __tablename__ = "draft"

    workflow_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    plan: Mapped[dict[str, Any]] = mapped_column(Json)
    plan_sha: Mapped[str] = mapped_column(String(64))
    rev: Mapped[int] = mapped_column(Integer, default=1)
    next_id: Mapped[int] = mapped_column(Integer, default=1)
    """The number of the next step id, so that an id is never used again."""
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)

    __table_args__ = owned("workflow")


class DraftChange(OrganizationOwned, Base):
    """One undoable change of a draft: the part that differed, before and after, and the words."""

    __tablename__ = "draft_change"

    workflow_id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    n: Mapped[int] = mapped_column(Integer, primary_key=True)
    before: Mapped[dict[str, Any]] = mapped_column(Json)
    after: Mapped[dict[str, Any]] = mapped_column(Json)
    say: Mapped[str] = mapped_column(String(200))
    by: Mapped[str] = mapped_column(String(120))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    undone: Mapped[bool] = mapped_column(default=False)

    __table_args__ = owned("workflow")


class Version(OrganizationOwned, Base):
    """A plan that runs; never updated. Without `number` it is a draft's copy made to try it."""

    __tablename__ = "version"

    id: Mapped[UUID] = mapped_column(Id, primary_key=True, default=new_id)
    workflow_id: Mapped[UUID] = mapped_column(Id)
    number: Mapped[int | None] = mapped_column(Integer)
    plan: Mapped[dict[str, Any]] = mapped_column(Json)
    plan_sha: Mapped[str] = mapped_column(String(64))
    note: Mapped[str] = mapped_column(String(140), default="")
    by: Mapped[str] = mapped_column(String(120))
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)

    __table_args__ = (
        ForeignKeyConstraint(["organization_id"], ["organization.id"], ondelete="CASCADE"),
        *owned("workflow"),
        Index("version_key", "organization_id", "id", unique=True),
        Index("version_number", "workflow_id", "number", unique=True),
        Index(
            "version_tried",
            "workflow_id",
            "plan_sha",
            unique=True,
            postgresql_where=text("number IS NULL"),
            sqlite_where=text("number IS NULL"),
        ),
    )

"""An organization and its members."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from webapp.access.permissions import Role
from webapp.access.tenancy import OrganizationOwned
from webapp.kernel.clock import now
from webapp.kernel.db import Base, Id, UtcDateTime
from webapp.kernel.ids import new_id, public_id

_ROLES = ", ".join(f"'{role.value}'" for role in Role)


class Organization(Base):
    __tablename__ = "organization"

    id: Mapped[UUID] = mapped_column(Id, primary_key=True, default=new_id)
    slug: Mapped[str] = mapped_column(String(40), unique=True)
    """Its part of every address; stays when the name changes, so that links do."""
    name: Mapped[str] = mapped_column(String(80))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)

    @property
    def public_id(self) -> str:
        return public_id("org", self.id)


class Membership(OrganizationOwned, Base):
    """A person in an organization, and what they are there."""

    __tablename__ = "membership"

    organization_id: Mapped[UUID] = mapped_column(
        Id, ForeignKey("organization.id", ondelete="CASCADE"), primary_key=True, sort_order=-1
    )
    user_id: Mapped[UUID] = mapped_column(
        Id, ForeignKey("user.id", ondelete="CASCADE"), primary_key=True
    )
    role_name: Mapped[str] = mapped_column("role", String(16))
    since: Mapped[datetime] = mapped_column(UtcDateTime, default=now)

    __table_args__ = (
        CheckConstraint(f"role IN ({_ROLES})", name="role"),
        Index("membership_user", "user_id"),
    )

    @property
    def role(self) -> Role:
        return Role(self.role_name)

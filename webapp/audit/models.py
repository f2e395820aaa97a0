"""The chain of entries of each organization, and its head."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKeyConstraint, Integer, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from webapp.access.tenancy import OrganizationOwned
from webapp.kernel.db import Base, Id, Json


class AuditEntry(OrganizationOwned, Base):
    """One act. Never updated or deleted; on PostgreSQL and SQLite a trigger refuses it."""

    __tablename__ = "audit"

    organization_id: Mapped[UUID] = mapped_column(Id, primary_key=True, sort_order=-1)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    at_us: Mapped[int] = mapped_column(BigInteger)
    """Microseconds since 1970: an exact number, since it is part of what is signed."""
    actor: Mapped[str] = mapped_column(String(160))
    action: Mapped[str] = mapped_column(String(60))
    object: Mapped[str] = mapped_column(String(200))
    before: Mapped[dict[str, Any] | None] = mapped_column(Json)
    after: Mapped[dict[str, Any] | None] = mapped_column(Json)
    request_id: Mapped[str] = mapped_column(String(40))
    prev: Mapped[bytes] = mapped_column(LargeBinary(32))
    mac: Mapped[bytes] = mapped_column(LargeBinary(32))

    __table_args__ = (
        ForeignKeyConstraint(["organization_id"], ["organization.id"], ondelete="CASCADE"),
    )


class AuditHead(OrganizationOwned, Base):
    """The newest entry of an organization's chain; its lock orders the writers."""

    __tablename__ = "audit_head"

    organization_id: Mapped[UUID] = mapped_column(Id, primary_key=True, sort_order=-1)
    seq: Mapped[int] = mapped_column(Integer, default=0)
    mac: Mapped[bytes] = mapped_column(LargeBinary(32))
    """Of the entry `seq`; zeros before the first."""

    __table_args__ = (
        ForeignKeyConstraint(["organization_id"], ["organization.id"], ondelete="CASCADE"),
    )

"""API keys, of which only a sealed hash is kept."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, LargeBinary, String, false
from sqlalchemy.orm import Mapped, mapped_column

from webapp.access.permissions import Role
from webapp.access.tenancy import OrganizationOwned, own
from webapp.kernel.clock import now
from webapp.kernel.db import Base, Id, Json, UtcDateTime
from webapp.kernel.ids import new_id, public_id

_ROLES = ", ".join(f"'{role.value}'" for role in Role)


class ApiKey(OrganizationOwned, Base):
    __tablename__ = "api_key"

    id: Mapped[UUID] = mapped_column(Id, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(80))
    lookup: Mapped[str] = mapped_column(String(8))
    """The first eight random letters; finds the row without telling the key."""
    hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    role_cap: Mapped[str] = mapped_column(String(16))
    """What it may do at most; its maker's present role limits it further."""
    allowed_ips: Mapped[list[str] | None] = mapped_column(Json)
    rate: Mapped[int | None] = mapped_column(Integer)
    """Requests a minute; None is the house's default."""
    made_by: Mapped[UUID | None] = mapped_column(Id, ForeignKey("user.id", ondelete="SET NULL"))
    """The person it speaks for; without one it is in use only if it is `by_command`."""
    by_command: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Made on the command line, in nobody's name."""
    made_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    replaces_id: Mapped[UUID | None] = mapped_column(Id)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        *own(),
        Index("api_key_hash", "lookup", "hash", unique=True),
        CheckConstraint(f"role_cap IN ({_ROLES})", name="role_cap"),
    )

    @property
    def public_id(self) -> str:
        return public_id("key", self.id)

    @property
    def role(self) -> Role:
        return Role(self.role_cap)

    @property
    def prefix(self) -> str:
        """What is shown of the key."""
        return f"dh_live_{self.lookup}"

"""A person, their sessions, and the link that makes the first one."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, CheckConstraint, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from webapp.kernel.clock import now
from webapp.kernel.db import Base, Id, Json, UtcDateTime
from webapp.kernel.ids import new_id, public_id


class User(Base):
    """A person. Belongs to no organization by itself: memberships say where."""

    __tablename__ = "user"

    id: Mapped[UUID] = mapped_column(Id, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(80))
    email: Mapped[str] = mapped_column(String(254))
    email_folded: Mapped[str] = mapped_column(String(254), unique=True)
    """The address as it is compared: case does not make two people."""
    password_hash: Mapped[str] = mapped_column(String(255))
    staff: Mapped[bool] = mapped_column(Boolean, default=False)
    """Looks after the whole machine; from the start only whoever set it up."""
    zone: Mapped[str] = mapped_column(String(64), default="UTC")
    theme: Mapped[str] = mapped_column(String(8), default="system")
    made_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)

    __table_args__ = (CheckConstraint("theme IN ('system', 'light', 'dark')", name="theme"),)

    @property
    def public_id(self) -> str:
        return public_id("usr", self.id)


class LoginSession(Base):
    """A signed-in browser. The key is the SHA-256 of its cookie; ended sessions have no row."""

    __tablename__ = "session"

    id_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    id: Mapped[UUID] = mapped_column(Id, unique=True, default=new_id)
    """What pages call it, so that its key never stands in an address."""
    user_id: Mapped[UUID] = mapped_column(Id, ForeignKey("user.id", ondelete="CASCADE"))
    csrf_secret: Mapped[str] = mapped_column(String(64))
    data: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    address: Mapped[str] = mapped_column(String(64), default="")
    agent: Mapped[str] = mapped_column(String(200), default="")

    __table_args__ = (
        Index("session_user", "user_id"),
        Index("session_expires", "expires_at"),
    )


class SetupLink(Base):
    """The one-time code by which the first person becomes owner; only its hash is kept."""

    __tablename__ = "setup_link"

    code_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

"""A file row says who may see which content; the bytes lie on the shelf under their SHA-256."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from webapp.access.tenancy import OrganizationOwned, own
from webapp.kernel.clock import now
from webapp.kernel.db import Base, Id, UtcDateTime
from webapp.kernel.ids import new_id


class File(OrganizationOwned, Base):
    """One named file of an organization."""

    __tablename__ = "file"

    id: Mapped[UUID] = mapped_column(Id, primary_key=True, default=new_id)
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(200))
    type: Mapped[str] = mapped_column(String(100))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    kept_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """None is for ever."""

    __table_args__ = (*own(), Index("file_sha", "sha256"), Index("file_kept", "kept_until"))

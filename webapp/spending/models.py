"""Prices of models, and the ledger: both are only ever added to."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, Integer, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from webapp.access.tenancy import OrganizationOwned
from webapp.kernel.db import Base, Id, Json, UtcDateTime


class Price(Base):
    """What one token of a model costs from a moment on; the rows of one moment belong together."""

    __tablename__ = "price"

    model: Mapped[str] = mapped_column(String(200), primary_key=True)
    kind: Mapped[str] = mapped_column(String(6), primary_key=True)
    """in, out or cached."""
    from_at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    nano_usd_per_token: Mapped[str] = mapped_column(String(30))
    """A decimal number as text, since prices go below a nano-dollar: "37.5"."""

    __table_args__ = ({"sqlite_with_rowid": False},)


class LedgerEntry(OrganizationOwned, Base):
    """One entry about one call of a model; `engine/ledger.py` says which kinds there are.

    It stays when its run is deleted: what was spent was spent.
    """

    __tablename__ = "ledger"

    id: Mapped[UUID] = mapped_column(Id, primary_key=True)
    run_id: Mapped[UUID] = mapped_column(Id)
    path: Mapped[str] = mapped_column(String(400))
    attempt: Mapped[int] = mapped_column(SmallInteger)
    n: Mapped[int] = mapped_column(Integer)
    """Which call of the attempt."""
    kind: Mapped[str] = mapped_column(String(11))
    model: Mapped[str] = mapped_column(String(200))
    tokens_in: Mapped[int] = mapped_column(Integer)
    tokens_out: Mapped[int] = mapped_column(Integer)
    tokens_cached: Mapped[int] = mapped_column(Integer)
    amount_nano: Mapped[int | None] = mapped_column(BigInteger)
    """None: nobody has said what the model costs."""
    price: Mapped[dict[str, Any] | None] = mapped_column(Json)
    """The rates used, in nano-dollars a token."""
    estimate: Mapped[bool] = mapped_column()
    at: Mapped[datetime] = mapped_column(UtcDateTime)

    __table_args__ = (
        Index("ledger_call", "run_id", "path", "attempt", "n", "kind", unique=True),
        Index("ledger_org_at", "organization_id", "at"),
        {"sqlite_with_rowid": False},
    )

"""What must reach another system at least once: written with the change, sent by the relay.

Rows are deliveries (mail, webhook, Slack, the audit anchor). Hints to our own processes are not:
they may be lost, see `hints.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import BigInteger, Index, Integer, String, delete, func, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from webapp.kernel.clock import now
from webapp.kernel.db import Base, Id, Json, UtcDateTime
from webapp.kernel.jitter import jittered

LEASE: Final = timedelta(seconds=60)
KEPT: Final = timedelta(days=7)
RETRIES_S: Final = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Seconds until the next try (Standard Webhooks 1.0.0); after the last one it is given up."""


class Delivery(Base):
    """One thing to send; receivers tell repeats by `key`."""

    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )
    organization_id: Mapped[UUID | None] = mapped_column(Id)
    kind: Mapped[str] = mapped_column(String(12))
    key: Mapped[str] = mapped_column(String(200), unique=True)
    payload: Mapped[dict[str, Any]] = mapped_column(Json)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    state: Mapped[str] = mapped_column(String(8), default="due")
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    fence: Mapped[int] = mapped_column(Integer, default=0)
    last_error: Mapped[str | None] = mapped_column(String(500))
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    __table_args__ = (
        Index(
            "outbox_due",
            "kind",
            "due_at",
            postgresql_where=text("state IN ('due', 'sending')"),
            sqlite_where=text("state IN ('due', 'sending')"),
        ),
    )


def post(
    session: Session, kind: str, key: str, payload: dict[str, Any], organization_id: UUID | None
) -> None:
    """Write a delivery into the caller's transaction; the relay sends it after the commit."""
    session.add(Delivery(kind=kind, key=key, payload=payload, organization_id=organization_id))


def claim(session: Session, kinds: Iterable[str], most: int = 20) -> Sequence[Delivery]:
    """Take deliveries that are due, or whose sender died with them; commit, then send.

    The caller's session must see every organization.
    """
    moment = now()
    query = (
        select(Delivery)
        .where(
            Delivery.kind.in_(list(kinds)),
            Delivery.due_at <= moment,
            (Delivery.state == "due")
            | ((Delivery.state == "sending") & (Delivery.lease_until < moment)),
        )
        .order_by(Delivery.due_at)
        .limit(most)
        .with_for_update(skip_locked=True)
    )
    taken = session.scalars(query).all()
    for delivery in taken:
        delivery.state, delivery.lease_until = "sending", moment + LEASE
        delivery.fence += 1
        delivery.attempts += 1
    return taken


def settle(session: Session, taken: Delivery, problem: str | None) -> None:
    """Write down how sending `taken` went; `problem` None is well.

    Nothing is written when another sender took it over meanwhile.
    """
    query = select(Delivery).where(Delivery.id == taken.id, Delivery.fence == taken.fence)
    delivery = session.scalars(query.with_for_update()).one_or_none()
    if delivery is None:
        return
    delivery.lease_until = None
    if problem is None:
        delivery.state, delivery.done_at = "done", now()
    elif delivery.attempts > len(RETRIES_S):
        delivery.state, delivery.last_error = "dead", problem[:500]
    else:
        pause = jittered(RETRIES_S[delivery.attempts - 1], 1.0)
        delivery.state, delivery.last_error = "due", problem[:500]
        delivery.due_at = now() + timedelta(seconds=pause)


def count_pending(session: Session) -> int:
    """Return how many deliveries are neither done nor given up."""
    pending = select(func.count()).where(Delivery.state.in_(["due", "sending"]))
    return session.scalar(pending) or 0


def forget_done(session: Session, before: datetime) -> int:
    """Delete deliveries that were done before a moment; returns how many."""
    old = select(Delivery.id).where(Delivery.state == "done", Delivery.done_at < before).limit(1000)
    ids = session.scalars(old).all()
    session.execute(delete(Delivery).where(Delivery.id.in_(ids)))
    return len(ids)

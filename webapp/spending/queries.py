"""Reads of prices and of the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, func, select
from sqlalchemy.orm import Session, aliased

from webapp.access.context import Context
from webapp.engine.ledger import SPENDS, Rates
from webapp.spending.models import LedgerEntry, Price


def rates_at(session: Session, model: str, at: datetime) -> Rates | None:
    """Return what a model costs at a moment; None: nobody has said."""
    newest = (
        select(func.max(Price.from_at))
        .where(Price.model == model, Price.from_at <= at)
        .scalar_subquery()
    )
    rows = session.execute(
        select(Price.kind, Price.nano_usd_per_token).where(
            Price.model == model, Price.from_at == newest
        )
    )
    found = {kind: Decimal(rate) for kind, rate in rows}
    if not {"in", "out"} <= found.keys():
        return None
    return Rates(found["in"], found["out"], found.get("cached", found["in"]))


def prices(session: Session) -> Sequence[Price]:
    """Return all prices there are and were, by model, newest first."""
    order = (Price.model, Price.from_at.desc(), Price.kind)
    return session.scalars(select(Price).order_by(*order)).all()


def _is_open() -> ColumnElement[bool]:
    """Whether an entry is a reservation that nothing has closed."""
    end = aliased(LedgerEntry)
    closed = exists().where(
        end.run_id == LedgerEntry.run_id,
        end.path == LedgerEntry.path,
        end.attempt == LedgerEntry.attempt,
        end.n == LedgerEntry.n,
        end.kind != "reserve",
    )
    return and_(LedgerEntry.kind == "reserve", ~closed)


def open_calls(session: Session, run_id: UUID) -> Sequence[LedgerEntry]:
    """Return the reservations of a run that nothing has closed."""
    query = select(LedgerEntry).where(LedgerEntry.run_id == run_id, _is_open())
    return session.scalars(query.order_by(LedgerEntry.path, LedgerEntry.attempt)).all()


def spent_nano(session: Session) -> int:
    """Return what all calls that the session may see have cost."""
    spent = select(func.sum(LedgerEntry.amount_nano)).where(LedgerEntry.kind.in_(SPENDS))
    return int(session.scalar(spent) or 0)


def reserved_nano(session: Session) -> int:
    """Return what is reserved for calls that are under way."""
    reserved = select(func.sum(LedgerEntry.amount_nano)).where(_is_open())
    return int(session.scalar(reserved) or 0)


def entries_of_step(ctx: Context, run_id: UUID, path: str) -> Sequence[LedgerEntry]:
    """Return what the ledger has of one step, in the order of its calls."""
    return ctx.session.scalars(
        select(LedgerEntry)
        .where(LedgerEntry.run_id == run_id, LedgerEntry.path == path)
        .order_by(LedgerEntry.attempt, LedgerEntry.n, LedgerEntry.at)
    ).all()

"""Say what models cost, and ask what calls of them did cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from uuid import UUID

from sqlalchemy import delete

from webapp.access.context import Context, requires, system_only
from webapp.access.permissions import Permission
from webapp.access.tenancy import across_organizations
from webapp.kernel.clock import now
from webapp.kernel.ids import new_id
from webapp.spending import queries
from webapp.spending.models import LedgerEntry, Price
from webapp.spending.schemas import NANO_A_TOKEN, ModelPrice, NewPrice


@dataclass(frozen=True, slots=True)
class Paid:
    """One call of a model as a page tells it.

    Attributes:
        amount_nano: None: the model had no price.
        rates: US dollars for a million tokens (in, out), as they were used.
        estimate: the call was cut off, or the server did not count.
    """

    model: str
    tokens_in: int
    tokens_out: int
    tokens_cached: int
    amount_nano: int | None
    rates: tuple[Decimal, Decimal] | None
    estimate: bool


@system_only
def set_price(ctx: Context, draft: NewPrice) -> ModelPrice:
    """Say what a model costs from a moment on; what was spent before keeps its price."""
    from_at = draft.from_at or now()
    cached = draft.usd_in if draft.usd_cached is None else draft.usd_cached
    rates = {"in": draft.usd_in, "out": draft.usd_out, "cached": cached}
    ctx.session.execute(delete(Price).where(Price.model == draft.model, Price.from_at == from_at))
    for kind, usd in rates.items():
        nano = format((usd * NANO_A_TOKEN).normalize(), "f")
        ctx.session.add(
            Price(model=draft.model, kind=kind, from_at=from_at, nano_usd_per_token=nano)
        )
    return ModelPrice(
        model=draft.model,
        from_at=from_at,
        usd_in=draft.usd_in,
        usd_out=draft.usd_out,
        usd_cached=cached,
        valid=from_at <= now(),
    )


@system_only
def list_prices(ctx: Context) -> list[ModelPrice]:
    """Return all prices there are, were and will be, by model, newest first."""
    moment = now()
    found: list[ModelPrice] = []
    for model, rows in groupby(queries.prices(ctx.session), key=lambda row: row.model):
        has_valid = False
        for from_at, of_moment in groupby(rows, key=lambda row: row.from_at):
            usd = {row.kind: Decimal(row.nano_usd_per_token) / NANO_A_TOKEN for row in of_moment}
            valid = from_at <= moment and not has_valid
            has_valid = has_valid or valid
            found.append(
                ModelPrice(
                    model=model,
                    from_at=from_at,
                    usd_in=usd["in"],
                    usd_out=usd["out"],
                    usd_cached=usd["cached"],
                    valid=valid,
                )
            )
    return found


@system_only
def machine_totals(ctx: Context) -> tuple[int, int]:
    """Return in nano-dollars what all calls have cost, and what is reserved for those under way."""
    with across_organizations(ctx.session, "add up the ledger"):
        return queries.spent_nano(ctx.session), queries.reserved_nano(ctx.session)


def interrupt_calls(ctx: Context, run_id: UUID) -> Sequence[LedgerEntry]:
    """Count what is reserved for calls of a run as spent: its worker is gone, and with it what
    they did cost. Returns what was written.
    """
    columns = ("path", "attempt", "n", "model", "tokens_in", "tokens_out", "tokens_cached")
    found = [
        LedgerEntry(
            id=new_id(), organization_id=ctx.organization_id, run_id=run_id, kind="interrupted",
            amount_nano=call.amount_nano, price=call.price, estimate=True, at=now(),
            **{name: getattr(call, name) for name in columns},
        )
        for call in queries.open_calls(ctx.session, run_id)
    ]  # fmt: skip
    ctx.session.add_all(found)
    return found


@requires(Permission.VIEW_RUNS)
def paid_by_step(ctx: Context, run_id: UUID, path: str) -> list[Paid]:
    """Return the calls of models that a step of a run has paid for, all its attempts."""
    found = []
    for row in queries.entries_of_step(ctx, run_id, path):
        if row.kind not in {"settle", "interrupted"}:
            continue
        usd = {kind: Decimal(rate) / NANO_A_TOKEN for kind, rate in (row.price or {}).items()}
        found.append(
            Paid(
                row.model,
                row.tokens_in,
                row.tokens_out,
                row.tokens_cached,
                row.amount_nano,
                (usd["in"], usd["out"]) if usd else None,
                row.estimate,
            )
        )
    return found

"""What every run of this machine did, for a check from outside that nothing was lost or doubled.

One entry for each run and each place in its plan, oldest run first. The vocabulary is PLAN.md's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select

from webapp.access.context import Context, system_only
from webapp.access.tenancy import across_organizations
from webapp.audit.service import verify_all
from webapp.kernel.ids import public_id
from webapp.kernel.outbox import count_pending
from webapp.runs.models import Lease, Run, Step
from webapp.spending.service import machine_totals

_AT_ONCE: Final = 500
_NANO: Final = Decimal(10) ** 9


@dataclass(frozen=True, slots=True)
class Totals:
    """What the machine holds beside its runs.

    Attributes:
        ledger_cost_usd: what all calls of models have cost, by the ledger.
        audit_ok: whether nobody rewrote the record of who did what.
        outbox_pending: deliveries that are still to be made.
        reserved_usd: what is reserved for calls of models that are under way.
        deliveries, quota: nothing yet; webhooks and plans fill them.
    """

    ledger_cost_usd: Decimal
    audit_ok: bool
    outbox_pending: int
    reserved_usd: Decimal = Decimal(0)
    deliveries: list[dict[str, str]] = field(default_factory=list)
    quota: dict[str, Any] = field(default_factory=lambda: {"reserved": 0, "used": 0, "limit": None})


@system_only
def runs_so_far(ctx: Context) -> Iterator[dict[str, Any]]:
    """Yield all runs of all organizations, a few hundred in memory at a time."""
    after = UUID(int=0)
    while True:
        with across_organizations(ctx.session, "export the history of all runs"):
            runs = ctx.session.execute(
                select(Run.id, Run.idem_key, Run.state, Run.cost_nano, Lease.cost_nano)
                .outerjoin(Lease, Lease.run_id == Run.id)
                .where(Run.id > after)
                .order_by(Run.id)
                .limit(_AT_ONCE)
            ).all()
            steps = _steps(ctx, [run[0] for run in runs])
        if not runs:
            return
        for run_id, key, state, cost, live_cost in runs:
            yield {
                "id": public_id("run", run_id),
                "key": key or "",
                "state": state,
                "steps": steps.get(run_id, []),
                "cost_usd": _dollars(live_cost or cost),
            }
        after = runs[-1][0]


@system_only
def totals(ctx: Context) -> Totals:
    """Return what is not about one run."""
    with across_organizations(ctx.session, "export the history of all runs"):
        pending = count_pending(ctx.session)
    spent, reserved = machine_totals(ctx)
    is_whole = all(chain.ok for chain in verify_all(ctx))
    return Totals(_dollars(spent), is_whole, pending, _dollars(reserved))


def _steps(ctx: Context, runs: Sequence[UUID]) -> dict[UUID, list[dict[str, Any]]]:
    """Return what stands at each place of these runs, numbered as they began."""
    rows = ctx.session.execute(
        select(
            Step.run_id, Step.path, Step.attempt, Step.state, Step.effect, Step.idem_key,
            Step.fence, Step.started_at,
        )
        .where(Step.run_id.in_(runs))
        .order_by(Step.run_id, Step.path, Step.attempt)
    )  # fmt: skip
    found: dict[UUID, list[Any]] = {}
    for (run_id, _), attempts in groupby(rows, key=lambda row: (row.run_id, row.path)):
        tries = list(attempts)
        found.setdefault(run_id, []).append((tries[0].started_at, tries[-1], len(tries)))
    return {
        run_id: [
            {
                "id": last.path,
                "n": n,
                "state": last.state,
                "attempts": count,
                "effect": last.effect,
                "idem": last.idem_key,
                "fence": last.fence,
            }
            for n, (_, last, count) in enumerate(sorted(places, key=lambda p: (p[0], p[1].path)), 1)
        ]
        for run_id, places in found.items()
    }


def _dollars(nano: int) -> Decimal:
    return Decimal(int(nano)) / _NANO

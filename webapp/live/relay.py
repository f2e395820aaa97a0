"""The relay's side of the outbox: take what is due, write down how sending went."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from webapp.access.context import Context, system_only
from webapp.access.tenancy import across_organizations
from webapp.kernel import outbox
from webapp.kernel.clock import now


@system_only
def take_deliveries(ctx: Context, kinds: Iterable[str]) -> Sequence[outbox.Delivery]:
    """Return up to 20 deliveries that are due, now leased to the caller."""
    with across_organizations(ctx.session, "relay deliveries"):
        return outbox.claim(ctx.session, kinds)


@system_only
def settle_delivery(ctx: Context, taken: outbox.Delivery, problem: str | None) -> None:
    """Write down that `taken` was sent, or why not."""
    with across_organizations(ctx.session, "relay deliveries"):
        outbox.settle(ctx.session, taken, problem)


@system_only
def forget_deliveries(ctx: Context) -> int:
    """Delete deliveries that were done a week ago; returns how many."""
    with across_organizations(ctx.session, "forget done deliveries"):
        return outbox.forget_done(ctx.session, now() - outbox.KEPT)

"""Write the record of who did what, and prove that nobody rewrote it.

Each entry carries an HMAC over its fields and over the entry before, under a key that is not in
the database (SECURITY.md P-15). The head leaves the database hourly through the outbox.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select

from webapp.access.context import Actor, Context, requires, system_only
from webapp.access.permissions import Permission, Role
from webapp.access.tenancy import across_organizations
from webapp.audit.models import AuditEntry, AuditHead
from webapp.kernel import jsons
from webapp.kernel.clock import now
from webapp.kernel.db import to_micros
from webapp.kernel.outbox import Delivery, post

_NO_MAC = bytes(32)


def record(
    ctx: Context,
    action: str,
    thing: str,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Add an entry to the caller's transaction.

    Args:
        action: what was done, "workflow.published".
        thing: public id of what it was done to.
        before: the changed fields as they were; never a secret.
        after: the changed fields as they are now; never a secret.
    """
    head = _locked_head(ctx)
    entry = AuditEntry(
        organization_id=ctx.organization_id,
        seq=head.seq + 1,
        at_us=to_micros(now()),
        actor=f"{ctx.actor.kind}:{ctx.actor.id or ''} {ctx.actor.name}"[:160],
        action=action,
        object=thing,
        before=before,
        after=after,
        request_id=ctx.request_id,
        prev=head.mac,
        mac=_NO_MAC,
    )
    entry.mac = _mac(ctx.settings.audit_key.get_secret_value(), entry)
    head.seq, head.mac = entry.seq, entry.mac
    ctx.session.add(entry)


def _locked_head(ctx: Context) -> AuditHead:
    head = ctx.session.scalars(select(AuditHead).with_for_update()).one_or_none()
    if head is None:
        head = AuditHead(organization_id=ctx.organization_id, seq=0, mac=_NO_MAC)
        ctx.session.add(head)
    return head


def _mac(key: str, entry: AuditEntry) -> bytes:
    """Return HMAC-SHA256 over the canonical JSON of all fields but the mac itself."""
    fields = {
        "organization": str(entry.organization_id),
        "seq": entry.seq,
        "at_us": entry.at_us,
        "actor": entry.actor,
        "action": entry.action,
        "object": entry.object,
        "before": entry.before,
        "after": entry.after,
        "request_id": entry.request_id,
        "prev": entry.prev.hex(),
    }
    text = jsons.canonical(fields)
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of one chain found.

    Attributes:
        broken_at: the first entry that does not fit, or None.
    """

    organization_id: UUID
    entries: int
    broken_at: int | None

    @property
    def ok(self) -> bool:
        return self.broken_at is None


@requires(Permission.VIEW_AUDIT)
def verify(ctx: Context) -> Verdict:
    """Recompute the organization's chain: each mac, each link, no gap, and the head."""
    key, expected, prev = ctx.settings.audit_key.get_secret_value(), 1, _NO_MAC
    for entry in ctx.session.scalars(select(AuditEntry).order_by(AuditEntry.seq)).yield_per(500):
        fits = entry.seq == expected and hmac.compare_digest(entry.prev, prev)
        if not fits or not hmac.compare_digest(entry.mac, _mac(key, entry)):
            return Verdict(ctx.organization_id, expected - 1, expected)
        expected, prev = expected + 1, entry.mac
    head = ctx.session.scalars(select(AuditHead)).one_or_none()
    known = (head.seq, head.mac) if head else (0, _NO_MAC)
    ok = known == (expected - 1, prev)
    return Verdict(ctx.organization_id, expected - 1, None if ok else expected)


@system_only
def verify_all(ctx: Context) -> list[Verdict]:
    """Verify the chain of every organization that has one."""
    with across_organizations(ctx.session, "verify all audit chains"):
        owners = set(ctx.session.scalars(select(AuditHead.organization_id)))
        owners |= set(ctx.session.scalars(select(AuditEntry.organization_id).distinct()))
    reader = Actor("system", None, "Command line", Role.OWNER)
    return [verify(Context(ctx.session, owner, reader, ctx.settings)) for owner in sorted(owners)]


@system_only
def anchor_heads(ctx: Context, hour: str) -> int:
    """Put the head of every chain that grew into the outbox, once an hour (`hour` names it).

    Returns how many there were. The relay writes them to a file outside the database.
    """
    with across_organizations(ctx.session, "anchor the audit heads"):
        heads = ctx.session.scalars(select(AuditHead)).all()
        keys = {f"anchor:{head.organization_id}:{head.seq}": head for head in heads}
        known = set(ctx.session.scalars(select(Delivery.key).where(Delivery.key.in_(keys))))
        for key in keys.keys() - known:
            head = keys[key]
            payload = {
                "organization": str(head.organization_id),
                "seq": head.seq,
                "mac": head.mac.hex(),
                "hour": hour,
            }
            post(ctx.session, "anchor", key, payload, head.organization_id)
    return len(keys.keys() - known)

"""Make, list, revoke and check API keys.

A key is `dh_live_`, 32 random letters and a checksum of 6, so that scanners know it and a mistyped
one costs no query. The row keeps an HMAC under a key derived from MASTER_KEY.
"""

from __future__ import annotations

import hmac
import secrets
import string
import threading
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address, ip_network
from typing import Final
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import and_, select, update
from sqlalchemy.orm import Session

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission, Role
from webapp.access.tenancy import across_organizations
from webapp.api_keys.models import ApiKey
from webapp.api_keys.schemas import MadeKey, NewKey
from webapp.audit.service import record
from webapp.kernel.clock import now
from webapp.kernel.errors import Forbidden
from webapp.kernel.ids import public_id
from webapp.kernel.tokens import derived_key, sealed_hash
from webapp.organizations.models import Membership, Organization

PREFIX: Final = "dh_live_"
LENGTH: Final = len(PREFIX) + 38
_LETTERS: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANKS: Final = {role: n for n, role in enumerate(Role)}  # the owner first, who may most


@requires(Permission.MANAGE_KEYS)
def create_key(ctx: Context, draft: NewKey) -> MadeKey:
    """Make a key; its text is in the answer and nowhere else.

    Raises:
        Forbidden: the key would be allowed more than whoever makes it, or a key makes it that
            speaks for nobody.
    """
    if ctx.actor.role is not None and _RANKS[draft.role] < _RANKS[ctx.actor.role]:
        raise Forbidden("E-ROLE", who=f"Only {draft.role.value}s", what="make such a key")
    text = new_key()
    row = ApiKey(
        organization_id=ctx.organization_id,
        name=draft.name,
        lookup=text[len(PREFIX) : len(PREFIX) + 8],
        hash=_hash(ctx.settings.master_key, text),
        role_cap=draft.role.value,
        made_by=_speaks_for(ctx),
        by_command=ctx.actor.kind == "system",
    )
    ctx.session.add(row)
    ctx.session.flush()
    record(ctx, "key.made", row.public_id, after={"name": row.name, "role": row.role_cap})
    return MadeKey(
        id=row.public_id,
        name=row.name,
        key=text,
        prefix=row.prefix,
        organization_id=public_id("org", ctx.organization_id),
        role=row.role,
    )


def _speaks_for(ctx: Context) -> UUID | None:
    """Return the person in whose name a new key acts; None: it is the command line's.

    What a key makes is its maker's, so that no person gets a second voice. A key of the command
    line makes none: each would be somebody else.
    """
    actor = ctx.actor
    if actor.kind != "key" or actor.id is None:
        return actor.id
    maker = maker_of(ctx, actor.id)
    if maker is None:
        raise Forbidden("E-ROLE", who="Only people and the command line", what="make a key")
    return maker


@requires(Permission.MANAGE_KEYS)
def list_keys(ctx: Context) -> Sequence[ApiKey]:
    """Return the keys that are not revoked, the newest first."""
    return ctx.session.scalars(
        select(ApiKey).where(ApiKey.revoked_at.is_(None)).order_by(ApiKey.id.desc())
    ).all()


@requires(Permission.MANAGE_KEYS)
def revoke_key(ctx: Context, key_id: UUID) -> ApiKey:
    """End a key for ever, in all processes within a second; again is no error."""
    key = ctx.get(ApiKey, key_id)
    if key.revoked_at is None:
        key.revoked_at = now()
        record(ctx, "key.revoked", key.public_id)
    ctx.session.flush()
    return key


@requires(Permission.VIEW_ORGANIZATION)
def maker_of(ctx: Context, key_id: UUID) -> UUID | None:
    """Return the person who made a key; None for one of the command line, or none here."""
    return ctx.session.scalar(select(ApiKey.made_by).where(ApiKey.id == key_id))


@requires(Permission.VIEW_ORGANIZATION)
def role_of_key(ctx: Context, key_id: UUID) -> Role | None:
    """Return what a key of the command line may do at most; None: no such key is in use here."""
    key = ctx.session.scalar(select(ApiKey).where(ApiKey.id == key_id))
    if key is None or not key.by_command or _is_over(key):
        return None
    return key.role


def new_key() -> str:
    body = PREFIX + "".join(secrets.choice(_LETTERS) for _ in range(32))
    return body + checksum(body)


def checksum(body: str) -> str:
    """Return the CRC-32 of `body` as six letters of base 62."""
    rest, letters = zlib.crc32(body.encode()), []
    for _ in range(6):
        rest, letter = divmod(rest, 62)
        letters.append(_LETTERS[letter])
    return "".join(reversed(letters))


def has_key_form(text: str) -> bool:
    """Whether `text` can be a key at all; answered without the database."""
    if len(text) != LENGTH or not text.startswith(PREFIX) or not text.isascii():
        return False
    return hmac.compare_digest(checksum(text[:-6]), text[-6:])


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A key that is in use, and what it may do now."""

    id: UUID
    name: str
    role: Role
    rate: int | None
    allowed_ips: tuple[str, ...]
    organization_id: UUID
    slug: str
    organization_name: str


def find_key(session: Session, master_key: SecretStr, text: str) -> FoundKey | None:
    """Return the key if it is in use: not revoked, not over, its maker still here."""
    sealed = _hash(master_key, text)
    statement = (
        select(ApiKey, Organization, Membership.role_name)
        .join(Organization, Organization.id == ApiKey.organization_id)
        .outerjoin(
            Membership,
            and_(
                Membership.organization_id == ApiKey.organization_id,
                Membership.user_id == ApiKey.made_by,
            ),
        )
        .where(ApiKey.lookup == text[len(PREFIX) : len(PREFIX) + 8])
    )
    with across_organizations(session, "key check"):
        rows = session.execute(statement).all()
    for key, organization, makers_role in rows:
        if hmac.compare_digest(key.hash, sealed):
            return _in_use(key, organization, makers_role)
    return None


def _in_use(key: ApiKey, organization: Organization, makers_role: str | None) -> FoundKey | None:
    if _is_over(key):
        return None
    if makers_role is None and not key.by_command:
        return None
    role = key.role
    if makers_role is not None:
        role = max(role, Role(makers_role), key=_RANKS.__getitem__)
    return FoundKey(
        id=key.id,
        name=key.name,
        role=role,
        rate=key.rate,
        allowed_ips=tuple(key.allowed_ips or ()),
        organization_id=organization.id,
        slug=organization.slug,
        organization_name=organization.name,
    )


def _is_over(key: ApiKey) -> bool:
    return key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now())


def address_allowed(key: FoundKey, address: str) -> bool:
    if not key.allowed_ips:
        return True
    try:
        caller = ip_address(address)
    except ValueError:
        return False
    return any(caller in ip_network(allowed, strict=False) for allowed in key.allowed_ips)


def note_used(session: Session, used: Mapping[UUID, datetime]) -> None:
    """Write when keys were last used: collected in Redis, since a GET writes nothing."""
    with across_organizations(session, "when keys were used"):
        for key_id, at in used.items():
            session.execute(update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=at))


class KeyCache:
    """The checked keys of this process, for less than a second.

    A revoked key must stop everywhere within a second, with or without Redis: so no entry gets
    older than that, and nobody needs to be told. At 200 requests a second it still saves 199
    queries of 200.
    """

    LIFE_S = 0.8
    MOST = 2_000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[bytes, tuple[float, FoundKey]] = {}

    def get(self, sealed: bytes) -> FoundKey | None:
        with self._lock:
            since, key = self._found.get(sealed, (0.0, None))
        return key if key is not None and time.monotonic() - since < self.LIFE_S else None

    def put(self, sealed: bytes, key: FoundKey, asked_at: float) -> None:
        """Keep `key`, as it was when the question began at `asked_at` (monotonic)."""
        with self._lock:
            if len(self._found) >= self.MOST:
                self._found.clear()
            self._found[sealed] = (asked_at, key)

    def clear(self) -> None:
        with self._lock:
            self._found.clear()


def _hash(master_key: SecretStr, text: str) -> bytes:
    return sealed_hash(derived_key(master_key, "api keys"), text)


def cache_key(master_key: SecretStr, text: str) -> bytes:
    """Return what a cache may hold in place of the key."""
    return _hash(master_key, text)

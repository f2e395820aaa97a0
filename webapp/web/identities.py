"""Who is asking: what the web must learn from the features above it.

`web` may not import `accounts`, `organizations` or `api_keys`; `app.py` registers an object that
answers these questions as `app.extensions["identities"]`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from flask import current_app, g, has_request_context

from webapp.access.context import Actor
from webapp.access.permissions import Permission, Role, allows
from webapp.kernel.ids import public_id


@dataclass(frozen=True, slots=True)
class Visitor:
    """A signed-in person and the session they came with.

    Attributes:
        session_hash: SHA-256 of the cookie, the key of the session's row.
        csrf_secret: what this session's form tokens are made from.
        data: small values kept with the session.
    """

    session_hash: bytes
    csrf_secret: str
    user_id: UUID
    name: str
    email: str
    staff: bool
    theme: str
    zone: str
    seen_at: datetime
    data: dict[str, Any] = field(default_factory=dict)

    # Flask-Login's words
    is_authenticated = True
    is_active = True
    is_anonymous = False

    def get_id(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return public_id("usr", self.user_id)

    @property
    def initials(self) -> str:
        words = self.name.split() or ["?"]
        return (words[0][:1] + (words[-1][:1] if len(words) > 1 else "")).upper()


@dataclass(frozen=True, slots=True)
class Place:
    """The organization a request is about, and what the actor is in it."""

    organization_id: UUID
    slug: str
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """A program with a key that is in use.

    Attributes:
        rate: requests a minute it may make; None is the house's default.
    """

    place: Place
    actor: Actor
    rate: int | None = None


class Identities(Protocol):
    def who(self, session_hash: bytes) -> tuple[Visitor, tuple[Place, ...]] | None:
        """Return who holds this session, if it has not ended, and every organization they are in.

        The first joined comes first. It holds for the request that asks, and no longer.
        """

    def keep(self, session_hash: bytes, data: dict[str, Any]) -> None:
        """Store the small values of a session."""

    def seen(self, visitor: Visitor, *, may_write: bool) -> None:
        """Note that the session is in use, so that it does not run out."""

    def home(self, user_id: UUID) -> Place | None:
        """Return the organization that the person joined first."""

    def places(self, user_id: UUID) -> tuple[Place, ...]:
        """Return every organization this person is in, the first joined first."""

    def standing(self, session_hashes: Collection[bytes]) -> dict[bytes, dict[UUID, Role]]:
        """Return the sessions that have not ended, each with its person's role by organization."""

    def key(self, raw: str) -> KeyHolder | None:
        """Return who holds this API key, if it is in use."""


def identities() -> Identities:
    found: Identities = current_app.extensions["identities"]
    return found


def visitor() -> Visitor | None:
    """Return the signed-in person of this request."""
    from webapp.web.sessions import current_session

    return current_session().visitor if has_request_context() else None


def places() -> tuple[Place, ...]:
    """Return every organization of this request's person, as of its beginning."""
    from webapp.web.sessions import current_session

    return current_session().places


def place() -> Place | None:
    found: Place | None = g.get("place")
    return found


def may(permission: Permission) -> bool:
    """Whether whoever asks holds `permission` where they are; for templates."""
    if permission is Permission.USE_STAFF_PAGES:
        person = visitor()
        return person is not None and person.staff
    here = place()
    return here is not None and allows(here.role, permission)

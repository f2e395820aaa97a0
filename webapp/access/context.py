"""The context a service function works in: whose data, on whose behalf."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Concatenate, Final, Literal, ParamSpec, TypeVar
from uuid import UUID

from sqlalchemy.orm import Session

from webapp.access.permissions import Permission, Role, allows, explain
from webapp.access.tenancy import OrganizationOwned, bind_organization
from webapp.kernel.errors import Forbidden, NotFound
from webapp.kernel.hints import Hints
from webapp.kernel.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")
Row = TypeVar("Row", bound=OrganizationOwned)


@dataclass(frozen=True, slots=True)
class Actor:
    """Whoever acts.

    Attributes:
        id: of the person or key; None for the system itself.
        role: what it may do here; None may do nothing.
        staff: whether the person also looks after the whole machine.
    """

    kind: Literal["person", "key", "system"]
    id: UUID | None
    name: str
    role: Role | None
    staff: bool = False


SYSTEM: Final = Actor("system", None, "Deckhand", None)
"""The machine itself: its own upkeep, in no organization and with no role in any."""

NOWHERE: Final = UUID(int=0)
"""The organization of upkeep: no row has it, so nothing is seen without a reason."""


@dataclass(frozen=True, slots=True)
class Context:
    """One unit of work in one organization.

    Made in few places: `web/doors.py` (cookie or key), `jobs/base.py` (job arguments) and
    `commands/`. Services take it as their first argument and look for the caller nowhere else.
    Whoever made it commits, then flushes `hints`.
    """

    session: Session
    organization_id: UUID
    actor: Actor
    settings: Settings
    request_id: str = ""
    hints: Hints = field(default_factory=Hints)

    def __post_init__(self) -> None:
        bind_organization(self.session, self.organization_id)

    def get(self, model: type[Row], row_id: UUID) -> Row:
        """Return this organization's row.

        Raises:
            NotFound: no such row here. Another organization's row is "not found" too, so that
                ids tell nothing to strangers.
        """
        row = self.session.get(model, row_id)
        if row is None:
            raise NotFound()
        return row

    def may(self, permission: Permission) -> bool:
        """Return whether the actor holds `permission` here."""
        if permission is Permission.USE_STAFF_PAGES:
            return self.actor.staff
        return allows(self.actor.role, permission)

    def require(self, permission: Permission) -> None:
        """Raise `Forbidden` unless the actor holds `permission`."""
        if not self.may(permission):
            raise Forbidden("E-ROLE", **explain(permission))


def requires(
    permission: Permission,
) -> Callable[[Callable[Concatenate[Context, P], R]], Callable[Concatenate[Context, P], R]]:
    """Check `permission` before a service function runs, whoever calls it."""

    def decorate(
        function: Callable[Concatenate[Context, P], R],
    ) -> Callable[Concatenate[Context, P], R]:
        @wraps(function)
        def guarded(ctx: Context, /, *args: P.args, **kwargs: P.kwargs) -> R:
            ctx.require(permission)
            return function(ctx, *args, **kwargs)

        guarded.permission = permission  # type: ignore[attr-defined]  # read by a test of all services
        return guarded

    return decorate


def system_only(
    function: Callable[Concatenate[Context, P], R],
) -> Callable[Concatenate[Context, P], R]:
    """Let only the machine's own upkeep call a service function; no role of a person may."""

    @wraps(function)
    def guarded(ctx: Context, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if ctx.actor is not SYSTEM:
            raise Forbidden("E-ROLE", who="Only the machine itself", what="do its upkeep")
        return function(ctx, *args, **kwargs)

    guarded.permission = "system"  # type: ignore[attr-defined]  # read by a test of all services
    return guarded

"""Keep each organization's rows to itself, whatever a query forgets to say.

A session is bound to one organization with `bind_organization`. From then on every ORM statement
that touches an `OrganizationOwned` class gets `AND organization_id = …` added, and every such row
that is written must belong to that organization. An unbound session may not touch those classes
at all: a missing scope is an error, never "all rows". On PostgreSQL row-level security does the
same beneath, fed by `app.organization_id`.

Looking across organizations is said with one word, `across_organizations`, and a reason.

Source: SQLAlchemy, "Adding global WHERE / ON criteria".
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, ForeignKeyConstraint, UniqueConstraint, event, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import (
    Mapped,
    ORMExecuteState,
    Session,
    SessionTransaction,
    mapped_column,
    with_loader_criteria,
)

from webapp.kernel.db import Base, Id, is_reading

log = logging.getLogger(__name__)

_SCOPE: Final = "organization"
EVERY: Final = "*"
"""The scope of `across_organizations`, also as PostgreSQL's policies know it."""


class UnscopedAccess(RuntimeError):
    """An organization's rows were touched by a session bound to none: a bug."""


class OrganizationOwned:
    """Mixin for every table whose rows belong to exactly one organization.

    Tables list `owned("parent")` in `__table_args__` for composite foreign keys, so that a row
    cannot point at another organization's row.
    """

    organization_id: Mapped[UUID] = mapped_column(Id, nullable=False, sort_order=-1)


def owned(*parents: str, **more: str) -> tuple[ForeignKeyConstraint, ...]:
    """Return composite foreign keys: `owned("workflow")` ties (organization_id, workflow_id).

    `more` names columns that are called otherwise: `owned(parent_id="run")`.
    """
    pairs = [(f"{parent}_id", parent) for parent in parents] + list(more.items())
    return tuple(
        ForeignKeyConstraint(
            ["organization_id", column],
            [f"{parent}.organization_id", f"{parent}.id"],
            ondelete="CASCADE",
        )
        for column, parent in pairs
    )


def own() -> tuple[ForeignKeyConstraint, UniqueConstraint]:
    """Return what a table needs that others point at: the organization and (organization, id)."""
    return (
        ForeignKeyConstraint(["organization_id"], ["organization.id"], ondelete="CASCADE"),
        UniqueConstraint("organization_id", "id"),
    )


def bind_organization(session: Session, organization_id: UUID) -> None:
    """Let `session` see and write this one organization's rows."""
    _change_scope(session, organization_id)


@contextmanager
def across_organizations(session: Session, reason: str) -> Iterator[None]:
    """Lift the limit for `reason`; grep for the callers to audit them."""
    before = session.info.get(_SCOPE)
    log.debug("across organizations: %s", reason)
    _change_scope(session, EVERY)
    try:
        yield
        session.flush()
    except BaseException:
        with suppress(SQLAlchemyError):  # a broken transaction must not hide what broke it
            _change_scope(session, before)
        raise
    _change_scope(session, before)


def _change_scope(session: Session, scope: UUID | str | None) -> None:
    session.info[_SCOPE] = scope
    _forget_rows_of_others(session, scope)
    if session.in_transaction():
        tell_database(session.connection(), scope)


def _forget_rows_of_others(session: Session, scope: UUID | str | None) -> None:
    """Detach foreign rows: `Session.get` answers from memory, where no WHERE applies."""
    if scope == EVERY:
        return
    for row in list(session.identity_map.values()):
        # An expired row would have to be read again to learn its owner: forget it as well.
        if isinstance(row, OrganizationOwned) and row.__dict__.get("organization_id") != scope:
            session.expunge(row)


def tell_database(connection: Connection, scope: UUID | str | None) -> None:
    """Set what PostgreSQL's policies compare with, for this transaction only."""
    if connection.dialect.name == "postgresql":
        connection.execute(
            text(
                "SELECT set_config('app.organization_id', :scope, true),"
                " set_config('transaction_read_only', :reading, true)"
            ),
            {"scope": str(scope or ""), "reading": "on" if is_reading() else "off"},
        )


@event.listens_for(Session, "after_begin")
def _scope_new_transaction(session: Session, _: SessionTransaction, connection: Connection) -> None:
    tell_database(connection, session.info.get(_SCOPE))


@event.listens_for(Session, "do_orm_execute")
def _limit_to_organization(state: ORMExecuteState) -> None:
    scope = state.session.info.get(_SCOPE)
    if scope == EVERY or state.is_column_load or state.is_relationship_load:
        return
    owned_here = any(issubclass(m.class_, OrganizationOwned) for m in state.all_mappers)
    if not owned_here:
        return
    if scope is None:
        names = ", ".join(mapper.class_.__name__ for mapper in state.all_mappers)
        raise UnscopedAccess(f"query on {names} outside any organization")
    state.statement = state.statement.options(
        with_loader_criteria(
            OrganizationOwned,
            lambda cls: cls.organization_id == scope,
            include_aliases=True,
        )
    )


@event.listens_for(Session, "before_flush")
def _write_to_organization_only(session: Session, *_: Any) -> None:
    scope = session.info.get(_SCOPE)
    if scope == EVERY:
        return
    new = session.new  # made anew by each look at it
    rows: Iterable[Any] = [*new, *session.dirty, *session.deleted]
    for row in rows:
        if not isinstance(row, OrganizationOwned):
            continue
        if row in new and row.__dict__.get("organization_id") is None and scope is not None:
            row.organization_id = scope
        if scope is None or row.__dict__.get("organization_id", scope) != scope:
            raise UnscopedAccess(f"{type(row).__name__} written outside its organization")


def owned_tables() -> list[str]:
    """Return the names of all tables with an organization, sorted."""
    return sorted(
        mapper.local_table.name  # type: ignore[attr-defined]  # mapped classes have tables
        for mapper in Base.registry.mappers
        if issubclass(mapper.class_, OrganizationOwned)
    )


def policy_statements(table: str) -> list[str]:
    """Return the PostgreSQL statements that put row-level security under `table`.

    FORCE binds the owner too. The setting is "" on a pooled connection's next transaction, so
    it goes through a CASE before it is read as a uuid (RULINGS.md 2.1.7).
    """
    setting = "current_setting('app.organization_id', true)"
    same = (
        f"organization_id = (SELECT CASE WHEN coalesce({setting}, '') IN ('', '{EVERY}')"
        f" THEN NULL ELSE {setting}::uuid END)"
    )
    every = f"(SELECT coalesce({setting}, '') = '{EVERY}')"
    return [
        f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY',
        f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY',
        f'CREATE POLICY organization ON "{table}" USING ({every} OR {same})',
    ]

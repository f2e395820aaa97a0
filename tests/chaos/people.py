"""Who uses the stack of a row: somebody signed in, and another organization."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.chaos.stack import Stack
from tests.conftest import test_settings
from webapp.access.permissions import Role
from webapp.accounts import service as accounts
from webapp.accounts.models import User
from webapp.commands.unit import unit
from webapp.kernel.settings import Settings
from webapp.organizations import service as organizations
from webapp.organizations.models import Organization


def settings(stack: Stack) -> Settings:
    """Return what the parts of the stack were started with."""
    return test_settings(stack.data, stack.database, REDIS_URL=stack.valkey.url)


@contextmanager
def rows(stack: Stack) -> Iterator[Session]:
    """Yield a session for rows that a row of the suite begins with; they are committed behind."""
    with unit(settings(stack)) as session:
        yield session


def sign_in(stack: Stack, role: Role = Role.MEMBER, name: str = "Ada") -> str:
    """Return the cookie of somebody new in the stack's organization."""
    with rows(stack) as session:
        organization = session.scalars(select(Organization)).first()
        assert organization is not None
        email = f"{name.lower()}@example.com"
        person = User(name=name, email=email, email_folded=email, password_hash="none")
        session.add(person)
        session.flush()
        organizations.add_member(session, organization.id, person.id, role)
        token, _ = accounts.begin_session(session, person.id, "127.0.0.1", "Test")
    return token


def neighbor(stack: Stack, slug: str) -> str:
    """Make another organization and return a key of its own."""
    with rows(stack) as session:
        session.add(Organization(slug=slug, name=slug.capitalize()))
    made = stack.command("keys", "create", "--name", "n", "--org", slug, "--json")
    return str(json.loads(made)["key"])

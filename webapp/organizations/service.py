"""Organizations: the first one, and finding the one that is meant."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from webapp.access.permissions import Role
from webapp.access.tenancy import across_organizations
from webapp.kernel.errors import Invalid, NotFound, field_error
from webapp.kernel.ids import parse_id
from webapp.organizations.models import Membership, Organization

FIRST_NAME = "My organization"
FIRST_SLUG = "main"


def ensure_first_organization(session: Session) -> Organization:
    """Return the only organization of a new machine, made if there is none.

    Before set-up it has no owner: the one exception to "every organization has one", so that the
    bundled example has a place to run.
    """
    first = session.scalar(select(Organization).order_by(Organization.id).limit(1))
    if first is None:
        first = Organization(slug=FIRST_SLUG, name=FIRST_NAME)
        session.add(first)
        session.flush()
    return first


def give_first_owner(session: Session, user_id: UUID, name: str) -> Organization:
    """Hand the ownerless organization to the person who set the machine up."""
    organization = ensure_first_organization(session)
    organization.name = name
    add_member(session, organization.id, user_id, Role.OWNER)
    return organization


def add_member(session: Session, organization_id: UUID, user_id: UUID, role: Role) -> Membership:
    with across_organizations(session, "a member joins"):
        member = Membership(
            organization_id=organization_id, user_id=user_id, role_name=role.value
        )  # fmt: skip
        session.add(member)
    return member


def find_organization(session: Session, named: str | None = None) -> Organization:
    """Return the organization with this slug or public id; without a name, the only one there is.

    Raises:
        Invalid: none is named and there are several.
        NotFound: no such organization.
    """
    if named is None:
        found = session.scalars(select(Organization).order_by(Organization.id).limit(2)).all()
        if len(found) > 1:
            slugs = session.scalars(select(Organization.slug).order_by(Organization.slug)).all()
            text = f"There are several organizations. Name one: {', '.join(slugs[:20])}."
            raise Invalid([field_error("/org", "E-FIELD", what="Organization", text=text)])
        if not found:
            raise NotFound()
        return found[0]
    by_slug = session.scalar(select(Organization).where(Organization.slug == named))
    organization = by_slug or session.get(Organization, parse_id("org", named))
    if organization is None:
        raise NotFound()
    return organization


def membership_at(
    session: Session, user_id: UUID, slug: str
) -> tuple[Organization, Membership] | None:
    """Return the organization with this slug and what the person is there, if anything."""
    with across_organizations(session, "what a person is in an organization"):
        found = session.execute(
            select(Organization, Membership)
            .join(Membership, Membership.organization_id == Organization.id)
            .where(Organization.slug == slug, Membership.user_id == user_id)
        ).first()
    return (found[0], found[1]) if found else None


def first_slug_of(session: Session, user_id: UUID) -> str | None:
    """Return the address of the organization that the person joined first."""
    with across_organizations(session, "the organizations of a person"):
        return session.scalar(
            select(Organization.slug)
            .join(Membership, Membership.organization_id == Organization.id)
            .where(Membership.user_id == user_id)
            .order_by(Membership.since, Organization.id)
            .limit(1)
        )


def has_owner(session: Session, organization_id: UUID) -> bool:
    with across_organizations(session, "whether an organization has an owner"):
        count = session.scalar(
            select(func.count())
            .select_from(Membership)
            .where(
                Membership.organization_id == organization_id,
                Membership.role_name == Role.OWNER.value,
            )
        )
    return bool(count)


def memberships_of(session: Session, user_id: UUID) -> list[tuple[Organization, Membership]]:
    """Return every organization of a person with what they are there, the first joined first."""
    with across_organizations(session, "the organizations of a person"):
        found = session.execute(
            select(Organization, Membership)
            .join(Membership, Membership.organization_id == Organization.id)
            .where(Membership.user_id == user_id)
            .order_by(Membership.since, Organization.id)
        ).all()
    return [(organization, member) for organization, member in found]


def roles_of(session: Session, user_ids: Collection[UUID]) -> dict[UUID, dict[UUID, Role]]:
    """Return what each of these people is, by organization."""
    found: dict[UUID, dict[UUID, Role]] = {user_id: {} for user_id in user_ids}
    with across_organizations(session, "what people with open pages may still see"):
        for member in session.scalars(select(Membership).where(Membership.user_id.in_(user_ids))):
            found[member.user_id][member.organization_id] = member.role
    return found

"""Organizations: the first one, and finding the one that is meant."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from webapp.access.context import Context, requires
from webapp.access.permissions import Permission, Role
from webapp.access.tenancy import across_organizations
from webapp.accounts.service import Person, people
from webapp.kernel.errors import Invalid, NotFound, field_error
from webapp.kernel.ids import parse_id
from webapp.kernel.rawsql import sql_for
from webapp.organizations.models import Membership, Organization

FIRST_NAME = "My organization"
FIRST_SLUG = "main"


def ensure_first_organization(session: Session) -> Organization:
    """Return the only organization of a new machine, made if there is none.

    Before set-up it has no owner: the one exception to "every organization has one", so that the
    bundled example has a place to run.
    """
    oldest = select(Organization).order_by(Organization.id).limit(1)
    first = session.scalar(oldest)
    if first is not None:
        return first
    first = Organization(slug=FIRST_SLUG, name=FIRST_NAME)
    try:
        with session.begin_nested():
            session.add(first)
    except IntegrityError:  # another process made it at the same moment
        first = session.scalars(oldest).one()
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


@dataclass(frozen=True, slots=True)
class Standing:
    """What a person is in one organization."""

    organization_id: UUID
    slug: str
    name: str
    role: Role


# Every page asks this, so it goes to the driver as text.
_STANDINGS = """
SELECT o.id, o.slug, o.name, m.role
  FROM membership m JOIN organization o ON o.id = m.organization_id
 WHERE m.user_id = :user ORDER BY m.since, o.id"""


def standings_of(session: Session, user_id: UUID) -> tuple[Standing, ...]:
    """Return what a person is in each of their organizations, the first joined first."""
    with across_organizations(session, "the organizations of a person"):
        connection = session.connection()
        sql = sql_for(connection.dialect.name)
        found = connection.exec_driver_sql(sql(_STANDINGS), {"user": sql.id(user_id)}).all()
    return tuple(Standing(sql.read_id(row[0]), row[1], row[2], Role(row[3])) for row in found)


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


def roles_of(session: Session, user_ids: Collection[UUID]) -> dict[UUID, dict[UUID, Role]]:
    """Return what each of these people is, by organization."""
    found: dict[UUID, dict[UUID, Role]] = {user_id: {} for user_id in user_ids}
    with across_organizations(session, "what people with open pages may still see"):
        for member in session.scalars(select(Membership).where(Membership.user_id.in_(user_ids))):
            found[member.user_id][member.organization_id] = member.role
    return found


@dataclass(frozen=True, slots=True)
class Member:
    """A person in an organization."""

    person: Person
    role: Role

    @property
    def id(self) -> UUID:
        return self.person.id


@requires(Permission.VIEW_ORGANIZATION)
def members_of(ctx: Context, roles: Collection[Role] = tuple(Role)) -> list[Member]:
    """Return the members who have one of these roles, by name."""
    found = ctx.session.scalars(
        select(Membership).where(Membership.role_name.in_([role.value for role in roles]))
    ).all()
    known = people(ctx.session, [one.user_id for one in found])
    members = [Member(known[one.user_id], one.role) for one in found if one.user_id in known]
    return sorted(members, key=lambda member: (member.person.name.casefold(), member.id))

"""Finding the organization that is meant."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from tests.fixtures import House
from webapp.access.permissions import Role
from webapp.kernel.errors import Invalid, NotFound
from webapp.kernel.ids import public_id
from webapp.organizations import service


def test_the_first_organization_is_made_once(writer: Session) -> None:
    first = service.ensure_first_organization(writer)

    assert service.ensure_first_organization(writer).id == first.id
    assert (first.slug, first.name) == ("main", "My organization")
    assert not service.has_owner(writer, first.id)


def test_the_only_one_needs_no_name(writer: Session, acme: House) -> None:
    assert service.find_organization(writer).slug == "acme"


def test_of_several_one_must_be_named(writer: Session, acme: House, other: House) -> None:
    with pytest.raises(Invalid) as caught:
        service.find_organization(writer)

    assert "acme, other" in caught.value.errors[0].detail
    assert service.find_organization(writer, "other").id == other.organization_id
    by_id = service.find_organization(writer, public_id("org", acme.organization_id))
    assert by_id.slug == "acme"


@pytest.mark.parametrize("name", ["nobody", "org_", "org_" + "0" * 26, ""])
def test_one_that_is_not_there_is_not_found(writer: Session, acme: House, name: str) -> None:
    with pytest.raises(NotFound):
        service.find_organization(writer, name)


def test_a_person_is_what_their_membership_says(writer: Session, acme: House, other: House) -> None:
    viewer = acme.people[Role.VIEWER]
    service.add_member(writer, other.organization_id, viewer, Role.ADMIN)

    found = service.standings_of(writer, viewer)

    assert [(one.slug, one.role) for one in found] == [
        ("acme", Role.VIEWER),
        ("other", Role.ADMIN),
    ]
    assert [one.slug for one in service.standings_of(writer, other.people[Role.ADMIN])] == ["other"]

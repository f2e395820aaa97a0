"""A statement as text is run only when it says whose rows it wants."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from tests.fixtures import House, context
from webapp.access.context import Context
from webapp.access.own_rows import OwnRows
from webapp.access.tenancy import UnscopedAccess
from webapp.kernel.settings import Settings
from webapp.workflows.schemas import NewWorkflow
from webapp.workflows.service import create_workflow


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT r.id FROM run r",
        "SELECT id FROM run WHERE organization_id = :org",
        "SELECT r.id FROM run r JOIN workflow w ON w.id = r.workflow_id"
        " WHERE r.organization_id = :org",
        "SELECT r.id FROM run r, lease l WHERE r.organization_id = :org",
        "SELECT r.id FROM run r WHERE r.organization_id = :org"
        " AND EXISTS (SELECT 1 FROM lease r WHERE r.run_id = :run)",
        "SELECT r.id FROM run r WHERE r.organization_id = :organization",
    ],
)
def test_a_table_that_is_not_limited_is_refused(statement: str, ctx: Context) -> None:
    with pytest.raises(UnscopedAccess):
        OwnRows(statement)(ctx)


def test_it_sees_the_rows_of_its_own_organization(
    writer: Session, acme: House, other: House, settings: Settings
) -> None:
    houses = {"Ours": acme, "Theirs": other}
    for name, house in houses.items():
        create_workflow(context(writer, house, settings), NewWorkflow(name=name))
    names = OwnRows("SELECT w.name FROM workflow w WHERE w.organization_id = :org")

    seen = {name: names(context(writer, house, settings)) for name, house in houses.items()}

    assert {name: [row[0] for row in rows] for name, rows in seen.items()} == {
        "Ours": ["Ours"],
        "Theirs": ["Theirs"],
    }

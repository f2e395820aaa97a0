"""Long lists as parts: runs that belong to another run and stand in no list. Keys of the command
line are marked as such.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from webapp.kernel import db

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in _run_columns():
        op.add_column("run", column)
    op.add_column("lease", _below())
    _make_lists("kind <> 'part'")
    by_command = sa.Column("by_command", sa.Boolean(), nullable=False, server_default=sa.false())
    op.add_column("api_key", by_command)
    op.execute("UPDATE api_key SET by_command = (made_by IS NULL)")


def downgrade() -> None:
    op.drop_column("api_key", "by_command")
    op.drop_column("lease", "below_nano")
    _make_lists(None)
    for column in _run_columns():
        op.drop_column("run", column.name)


_LISTS = (
    ("run_org", ["organization_id", "id"]),
    ("run_org_state", ["organization_id", "state", "id"]),
    ("run_org_workflow", ["organization_id", "workflow_id", "id"]),
    ("run_org_by", ["organization_id", "started_by", "id"]),
)


def _make_lists(only: str | None) -> None:
    """Make the indexes that lists of runs follow anew, of all runs or of some."""
    where = None if only is None else sa.text(only)
    for name, columns in _LISTS:
        op.drop_index(name, "run")
        op.create_index(name, "run", columns, postgresql_where=where, sqlite_where=where)


def _run_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("part", db.Json(), nullable=True),
        sa.Column("limit_nano", sa.BigInteger(), nullable=True),
        _below(),
    ]


def _below() -> sa.Column[Any]:
    return sa.Column("below_nano", sa.BigInteger(), nullable=False, server_default="0")

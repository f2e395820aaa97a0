"""What the whole plan language needs: runs of runs, repeated runs, and signals from outside."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from webapp.kernel import db

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

OWNED = ("signal",)


def upgrade() -> None:
    for column in _run_columns():
        op.add_column("run", column)
    _partial_index("run_parent", "run", "parent_run")
    _partial_index("run_again", "run", "again_of")
    op.create_table(
        "signal",
        sa.Column("organization_id", db.Id(), nullable=False),
        sa.Column("run_id", db.Id(), nullable=False),
        sa.Column("id", db.Id(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("key", sa.String(length=400), nullable=False),
        sa.Column("data", db.Json(), nullable=True),
        sa.Column("by", sa.String(length=120), nullable=False),
        sa.Column("at", db.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "id", name=op.f("signal_pkey")),
        sqlite_with_rowid=False,
    )
    if op.get_bind().dialect.name == "postgresql":
        for table in OWNED:
            _separate_organizations(table)


def downgrade() -> None:
    op.drop_table("signal")
    op.drop_index("run_again", "run")
    op.drop_index("run_parent", "run")
    for column in _run_columns():
        op.drop_column("run", column.name)


def _run_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("parent_run", db.Id(), nullable=True),
        sa.Column("parent_path", sa.String(length=400), nullable=True),
        sa.Column("depth", sa.SmallInteger(), nullable=False, server_default="0"),
        sa.Column("again_of", db.Id(), nullable=True),
        sa.Column("again_from", sa.String(length=400), nullable=True),
    ]


def _partial_index(name: str, table: str, column: str) -> None:
    known = sa.text(f"{column} IS NOT NULL")
    op.create_index(name, table, [column], postgresql_where=known, sqlite_where=known)


def _separate_organizations(table: str) -> None:
    """Let each transaction see only the rows of app.organization_id, or all of them for "*"."""
    setting = "current_setting('app.organization_id', true)"
    same = (
        f"organization_id = (SELECT CASE WHEN coalesce({setting}, '') IN ('', '*')"
        f" THEN NULL ELSE {setting}::uuid END)"
    )
    every = f"(SELECT coalesce({setting}, '') = '*')"
    op.execute(f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY')
    op.execute(f'ALTER TABLE "{table}" FORCE ROW LEVEL SECURITY')
    op.execute(f'CREATE POLICY organization ON "{table}" USING ({every} OR {same})')

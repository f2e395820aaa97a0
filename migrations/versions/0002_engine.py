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

OWNED = ("signal", "approval", "approval_person", "gate", "ledger")


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
    for column in _step_columns():
        op.add_column("step", column)
    _approvals()
    _queues()
    _money()
    if op.get_bind().dialect.name == "postgresql":
        for table in OWNED:
            _separate_organizations(table)


def downgrade() -> None:
    op.drop_table("ledger")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION ledger_only_grows()")
    op.drop_table("price")
    _drop_queues()
    op.drop_table("approval_person")
    op.drop_table("approval")
    op.drop_table("signal")
    op.drop_index("run_again", "run")
    op.drop_index("run_parent", "run")
    for column in _step_columns():
        op.drop_column("step", column.name)
    for column in _run_columns():
        op.drop_column("run", column.name)


def _approvals() -> None:
    op.create_table(
        "approval",
        sa.Column("organization_id", db.Id(), nullable=False),
        sa.Column("id", db.Id(), nullable=False),
        sa.Column("run_id", db.Id(), nullable=False),
        sa.Column("path", sa.String(length=400), nullable=False),
        sa.Column("round", sa.SmallInteger(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("request_sha", sa.String(length=64), nullable=False),
        sa.Column("nonce", sa.LargeBinary(length=32), nullable=False),
        sa.Column("who", db.Json(), nullable=False),
        sa.Column("need", sa.SmallInteger(), nullable=False),
        sa.Column("not_starter", sa.Boolean(), nullable=False),
        sa.Column("deputy", db.Json(), nullable=True),
        sa.Column("made_at", db.UtcDateTime(), nullable=False),
        sa.Column("due_at", db.UtcDateTime(), nullable=True),
        sa.Column("due_s", sa.Integer(), nullable=True),
        sa.Column("pass_to", db.Json(), nullable=True),
        sa.Column("remind_at", db.UtcDateTime(), nullable=True),
        sa.Column("look_at", db.UtcDateTime(), nullable=True),
        sa.Column("told_at", db.UtcDateTime(), nullable=True),
        sa.Column("passed_at", db.UtcDateTime(), nullable=True),
        sa.Column("decision", sa.String(length=10), nullable=True),
        sa.Column("decided_by", db.Id(), nullable=True),
        sa.Column("decided_by_name", sa.String(length=120), nullable=True),
        sa.Column("via", sa.String(length=6), nullable=True),
        sa.Column("decided_at", db.UtcDateTime(), nullable=True),
        sa.Column("effective_at", db.UtcDateTime(), nullable=True),
        sa.Column("note", sa.String(length=2000), nullable=True),
        sa.Column("values", db.Json(), nullable=True),
        sa.Column("answers", db.Json(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id", "run_id"],
            ["run.organization_id", "run.id"],
            name=op.f("approval_organization_id_run_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("approval_pkey")),
        sqlite_with_rowid=False,
    )
    op.create_index("approval_run", "approval", ["run_id", "path", "round"], unique=True)
    is_open = sa.text("state = 'open'")
    op.create_index(
        "approval_open",
        "approval",
        ["organization_id", "id"],
        postgresql_where=is_open,
        sqlite_where=is_open,
    )
    _partial_index("approval_look", "approval", "look_at")
    op.create_table(
        "approval_person",
        sa.Column("organization_id", db.Id(), nullable=False),
        sa.Column("approval_id", db.Id(), nullable=False),
        sa.Column("person_id", db.Id(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("agreed_at", db.UtcDateTime(), nullable=True),
        sa.Column("via", sa.String(length=6), nullable=True),
        sa.ForeignKeyConstraint(
            ["approval_id"],
            ["approval.id"],
            name=op.f("approval_person_approval_id_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("approval_id", "person_id", name=op.f("approval_person_pkey")),
        sqlite_with_rowid=False,
    )


_LEDGER_GROWS_POSTGRESQL = (
    """CREATE FUNCTION ledger_only_grows() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN RAISE EXCEPTION 'the ledger only grows'; END $$""",
    """CREATE TRIGGER ledger_only_grows BEFORE UPDATE OR DELETE ON ledger
       FOR EACH ROW EXECUTE FUNCTION ledger_only_grows()""",
)
_LEDGER_GROWS_SQLITE = (
    """CREATE TRIGGER ledger_no_update BEFORE UPDATE ON ledger
       BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END""",
    """CREATE TRIGGER ledger_no_delete BEFORE DELETE ON ledger
       BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END""",
)


def _money() -> None:
    op.create_table(
        "price",
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=6), nullable=False),
        sa.Column("from_at", db.UtcDateTime(), nullable=False),
        sa.Column("nano_usd_per_token", sa.String(length=30), nullable=False),
        sa.PrimaryKeyConstraint("model", "kind", "from_at", name=op.f("price_pkey")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger",
        sa.Column("organization_id", db.Id(), nullable=False),
        sa.Column("id", db.Id(), nullable=False),
        sa.Column("run_id", db.Id(), nullable=False),
        sa.Column("path", sa.String(length=400), nullable=False),
        sa.Column("attempt", sa.SmallInteger(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=11), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("tokens_in", sa.Integer(), nullable=False),
        sa.Column("tokens_out", sa.Integer(), nullable=False),
        sa.Column("tokens_cached", sa.Integer(), nullable=False),
        sa.Column("amount_nano", sa.BigInteger(), nullable=True),
        sa.Column("price", db.Json(), nullable=True),
        sa.Column("estimate", sa.Boolean(), nullable=False),
        sa.Column("at", db.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("ledger_pkey")),
        sqlite_with_rowid=False,
    )
    call = ["run_id", "path", "attempt", "n", "kind"]
    op.create_index("ledger_call", "ledger", call, unique=True)
    op.create_index("ledger_org_at", "ledger", ["organization_id", "at"])
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    for statement in _LEDGER_GROWS_POSTGRESQL if is_postgresql else _LEDGER_GROWS_SQLITE:
        op.execute(statement)


def _step_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("due_ms", sa.BigInteger(), nullable=True),
        sa.Column("due_boot", sa.String(length=40), nullable=True),
    ]


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


def _queues() -> None:
    """What holds runs back: pauses, limits, and the order of a queue."""
    for table, columns in (("lease", _lease_columns()), ("fair", _fair_columns())):
        for column in columns:
            op.add_column(table, column)
    _fill_lease()
    op.create_index("lease_place", "lease", ["organization_id", "state", "workflow_id"])
    for name, columns, only in _LEASE_INDEXES:
        where = sa.text(only)
        op.create_index(name, "lease", columns, postgresql_where=where, sqlite_where=where)
    op.create_table(
        "gate",
        sa.Column("organization_id", db.Id(), nullable=False),
        sa.Column("scope_id", db.Id(), nullable=False),
        sa.Column("run_mode", sa.String(length=10), nullable=False),
        sa.Column("most_running", sa.Integer(), nullable=True),
        *_pause_columns(),
        sa.PrimaryKeyConstraint("organization_id", "scope_id", name=op.f("gate_pkey")),
    )
    op.create_table(
        "queue_setting",
        sa.Column("queue", sa.String(length=40), nullable=False),
        sa.Column("mode", sa.String(length=8), nullable=False),
        sa.Column("max_waiting", sa.Integer(), nullable=True),
        *_pause_columns(),
        sa.PrimaryKeyConstraint("queue", name=op.f("queue_setting_pkey")),
    )


def _drop_queues() -> None:
    op.drop_table("queue_setting")
    op.drop_table("gate")
    for name, _, _ in _LEASE_INDEXES:
        op.drop_index(name, "lease")
    op.drop_index("lease_place", "lease")
    for table, columns in (("lease", _lease_columns()), ("fair", _fair_columns())):
        for column in columns:
            op.drop_column(table, column.name)


_LEASE_INDEXES = (
    ("lease_begun", ["workflow_id"], "fence > 0"),
    ("lease_limited", ["limit_id", "vtime"], "wait_reason = 'limit'"),
)


def _pause_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("paused_at", db.UtcDateTime(), nullable=True),
        sa.Column("paused_by", sa.String(length=120), nullable=True),
        sa.Column("opening", sa.Boolean(), nullable=False),
    ]


def _lease_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("workflow_id", db.Id(), nullable=True),
        sa.Column("pause_at", sa.BigInteger(), nullable=True),
        sa.Column("paused_by", sa.String(length=120), nullable=True),
        sa.Column("limit_id", db.Id(), nullable=True),
        sa.Column("wrote_at", sa.BigInteger(), nullable=True),
    ]


def _fair_columns() -> list[sa.Column[Any]]:
    counts = ("minute", "begun", "begun_before")
    return [
        *(
            sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")
            for name in ("high_vtime", "low_vtime", "claimed_vtime")
        ),
        *(sa.Column(name, sa.Integer(), nullable=False, server_default="0") for name in counts),
    ]


def _fill_lease() -> None:
    """Say of runs under way which workflow's they are; the policies bind the owner as well."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("SELECT set_config('app.organization_id', '*', true)")
    op.execute(
        "UPDATE lease SET workflow_id ="
        " (SELECT run.workflow_id FROM run WHERE run.id = lease.run_id)"
    )

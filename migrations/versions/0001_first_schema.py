"""The first schema: tables, row-level security, and an audit record that only grows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from webapp.kernel import db

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('event',
    sa.Column('organization_id', db.Id(), nullable=False),
    sa.Column('run_id', db.Id(), nullable=False),
    sa.Column('seq', sa.Integer(), nullable=False),
    sa.Column('at', db.UtcDateTime(), nullable=False),
    sa.Column('type', sa.String(length=24), nullable=False),
    sa.Column('data', db.Json(), nullable=False),
    sa.PrimaryKeyConstraint('run_id', 'seq', name=op.f('event_pkey')),
    sqlite_with_rowid=False
    )
    op.create_table('fair',
    sa.Column('queue', sa.String(length=40), nullable=False),
    sa.Column('organization_id', db.Id(), nullable=False),
    sa.Column('last_vtime', sa.BigInteger(), nullable=False),
    sa.Column('waiting', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('queue', 'organization_id', name=op.f('fair_pkey'))
    )
    op.create_table('idem',
    sa.Column('organization_id', db.Id(), nullable=False),
    sa.Column('route', sa.String(length=120), nullable=False),
    sa.Column('key', sa.String(length=255), nullable=False),
    sa.Column('principal', sa.String(length=80), nullable=False),
    sa.Column('request_sha', sa.String(length=64), nullable=False),
    sa.Column('status', sa.SmallInteger(), nullable=False),
    sa.Column('headers', db.Json(), nullable=False),
    sa.Column('body', sa.LargeBinary(), nullable=False),
    sa.Column('made_at', db.UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('organization_id', 'route', 'key', name=op.f('idem_pkey')),
    sqlite_with_rowid=False
    )
    with op.batch_alter_table('idem', schema=None) as batch_op:
        batch_op.create_index('idem_made', ['made_at'], unique=False)

    op.create_table('lease',
    sa.Column('organization_id', db.Id(), nullable=False),
    sa.Column('run_id', db.Id(), nullable=False),
    sa.Column('queue', sa.String(length=40), nullable=False),
    sa.Column('state', sa.String(length=8), nullable=False),
    sa.Column('vtime', sa.BigInteger(), nullable=False),
    sa.Column('due_at', sa.BigInteger(), nullable=True),
    sa.Column('wait_reason', sa.String(length=12), nullable=True),
    sa.Column('worker', sa.String(length=60), nullable=True),
    sa.Column('boot', sa.String(length=40), nullable=True),
    sa.Column('lease_until', sa.BigInteger(), nullable=True),
    sa.Column('fence', sa.Integer(), nullable=False),
    sa.Column('seq', sa.Integer(), nullable=False),
    sa.Column('done', sa.Integer(), nullable=False),
    sa.Column('total', sa.Integer(), nullable=False),
    sa.Column('cost_nano', sa.BigInteger(), nullable=False),
    sa.Column('ran_ms', sa.BigInteger(), nullable=False),
    sa.Column('cancel_at', sa.BigInteger(), nullable=True),
    sa.PrimaryKeyConstraint('run_id', name=op.f('lease_pkey')),
    postgresql_with={'fillfactor': 50, 'autovacuum_vacuum_scale_factor': 0.01},
    sqlite_with_rowid=False
    )
    with op.batch_alter_table('lease', schema=None) as batch_op:
        batch_op.create_index('lease_due', ['due_at'], unique=False, postgresql_where=sa.text("state = 'waiting'"), sqlite_where=sa.text("state = 'waiting'"))
        batch_op.create_index('lease_ready', ['queue', 'vtime'], unique=False, postgresql_where=sa.text("state = 'ready'"), sqlite_where=sa.text("state = 'ready'"))
        batch_op.create_index('lease_worker', ['worker'], unique=False, postgresql_where=sa.text("state = 'running'"), sqlite_where=sa.text("state = 'running'"))

    op.create_table('organization',
    sa.Column('id', db.Id(), nullable=False),
    sa.Column('slug', sa.String(length=40), nullable=False),
    sa.Column('name', sa.String(length=80), nullable=False),
    sa.Column('made_at', db.UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('organization_pkey')),
    sa.UniqueConstraint('slug', name=op.f('organization_slug_key'))
    )
    op.create_table('outbox',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), autoincrement=True, nullable=False),
    sa.Column('organization_id', db.Id(), nullable=True),
    sa.Column('kind', sa.String(length=12), nullable=False),
    sa.Column('key', sa.String(length=200), nullable=False),
    sa.Column('payload', db.Json(), nullable=False),
    sa.Column('due_at', db.UtcDateTime(), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(length=8), nullable=False),
    sa.Column('lease_until', db.UtcDateTime(), nullable=True),
    sa.Column('fence', sa.Integer(), nullable=False),
    sa.Column('last_error', sa.String(length=500), nullable=True),
    sa.Column('done_at', db.UtcDateTime(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('outbox_pkey')),
    sa.UniqueConstraint('key', name=op.f('outbox_key_key'))
    )
    with op.batch_alter_table('outbox', schema=None) as batch_op:
        batch_op.create_index('outbox_due', ['kind', 'due_at'], unique=False, postgresql_where=sa.text("state IN ('due', 'sending')"), sqlite_where=sa.text("state IN ('due', 'sending')"))

    op.create_table('setup_link',
    sa.Column('code_hash', sa.LargeBinary(length=32), nullable=False),
    sa.Column('made_at', db.UtcDateTime(), nullable=False),
    sa.Column('expires_at', db.UtcDateTime(), nullable=False),
    sa.Column('used_at', db.UtcDateTime(), nullable=True),
    sa.PrimaryKeyConstraint('code_hash', name=op.f('setup_link_pkey'))
    )
    op.create_table('step',
    sa.Column('organization_id', db.Id(), nullable=False),
    sa.Column('run_id', db.Id(), nullable=False),
    sa.Column('path', sa.String(length=400), nullable=False),
    sa.Column('attempt', sa.SmallInteger(), nullable=False),
    sa.Column('step_id', sa.String(length=40), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('state', sa.String(length=10), nullable=False),
    sa.Column('effect', sa.String(length=14), nullable=False),
    sa.Column('idem_key', sa.String(length=40), nullable=False),
    sa.Column('request', sa.LargeBinary(), nullable=True),
    sa.Column('result', db.Json(), nullable=True),
    sa.Column('result_file', sa.String(length=64), nullable=True),
    sa.Column('error', db.Json(), nullable=True),
    sa.Column('fence', sa.Integer(), nullable=False),
    sa.Column('seq', sa.Integer(), nullable=False),
    sa.Column('started_at', db.UtcDateTime(), nullable=True),
    sa.Column('done_at', db.UtcDateTime(), nullable=True),
    sa.Column('due_at', db.UtcDateTime(), nullable=True),
    sa.Column('cost_nano', sa.BigInteger(), nullable=False),
    sa.Column('tokens_in', sa.Integer(), nullable=False),
    sa.Column('tokens_out', sa.Integer(), nullable=False),
    sa.Column('worker', sa.String(length=60), nullable=True),
    sa.PrimaryKeyConstraint('run_id', 'path', 'attempt', name=op.f('step_pkey')),
    sqlite_with_rowid=False
    )
    op.create_table('user',
    sa.Column('id', db.Id(), nullable=False),
    sa.Column('name', sa.String(length=80), nullable=False),
    sa.Column('email', sa.String(length=254), nullable=False),
    sa.Column('email_folded', sa.String(length=254), nullable=False),
    sa.Column('password_hash', sa.String(length=255), nullable=False),
    sa.Column('staff', sa.Boolean(), nullable=False),
    sa.Column('zone', sa.String(length=64), nullable=False),
    sa.Column('theme', sa.String(length=8), nullable=False),
    sa.Column('made_at', db.UtcDateTime(), nullable=False),
    sa.CheckConstraint("theme IN ('system', 'light', 'dark')", name=op.f('user_theme_check')),
    sa.PrimaryKeyConstraint('id', name=op.f('user_pkey')),
    sa.UniqueConstraint('email_folded', name=op.f('user_email_folded_key'))
    )
    op.create_table('worker',
    sa.Column('id', sa.String(length=60), nullable=False),
    sa.Column('host', sa.String(length=120), nullable=False),
    sa.Column('pid', sa.Integer(), nullable=False),
    sa.Column('boot', sa.String(length=40), nullable=False),
    sa.Column('version', sa.String(length=20), nullable=False),
    sa.Column('started_at', db.UtcDateTime(), nullable=False),
    sa.Column('seen_at', db.UtcDateTime(), nullable=False),
    sa.Column('running', sa.Integer(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('worker_pkey'))
    )
    op.create_table('api_key',
    sa.Column('organization_id', db.Id(), nullable=False),
    sa.Column('id', db.Id(), nullable=False),
    sa.Column('name', sa.String(length=80), nullable=False),
    sa.Column('lookup', sa.String(length=8), nullable=False),
    sa.Column('hash', sa.LargeBinary(length=32), nullable=False),
    sa.Column('role_cap', sa.String(length=16), nullable=False),
    sa.Column('allowed_ips', db.Json(), nullable=True),
    sa.Column('rate', sa.Integer(), nullable=True),
    sa.Column('made_by', db.Id(), nullable=True),
    sa.Column('made_at', db.UtcDateTime(), nullable=False),
    sa.Column('expires_at', db.UtcDateTime(), nullable=True),
    sa.Column('revoked_at', db.UtcDateTime(), nullable=True),
    sa.Column('replaces_id', db.Id(), nullable=True),
    sa.Column('last_used_at', db.UtcDateTime(), nullable=True),
    sa.CheckConstraint("role_cap IN ('owner', 'admin', 'member', 'viewer')", name=op.f('api_key_role_cap_check')),
    sa.ForeignKeyConstraint(['made_by'], ['user.id'], name=op.f('api_key_made_by_fkey'), ondelete='SET NULL'),
    sa.ForeignKeyConstraint(['organization_id'], ['organization.id'], name=op.f('api_key_organization_id_fkey'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('api_key_pkey')),
    sa.UniqueConstraint('organization_id', 'id', name=op.f('api_key_organization_id_id_key'))
    )
    with op.batch_alter_table('api_key', schema=None) as batch_op:
        batch_op.create_index('api_key_hash', ['lookup', 'hash'], unique=True)

    op.create_table('audit',
    sa.Column('organization_id', db.Id(), nullable=False),
    sa.Column('seq', sa.Integer(), nullable=False),
    sa.Column('at_us', sa.BigInteger(), nullable=False),
    sa.Column('actor', sa.String(length=160), nullable=False),
    sa.Column('action', sa.String(length=60), nullable=False),
    sa.Column('object', sa.String(length=200), nullable=False),
    sa.Column('before', db.Json(), nullable=True),
    sa.Column('after', db.Json(), nullable=True),
    sa.Column('request_id', sa.String(length=40), nullable=False),
    sa.Column('prev', sa.LargeBinary(length=32), nullable=False),
    sa.Column('mac', sa.LargeBinary(length=32), nullable=False),
    sa.ForeignKeyConstraint(['organization_id'], ['organization.id'], name=op.f('audit_organization_id_fkey'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('organization_id', 'seq', name=op.f('audit_pkey'))
    )
    op.create_table('audit_head',
    sa.Column('organization_id', db.Id(), nullable=False),
    sa.Column('seq', sa.Integer(), nullable=False),
    sa.Column('mac', sa.LargeBinary(length=32), nullable=False),
    sa.ForeignKeyConstraint(['organization_id'], ['organization.id'], name=op.f('audit_head_organization_id_fkey'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('organization_id', name=op.f('audit_head_pkey'))
    )
    op.create_table('file',
    sa.Column('organization_id', db.Id(), nullable=False),
    sa.Column('id', db.Id(), nullable=False),
    sa.Column('sha256', sa.String(length=64), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.String(length=200), nullable=False),
    sa.Column('type', sa.String(length=100), nullable=False),
    sa.Column('made_at', db.UtcDateTime(), nullable=False),
    sa.Column('kept_until', db.UtcDateTime(), nullable=True),
    sa.ForeignKeyConstraint(['organization_id'], ['organization.id'], name=op.f('file_organization_id_fkey'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('file_pkey')),
    sa.UniqueConstraint('organization_id', 'id', name=op.f('file_organization_id_id_key'))
    )
    with op.batch_alter_table('file', schema=None) as batch_op:
        batch_op.create_index('file_kept', ['kept_until'], unique=False)
        batch_op.create_index('file_sha', ['sha256'], unique=False)

    op.create_table('membership',
    sa.Column('organization_id', db.Id(), nullable=False),
    sa.Column('user_id', db.Id(), nullable=False),
    sa.Column('role', sa.String(length=16), nullable=False),
    sa.Column('since', db.UtcDateTime(), nullable=False),
    sa.CheckConstraint("role IN ('owner', 'admin', 'member', 'viewer')", name=op.f('membership_role_check')),
    sa.ForeignKeyConstraint(['organization_id'], ['organization.id'], name=op.f('membership_organization_id_fkey'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('membership_user_id_fkey'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('organization_id', 'user_id', name=op.f('membership_pkey'))
    )
    with op.batch_alter_table('membership', schema=None) as batch_op:
        batch_op.create_index('membership_user', ['user_id'], unique=False)

    op.create_table('session',
    sa.Column('id_hash', sa.LargeBinary(length=32), nullable=False),
    sa.Column('id', db.Id(), nullable=False),
    sa.Column('user_id', db.Id(), nullable=False),
    sa.Column('csrf_secret', sa.String(length=64), nullable=False),
    sa.Column('data', db.Json(), nullable=False),
    sa.Column('made_at', db.UtcDateTime(), nullable=False),
    sa.Column('seen_at', db.UtcDateTime(), nullable=False),
    sa.Column('expires_at', db.UtcDateTime(), nullable=False),
    sa.Column('address', sa.String(length=64), nullable=False),
    sa.Column('agent', sa.String(length=200), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('session_user_id_fkey'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id_hash', name=op.f('session_pkey')),
    sa.UniqueConstraint('id', name=op.f('session_id_key'))
    )
    with op.batch_alter_table('session', schema=None) as batch_op:
        batch_op.create_index('session_expires', ['expires_at'], unique=False)
        batch_op.create_index('session_user', ['user_id'], unique=False)

    op.create_table('workflow',
    sa.Column('organization_id', db.Id(), nullable=False),
    sa.Column('id', db.Id(), nullable=False),
    sa.Column('name', sa.String(length=80), nullable=False),
    sa.Column('about', sa.String(length=500), nullable=False),
    sa.Column('live_version_id', db.Id(), nullable=True),
    sa.Column('made_at', db.UtcDateTime(), nullable=False),
    sa.Column('changed_at', db.UtcDateTime(), nullable=False),
    sa.Column('deleted_at', db.UtcDateTime(), nullable=True),
    sa.ForeignKeyConstraint(['organization_id'], ['organization.id'], name=op.f('workflow_organization_id_fkey'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('workflow_pkey')),
    sa.UniqueConstraint('organization_id', 'id', name=op.f('workflow_organization_id_id_key'))
    )
    with op.batch_alter_table('workflow', schema=None) as batch_op:
        batch_op.create_index('workflow_org', ['organization_id', 'id'], unique=False)
        batch_op.create_index('workflow_org_name', ['organization_id', 'name'], unique=True, postgresql_where=sa.text('deleted_at IS NULL'), sqlite_where=sa.text('deleted_at IS NULL'))

    op.create_table('draft',
    sa.Column('organization_id', db.Id(), nullable=False),
    sa.Column('workflow_id', db.Id(), nullable=False),
    sa.Column('plan', db.Json(), nullable=False),
    sa.Column('plan_sha', sa.String(length=64), nullable=False),
    sa.Column('rev', sa.Integer(), nullable=False),
    sa.Column('next_id', sa.Integer(), nullable=False),
    sa.Column('changed_at', db.UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['organization_id', 'workflow_id'], ['workflow.organization_id', 'workflow.id'], name=op.f('draft_organization_id_workflow_id_fkey'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('workflow_id', name=op.f('draft_pkey'))
    )
    op.create_table('draft_change',
    sa.Column('organization_id', db.Id(), nullable=False),
    sa.Column('workflow_id', db.Id(), nullable=False),
    sa.Column('n', sa.Integer(), nullable=False),
    sa.Column('before', db.Json(), nullable=False),
    sa.Column('after', db.Json(), nullable=False),
    sa.Column('say', sa.String(length=200), nullable=False),
    sa.Column('by', sa.String(length=120), nullable=False),
    sa.Column('at', db.UtcDateTime(), nullable=False),
    sa.Column('undone', sa.Boolean(), nullable=False),
    sa.ForeignKeyConstraint(['organization_id', 'workflow_id'], ['workflow.organization_id', 'workflow.id'], name=op.f('draft_change_organization_id_workflow_id_fkey'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('workflow_id', 'n', name=op.f('draft_change_pkey'))
    )
    op.create_table('version',
    sa.Column('organization_id', db.Id(), nullable=False),
    sa.Column('id', db.Id(), nullable=False),
    sa.Column('workflow_id', db.Id(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=True),
    sa.Column('plan', db.Json(), nullable=False),
    sa.Column('plan_sha', sa.String(length=64), nullable=False),
    sa.Column('note', sa.String(length=140), nullable=False),
    sa.Column('by', sa.String(length=120), nullable=False),
    sa.Column('at', db.UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['organization_id', 'workflow_id'], ['workflow.organization_id', 'workflow.id'], name=op.f('version_organization_id_workflow_id_fkey'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['organization_id'], ['organization.id'], name=op.f('version_organization_id_fkey'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('version_pkey'))
    )
    with op.batch_alter_table('version', schema=None) as batch_op:
        batch_op.create_index('version_key', ['organization_id', 'id'], unique=True)
        batch_op.create_index('version_number', ['workflow_id', 'number'], unique=True)
        batch_op.create_index('version_tried', ['workflow_id', 'plan_sha'], unique=True, postgresql_where=sa.text('number IS NULL'), sqlite_where=sa.text('number IS NULL'))

    op.create_table('run',
    sa.Column('organization_id', db.Id(), nullable=False),
    sa.Column('id', db.Id(), nullable=False),
    sa.Column('workflow_id', db.Id(), nullable=False),
    sa.Column('version_id', db.Id(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('reason', sa.String(length=40), nullable=True),
    sa.Column('problems', sa.Boolean(), nullable=False),
    sa.Column('kind', sa.String(length=12), nullable=False),
    sa.Column('started_by_kind', sa.String(length=10), nullable=False),
    sa.Column('started_by', db.Id(), nullable=True),
    sa.Column('started_by_name', sa.String(length=120), nullable=False),
    sa.Column('idem_key', sa.String(length=300), nullable=True),
    sa.Column('inputs', db.Json(), nullable=False),
    sa.Column('result', db.Json(), nullable=True),
    sa.Column('result_file', sa.String(length=64), nullable=True),
    sa.Column('error', db.Json(), nullable=True),
    sa.Column('queued_at', db.UtcDateTime(), nullable=False),
    sa.Column('started_at', db.UtcDateTime(), nullable=True),
    sa.Column('finished_at', db.UtcDateTime(), nullable=True),
    sa.Column('took_ms', sa.BigInteger(), nullable=True),
    sa.Column('cost_nano', sa.BigInteger(), nullable=False),
    sa.Column('steps_done', sa.Integer(), nullable=False),
    sa.Column('seq', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['organization_id', 'version_id'], ['version.organization_id', 'version.id'], name=op.f('run_organization_id_version_id_fkey'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['organization_id', 'workflow_id'], ['workflow.organization_id', 'workflow.id'], name=op.f('run_organization_id_workflow_id_fkey'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['organization_id'], ['organization.id'], name=op.f('run_organization_id_fkey'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('run_pkey')),
    sa.UniqueConstraint('organization_id', 'id', name=op.f('run_organization_id_id_key')),
    sqlite_with_rowid=False
    )
    with op.batch_alter_table('run', schema=None) as batch_op:
        batch_op.create_index('run_org', ['organization_id', 'id'], unique=False)
        batch_op.create_index('run_org_by', ['organization_id', 'started_by', 'id'], unique=False)
        batch_op.create_index('run_org_idem', ['organization_id', 'idem_key'], unique=True, postgresql_where=sa.text('idem_key IS NOT NULL'), sqlite_where=sa.text('idem_key IS NOT NULL'))
        batch_op.create_index('run_org_state', ['organization_id', 'state', 'id'], unique=False)
        batch_op.create_index('run_org_workflow', ['organization_id', 'workflow_id', 'id'], unique=False)

    if op.get_bind().dialect.name == "postgresql":
        for table in OWNED:
            _separate_organizations(table)
        for statement in AUDIT_ONLY_GROWS_POSTGRESQL:
            op.execute(statement)
    else:
        for statement in AUDIT_ONLY_GROWS_SQLITE:
            op.execute(statement)


OWNED = (
    "api_key",
    "audit",
    "audit_head",
    "draft",
    "draft_change",
    "event",
    "file",
    "idem",
    "lease",
    "membership",
    "run",
    "step",
    "version",
    "workflow",
)

AUDIT_ONLY_GROWS_POSTGRESQL = (
    """CREATE FUNCTION audit_only_grows() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN RAISE EXCEPTION 'the audit record only grows'; END $$""",
    """CREATE TRIGGER audit_only_grows BEFORE UPDATE OR DELETE ON audit
       FOR EACH ROW EXECUTE FUNCTION audit_only_grows()""",
)
AUDIT_ONLY_GROWS_SQLITE = (
    """CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
       BEGIN SELECT RAISE(ABORT, 'the audit record only grows'); END""",
    """CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
       BEGIN SELECT RAISE(ABORT, 'the audit record only grows'); END""",
)


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


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER audit_only_grows ON audit")
        op.execute("DROP FUNCTION audit_only_grows()")
    else:
        op.execute("DROP TRIGGER audit_no_update")
        op.execute("DROP TRIGGER audit_no_delete")
    with op.batch_alter_table('run', schema=None) as batch_op:
        batch_op.drop_index('run_org_workflow')
        batch_op.drop_index('run_org_state')
        batch_op.drop_index('run_org_idem', postgresql_where=sa.text('idem_key IS NOT NULL'), sqlite_where=sa.text('idem_key IS NOT NULL'))
        batch_op.drop_index('run_org_by')
        batch_op.drop_index('run_org')

    op.drop_table('run')
    with op.batch_alter_table('version', schema=None) as batch_op:
        batch_op.drop_index('version_tried', postgresql_where=sa.text('number IS NULL'), sqlite_where=sa.text('number IS NULL'))
        batch_op.drop_index('version_number')
        batch_op.drop_index('version_key')

    op.drop_table('version')
    op.drop_table('draft_change')
    op.drop_table('draft')
    with op.batch_alter_table('workflow', schema=None) as batch_op:
        batch_op.drop_index('workflow_org_name', postgresql_where=sa.text('deleted_at IS NULL'), sqlite_where=sa.text('deleted_at IS NULL'))
        batch_op.drop_index('workflow_org')

    op.drop_table('workflow')
    with op.batch_alter_table('session', schema=None) as batch_op:
        batch_op.drop_index('session_user')
        batch_op.drop_index('session_expires')

    op.drop_table('session')
    with op.batch_alter_table('membership', schema=None) as batch_op:
        batch_op.drop_index('membership_user')

    op.drop_table('membership')
    with op.batch_alter_table('file', schema=None) as batch_op:
        batch_op.drop_index('file_sha')
        batch_op.drop_index('file_kept')

    op.drop_table('file')
    op.drop_table('audit_head')
    op.drop_table('audit')
    with op.batch_alter_table('api_key', schema=None) as batch_op:
        batch_op.drop_index('api_key_hash')

    op.drop_table('api_key')
    op.drop_table('worker')
    op.drop_table('user')
    op.drop_table('step')
    op.drop_table('setup_link')
    with op.batch_alter_table('outbox', schema=None) as batch_op:
        batch_op.drop_index('outbox_due', postgresql_where=sa.text("state IN ('due', 'sending')"), sqlite_where=sa.text("state IN ('due', 'sending')"))

    op.drop_table('outbox')
    op.drop_table('organization')
    with op.batch_alter_table('lease', schema=None) as batch_op:
        batch_op.drop_index('lease_worker', postgresql_where=sa.text("state = 'running'"), sqlite_where=sa.text("state = 'running'"))
        batch_op.drop_index('lease_ready', postgresql_where=sa.text("state = 'ready'"), sqlite_where=sa.text("state = 'ready'"))
        batch_op.drop_index('lease_due', postgresql_where=sa.text("state = 'waiting'"), sqlite_where=sa.text("state = 'waiting'"))

    op.drop_table('lease')
    with op.batch_alter_table('idem', schema=None) as batch_op:
        batch_op.drop_index('idem_made')

    op.drop_table('idem')
    op.drop_table('fair')
    op.drop_table('event')

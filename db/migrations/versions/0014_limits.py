"""The buckets that callers pay from, shared by all processes."""

from db.migrations import run_sql

revision = "0014_limits"
down_revision = "0013_offline"


def upgrade() -> None:
    run_sql("0014_limits.up.sql")


def downgrade() -> None:
    run_sql("0014_limits.down.sql")

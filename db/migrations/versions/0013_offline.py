"""Batches of what terminals did while they were offline."""

from db.migrations import run_sql

revision = "0013_offline"
down_revision = "0012_webhooks"


def upgrade() -> None:
    run_sql("0013_offline.up.sql")


def downgrade() -> None:
    run_sql("0013_offline.down.sql")

"""Webhooks: endpoints, how far each has come, deliveries and their attempts."""

from db.migrations import run_sql

revision = "0012_webhooks"
down_revision = "0011_notifications"


def upgrade() -> None:
    run_sql("0012_webhooks.up.sql")


def downgrade() -> None:
    run_sql("0012_webhooks.down.sql")

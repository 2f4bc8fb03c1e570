"""Notifications of people, what each wants to be told, and events that are for one person alone."""

from db.migrations import run_sql

revision = "0011_notifications"
down_revision = "0010_queues"


def upgrade() -> None:
    run_sql("0011_notifications.up.sql")


def downgrade() -> None:
    run_sql("0011_notifications.down.sql")

"""The event log by day: whole days are forgotten by dropping their partition."""

from db.migrations import run_sql

revision = "0008_event_feed"
down_revision = "0007_departments"


def upgrade() -> None:
    run_sql("0008_event_feed.up.sql")


def downgrade() -> None:
    run_sql("0008_event_feed.down.sql")

"""The event log by day: whole days are forgotten by dropping their partition."""

from db.migrations import run_sql

revision = "0007_event_feed"
down_revision = "0006_production"


def upgrade() -> None:
    run_sql("0007_event_feed.up.sql")


def downgrade() -> None:
    run_sql("0007_event_feed.down.sql")

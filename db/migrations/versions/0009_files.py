"""Files in object storage, and the cache."""

from db.migrations import run_sql

revision = "0009_files"
down_revision = "0008_event_feed"


def upgrade() -> None:
    run_sql("0009_files.up.sql")
    run_sql("0009_files.cache.up.sql")


def downgrade() -> None:
    run_sql("0009_files.down.sql")

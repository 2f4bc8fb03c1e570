"""Counts of work orders by status are read from the index alone."""

from db.migrations import run_sql

revision = "0016_counts"
down_revision = "0015_documents"


def upgrade() -> None:
    run_sql("0016_counts.up.sql")


def downgrade() -> None:
    run_sql("0016_counts.down.sql")

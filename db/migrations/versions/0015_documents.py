"""Trusted documents, and which apps may send nothing else."""

from db.migrations import run_sql

revision = "0015_documents"
down_revision = "0014_limits"


def upgrade() -> None:
    run_sql("0015_documents.up.sql")


def downgrade() -> None:
    run_sql("0015_documents.down.sql")

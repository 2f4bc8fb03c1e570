"""Numbering of documents and typed settings."""

from db.migrations import run_sql

revision = "0003_platform"
down_revision = "0002_identity"


def upgrade() -> None:
    run_sql("0003_platform.up.sql")


def downgrade() -> None:
    run_sql("0003_platform.down.sql")

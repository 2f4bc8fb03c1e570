"""The ground every module stands on: audit trail, events, idempotency receipts."""

from db.migrations import run_sql

revision = "0001_foundation"
down_revision = None


def upgrade() -> None:
    run_sql("0001_foundation.up.sql")


def downgrade() -> None:
    run_sql("0001_foundation.down.sql")

"""Equipment: machines, reason codes, status as a partition of time, meters and their readings."""

from db.migrations import run_sql

revision = "0004_equipment"
down_revision = "0003_platform"


def upgrade() -> None:
    run_sql("0004_equipment.up.sql")


def downgrade() -> None:
    run_sql("0004_equipment.down.sql")

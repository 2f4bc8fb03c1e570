"""Rows that follow from a department's rows are seen as those are: the trail, a machine's status and its meters."""

from db.migrations import run_sql

revision = "0007_departments"
down_revision = "0006_production"


def upgrade() -> None:
    run_sql("0007_departments.up.sql")


def downgrade() -> None:
    run_sql("0007_departments.down.sql")

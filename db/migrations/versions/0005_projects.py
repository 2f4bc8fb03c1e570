"""Projects: what a customer ordered, as far as production needs to know it."""

from db.migrations import run_sql

revision = "0005_projects"
down_revision = "0004_equipment"


def upgrade() -> None:
    run_sql("0005_projects.up.sql")


def downgrade() -> None:
    run_sql("0005_projects.down.sql")

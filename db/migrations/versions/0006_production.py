"""Production: scrap reasons, routings, work orders with their operations, time at work, and the production log."""

from db.migrations import run_sql

revision = "0006_production"
down_revision = "0005_projects"


def upgrade() -> None:
    run_sql("0006_production.routings.up.sql")
    run_sql("0006_production.orders.up.sql")
    run_sql("0006_production.logs.up.sql")


def downgrade() -> None:
    run_sql("0006_production.down.sql")

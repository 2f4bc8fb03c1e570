"""Organizations, plants, departments, people, their roles and access; credentials and sessions behind functions."""

from db.migrations import run_sql

revision = "0002_identity"
down_revision = "0001_foundation"


def upgrade() -> None:
    run_sql("0002_identity.up.sql")
    run_sql("0002_identity.auth.up.sql")
    run_sql("0002_identity.functions.up.sql")
    run_sql("0002_identity.passwords.up.sql")
    run_sql("0002_identity.operator.up.sql")


def downgrade() -> None:
    run_sql("0002_identity.down.sql")

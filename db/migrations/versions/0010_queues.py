"""Queues by pgmq, the jobs the API shows of them, and schedules."""

from importlib.metadata import distribution
from pathlib import Path

from alembic import op

from db.migrations import run_sql, run_text

revision = "0010_queues"
down_revision = "0009_files"

PGMQ = Path(str(distribution("pgmq").locate_file("pgmq/sql")))  # located, not imported: its client brings a driver


def upgrade() -> None:
    connection = op.get_bind()
    if connection.exec_driver_sql("select to_regclass('pgmq.meta')").scalar_one() is None:
        script = (PGMQ / "pgmq.sql").read_text(encoding="utf-8")  # says CREATE FUNCTION: it can be run only once
        # The schema stands already; asking again would need the right to create schemas, which the owner lacks.
        run_text(connection, script.replace("CREATE SCHEMA IF NOT EXISTS pgmq;", "NULL;"), "pgmq.sql")
        version = (PGMQ / "VERSION").read_text(encoding="utf-8").strip()
        connection.exec_driver_sql(
            "insert into meta.database_capabilities (name, available_version, installed_version) values ('pgmq', $1, $1)"
            " on conflict (name) do update set available_version = $1, installed_version = $1, detected_at = now()",
            (version,),
        )
    run_sql("0010_queues.up.sql")


def downgrade() -> None:
    run_sql("0010_queues.down.sql")

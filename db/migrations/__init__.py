"""The versions of the database, in order; each is a pair of SQL files, because PostgreSQL is described best in SQL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import op
from sqlalchemy import Connection

FOLDER = Path(__file__).parent
VERSIONS = FOLDER / "versions"


def run_sql(name: str) -> None:
    """Run a file that stands beside the version, inside the migration's transaction."""
    run_script(op.get_bind(), VERSIONS / name)


def run_script(connection: Connection, file: Path) -> None:
    """Run a file of many statements as it is written: percent signs and colons mean nothing here."""
    run_text(connection, file.read_text(encoding="utf-8"), file.name)


def run_text(connection: Connection, text: str, name: str) -> None:
    connection.exec_driver_sql("select 1")  # the driver begins the transaction with the first statement it sees
    dbapi: Any = connection.connection.dbapi_connection
    try:
        dbapi.run_async(lambda driver: driver.execute(text))
    except Exception as error:
        position = getattr(error, "position", None)
        line = f":{text.count(chr(10), 0, int(position)) + 1}" if position else ""
        error.add_note(f"in {name}{line}")
        raise

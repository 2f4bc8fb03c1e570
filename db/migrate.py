"""Bring a database to a version: roles, schemas, repeatable scripts, then the migrations, all in one transaction."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from db import tiers
from db.migrations import FOLDER, run_script
from db.roles import OWNER, app_url, ensure_roles, events_url

__all__ = [
    "MigrationError",
    "app_url",
    "current_revision",
    "downgrade",
    "events_url",
    "examine",
    "head_revision",
    "migrate",
]

HERE = Path(__file__).parent
ONE_AT_A_TIME = 0x756E69736F6E  # key of the advisory lock
WAIT_FOR_OTHER_MIGRATOR = "15min"
LOCK_TIMEOUT = "5s"  # a migration that waits for a table lock makes every request behind it wait as well
STATEMENT_TIMEOUT = "15min"
ATTEMPTS = 5
T = TypeVar("T")
ROLE_CHANGED_MEANWHILE = {"XX000", "23505", "42710"}  # tuple concurrently updated, unique violation, duplicate object


class MigrationError(RuntimeError):
    """The database cannot be migrated; the message says what to change."""


async def migrate(url: str, secret_key: str, revision: str = "head") -> None:
    """Bring the database forward. Safe to run from several processes at once: the second finds nothing left to do."""

    def forward(connection: Connection) -> None:
        _apply_scripts(connection)
        command.upgrade(_alembic(connection), revision)
        tiers.record(connection)

    await _prepare(url, secret_key)
    await examine(url, lambda connection: _as_owner(connection, forward))


async def downgrade(url: str, secret_key: str, revision: str) -> None:
    """Take the database back to a revision, or to `base`: the schemas and functions stay, the tables go."""

    def back(connection: Connection) -> None:
        command.downgrade(_alembic(connection), revision)
        connection.exec_driver_sql("delete from meta.applied_scripts")  # a table may have taken a function with it

    await _prepare(url, secret_key)
    await examine(url, lambda connection: _as_owner(connection, back))


async def current_revision(url: str) -> str | None:
    """The revision the database stands at; None before the first migration."""

    def read(connection: Connection) -> str | None:
        if connection.exec_driver_sql("select to_regclass('meta.alembic_version')").scalar_one() is None:
            return None
        found = connection.exec_driver_sql("select version_num from meta.alembic_version").scalar_one_or_none()
        return None if found is None else str(found)

    return await examine(url, read)


def head_revision() -> str | None:
    """The newest revision this program knows."""
    return ScriptDirectory(str(FOLDER)).get_current_head()


async def _prepare(url: str, secret_key: str) -> None:
    """Roles and schemas. Roles belong to the server: a migrator of another database can collide, then try again."""

    def prepare(connection: Connection) -> None:
        _wait_for_turn(connection)
        ensure_roles(connection, secret_key)
        run_script(connection, HERE / "bootstrap.sql")

    for attempt in range(1, ATTEMPTS + 1):
        try:
            await examine(url, prepare)
            return
        except (DBAPIError, asyncpg.PostgresError) as error:
            if attempt == ATTEMPTS or _sqlstate(error) not in ROLE_CHANGED_MEANWHILE:
                raise
            await asyncio.sleep(random.uniform(0.05, 0.2) * attempt)


def _as_owner(connection: Connection, work: Callable[[Connection], None]) -> None:
    _wait_for_turn(connection)
    connection.exec_driver_sql(f"set local role {OWNER}")
    connection.exec_driver_sql("set local search_path = pg_catalog")  # every name in a script says its schema
    connection.exec_driver_sql("set local check_function_bodies = off")  # scripts come before the tables they name
    run_script(connection, HERE / "bootstrap_meta.sql")
    work(connection)


def _wait_for_turn(connection: Connection) -> None:
    connection.exec_driver_sql("set local client_min_messages = warning")
    connection.exec_driver_sql(f"set local statement_timeout = '{WAIT_FOR_OTHER_MIGRATOR}'")
    connection.exec_driver_sql("select pg_advisory_xact_lock($1)", (ONE_AT_A_TIME,))
    connection.exec_driver_sql(f"set local lock_timeout = '{LOCK_TIMEOUT}'")
    connection.exec_driver_sql(f"set local statement_timeout = '{STATEMENT_TIMEOUT}'")


def _apply_scripts(connection: Connection) -> None:
    """The repeatable scripts whose text is not the one last applied, in the order of their names."""
    applied = {row.name: row.digest for row in connection.exec_driver_sql("table meta.applied_scripts")}
    for file in sorted((HERE / "sql").glob("*.sql")):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if applied.get(file.name) != digest:
            run_script(connection, file)
            connection.exec_driver_sql(
                "insert into meta.applied_scripts (name, digest) values ($1, $2)"
                " on conflict (name) do update set digest = excluded.digest, applied_at = now()",
                (file.name, digest),
            )


def _alembic(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


async def examine(url: str, work: Callable[[Connection], T]) -> T:
    """Run the work on a connection of the privileged role, all of it or nothing."""
    dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(dsn, server_settings={"application_name": "unison migrate"}),
        poolclass=NullPool,
    )
    try:
        async with engine.begin() as connection:
            version = int((await connection.exec_driver_sql("show server_version_num")).scalar_one()) // 10_000
            if version < tiers.OLDEST:
                raise MigrationError(f"Unison needs PostgreSQL {tiers.OLDEST} or newer, this server is {version}")
            return await connection.run_sync(work)
    finally:
        await engine.dispose()


def _sqlstate(error: BaseException) -> str | None:
    return getattr(error, "sqlstate", None) or getattr(getattr(error, "orig", None), "sqlstate", None)

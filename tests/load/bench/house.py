"""The database all servers share: a durable embedded PostgreSQL, migrated, with a bulk of orders in many organizations."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from db.embedded import EmbeddedPostgres
from db.migrate import app_url, events_url, migrate
from db.session import Database
from modules.identity.public import TokenSigner, issue_token_for
from tests.support import Tenant, new_tenant

SECRET = "bench-secret-of-at-least-thirty-two-characters"
PROJECTS = 50
STEPS = 4
STATUSES = ("planned", "released", "in_progress", "on_hold", "completed", "cancelled")
BULK = Path(__file__).with_name("bulk.sql")


@dataclass(frozen=True)
class House:
    """Where everything is, and whose orders there are."""

    admin_url: str
    app_url: str
    events_url: str
    tenants: list[Tenant]
    postmaster: int
    """The process whose children are the backends."""

    async def token(self, tenant: Tenant) -> str:
        """A token as sign-in gives it, good for as long as a run may take."""
        database = Database.connect(self.app_url, pool_size=1)
        try:
            signer = TokenSigner(SECRET, lifetime=timedelta(hours=6))
            return await issue_token_for(database, signer, tenant.code, f"admin@{tenant.code}.example")
        finally:
            await database.close()

    async def fetch(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.admin_url)
        try:
            found: list[asyncpg.Record] = await connection.fetch(statement, *values)
            return found
        finally:
            await connection.close()


@asynccontextmanager
async def furnished(organizations: int, orders: int) -> AsyncIterator[House]:
    with tempfile.TemporaryDirectory(prefix="unison-bench-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedPostgres(Path(folder))  # durable, as in production
        url = server.start()
        try:
            await migrate(url, SECRET)
            connection = await asyncpg.connect(url)
            tenants = [await new_tenant(connection) for _ in range(organizations)]
            await connection.execute(BULK.read_text(encoding="utf-8"))
            await add_orders(connection, tenants, 1, orders)
            postmaster = psutil.Process(await connection.fetchval("select pg_backend_pid()")).ppid()
            await connection.close()
            yield House(url, app_url(url, SECRET), events_url(url, SECRET), tenants, postmaster)
        finally:
            server.stop()


async def add_orders(
    connection: asyncpg.Connection[Any], tenants: list[Tenant], first: int, last: int, *, steps: int = STEPS
) -> None:
    """Orders by number, in every organization, each with its steps and two rows of the log."""
    values = ([t.organization_id for t in tenants], first, last)
    await connection.execute("set session_replication_role = replica")  # a bulk load: no audit trail, no events
    try:
        await connection.execute("select bench.add_orders($1, $2, $3, $4, $5)", *values, steps, datetime.now(UTC))
    finally:
        await connection.execute("reset session_replication_role")
    for table in ("app.projects", "app.work_orders", "app.work_order_operations", "tsdata.production_logs"):
        await connection.execute(f"vacuum (analyze) {table}")
    await connection.execute("checkpoint")

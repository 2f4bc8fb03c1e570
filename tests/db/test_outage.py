"""Which errors say nothing of what was asked."""

from __future__ import annotations

import asyncpg
import pytest
from sqlalchemy import text

from db.connections import PoolTimeout
from db.outage import CUT, unavailable
from db.session import Database
from tests.conftest import Urls
from tests.support import Tenant


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError(), PoolTimeout(), asyncpg.InterfaceError("closed"), asyncpg.CannotConnectNowError("starting")]
)  # fmt: skip
def test_a_server_that_is_away(error: Exception) -> None:
    assert unavailable(error)


async def test_a_connection_that_is_cut(urls: Urls, admin: asyncpg.Connection, tenant: Tenant) -> None:
    database = Database.connect(urls.app, pool_size=1)
    try:
        with pytest.raises((asyncpg.PostgresError, *CUT)) as caught:
            async with database.read(tenant.actor()) as tx:
                await admin.execute("select pg_terminate_backend($1)", await tx.scalar(text("select pg_backend_pid()")))
                await tx.scalar(text("select 1"))
        assert unavailable(caught.value)
    finally:
        await database.close()


@pytest.mark.parametrize("statement", ["select 1 / 0", "select no_such_column", "select cast('x' as integer)"])
async def test_a_fault_of_the_statement_is_none(database: Database, tenant: Tenant, statement: str) -> None:
    with pytest.raises(asyncpg.PostgresError) as caught:
        async with database.read(tenant.actor()) as tx:
            await tx.scalar(text(statement))
    assert not unavailable(caught.value)
    assert not unavailable(ValueError("a bug"))

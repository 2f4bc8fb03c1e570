"""Ground of the demo factory: one organization per transaction, written past the audit trail, and never half."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal

import asyncpg
import pytest

from db.demo import Demo, analyze, clear, furnishing, organizations
from db.embedded import temporary
from db.migrate import migrate
from tests.conftest import SECRET, Urls

NOW = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)


@pytest.fixture
async def connection(urls: Urls) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(urls.admin)
    yield connection
    await connection.close()


def plants(count: int) -> list[dict[str, object]]:
    return [
        {"code": f"P{n}", "name": f"Plant {n}", "plant_type": "assembly", "time_zone": "UTC", "created_at": NOW}
        for n in range(count)
    ]


async def organization(demo: Demo) -> None:
    await demo.insert("app.organizations", [{"code": demo.org_code, "name": "Demo"}])


def new_code() -> str:
    return f"d{secrets.token_hex(6)}"


async def test_rows_go_in_in_order_and_come_back_as_ids(connection: asyncpg.Connection) -> None:
    async with furnishing(connection, new_code(), now=NOW, scale=1) as demo:
        await organization(demo)
        ids = await demo.insert("app.plants", plants(12_000))
    rows = await connection.fetch(
        "select id, code, created_at from app.plants where organization_id = $1 order by id", demo.org
    )
    assert [row["id"] for row in rows] == ids
    assert [row["code"] for row in rows] == [f"P{n}" for n in range(12_000)]
    assert rows[0]["created_at"] == NOW


async def test_neither_audited_nor_announced_and_tracking_is_back_afterwards(connection: asyncpg.Connection) -> None:
    async with furnishing(connection, new_code(), now=NOW, scale=1) as demo:
        await organization(demo)
        (plant,) = await demo.insert("app.plants", plants(1))
    audited = "select count(*) from app.audit_logs where organization_id = $1"
    assert await connection.fetchval(audited, demo.org) == 0
    assert await connection.fetchval("select count(*) from ev.inbox where organization_id = $1", demo.org) == 0
    await connection.execute(
        "update app.plants set name = 'Other' where organization_id = $1 and id = $2", demo.org, plant
    )
    assert await connection.fetchval(audited, demo.org) == 1
    await connection.execute("delete from ev.inbox where organization_id = $1", demo.org)


async def test_a_failure_leaves_nothing(connection: asyncpg.Connection) -> None:
    code = new_code()
    with pytest.raises(asyncpg.CheckViolationError):
        async with furnishing(connection, code, now=NOW, scale=1) as demo:
            await organization(demo)
            await demo.insert("app.plants", [{**plants(1)[0], "plant_type": "none"}])
    assert code not in await organizations(connection)
    triggers = await connection.fetchval("select count(*) from pg_trigger where not tgisinternal and tgenabled = 'D'")
    assert triggers == 0


async def test_rows_must_agree_on_their_columns(connection: asyncpg.Connection) -> None:
    with pytest.raises(ValueError, match="archived_at"):
        async with furnishing(connection, new_code(), now=NOW, scale=1) as demo:
            await demo.insert("app.plants", [*plants(1), {**plants(1)[0], "archived_at": NOW}])


async def test_row_level_security_holds_for_the_factory_too(connection: asyncpg.Connection) -> None:
    async with furnishing(connection, new_code(), now=NOW, scale=1) as demo:
        await organization(demo)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with furnishing(connection, new_code(), now=NOW, scale=1) as other:
            await other.insert("app.plants", [{"organization_id": demo.org, **plants(1)[0]}])


def test_the_same_factory_every_time() -> None:
    one, same, other = (Demo(None, 1, code, now=NOW, scale=1) for code in ("acme", "acme", "globex"))  # type: ignore[arg-type]
    drawn = [[demo.rng.random() for _ in range(5)] for demo in (one, same, other)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(("scale", "count"), [(1, 300), (Decimal("0.01"), 3), (0.0001, 1), (10, 3000)])
def test_volumes_follow_the_scale(scale: float, count: int) -> None:
    assert Demo(None, 1, "acme", now=NOW, scale=float(scale)).times(300) == count  # type: ignore[arg-type]


async def test_clearing_empties_every_table_and_begins_ids_anew() -> None:
    with temporary() as url:
        await migrate(url, SECRET)
        connection = await asyncpg.connect(url)
        try:
            for _ in range(2):
                async with furnishing(connection, "acme", now=NOW, scale=1) as demo:
                    await organization(demo)
                    ids = await demo.insert("app.plants", plants(2))
                assert (demo.org, ids) == (1, [1, 2])
                await analyze(connection)
                await clear(connection)
                assert await organizations(connection) == []
        finally:
            await connection.close()

"""Noting what was read, by however many at once."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from db.refusal import NotFound, NotPermitted
from db.session import Database
from modules.platform.notifications import service
from tests.modules.platform.notifications.test_service import seen, tell
from tests.support import Tenant

NOW = datetime.now(UTC)


async def test_reading_is_noted_once_however_many_do_it(database: Database, tenant: Tenant, admin: asyncpg.Connection):
    viewer = tenant.actor("viewer")
    for _ in range(20):
        await tell(database, tenant)
    ids = [row.id for row in await seen(database, viewer)]
    times = [NOW + timedelta(seconds=n) for n in range(8)]

    async def read(n: int) -> int:
        async with database.write(viewer) as tx:
            if n % 2:
                return await service.mark_all_read(tx, until=None, now=times[n])
            await service.mark_read(tx, ids[::-1] if n % 4 else ids, now=times[n])
            return 0

    await asyncio.gather(*(read(n) for n in range(8)))
    rows = await seen(database, viewer)
    assert len({row.read_at for row in rows}) == 1, "whoever came first"
    events = (
        "select count(*) from (select * from ev.inbox union all select {} from ev.log) e where organization_id = $1"
        " and topic = 'Notification' and operation = 'update'"
    )
    columns = ", ".join(["0", *(r[0] for r in await admin.fetch(
        "select column_name from information_schema.columns where table_schema = 'ev' and table_name = 'inbox'"
        " and column_name <> 'id' order by ordinal_position"
    ))])  # fmt: skip
    assert await admin.fetchval(events.format(columns), tenant.organization_id) == 20, "one event each"
    async with database.write(viewer) as tx:
        await service.mark_read(tx, ids, now=NOW + timedelta(days=1))
    assert {row.read_at for row in await seen(database, viewer)} == {row.read_at for row in rows}


async def test_who_reads_later_waits_and_changes_nothing(database: Database, tenant: Tenant):
    viewer = tenant.actor("viewer")
    await tell(database, tenant)
    (row,) = await seen(database, viewer)
    held, let_go = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with database.write(viewer) as tx:
            await service.mark_read(tx, [row.id], now=NOW)
            await tx.flush()
            held.set()
            await let_go.wait()

    async def second() -> None:
        await held.wait()
        async with database.write(viewer) as tx:
            await service.mark_read(tx, [row.id], now=NOW + timedelta(hours=1))

    tasks = [asyncio.create_task(first()), asyncio.create_task(second())]
    await held.wait()
    await asyncio.sleep(0.3)
    assert not tasks[1].done()
    let_go.set()
    await asyncio.gather(*tasks)
    assert (await seen(database, viewer))[0].read_at == NOW


async def test_all_up_to_a_time(database: Database, tenant: Tenant):
    viewer = tenant.actor("viewer")
    await tell(database, tenant)
    (first,) = await seen(database, viewer)
    await tell(database, tenant)
    async with database.write(viewer) as tx:
        assert await service.mark_all_read(tx, until=first.created_at, now=NOW) == 1
        assert await service.unread(tx, viewer.user_id) == 1


async def test_what_is_not_ones_own_cannot_be_read(database: Database, tenant: Tenant):
    await tell(database, tenant)
    (row,) = await seen(database, tenant.actor("viewer"))
    for actor, ids, refusal in (
        (tenant.actor(), [row.id], NotFound),
        (tenant.actor("viewer"), [row.id, 10**12], NotFound),
    ):
        with pytest.raises(refusal):
            async with database.write(actor) as tx:
                await service.mark_read(tx, ids, now=NOW)
    with pytest.raises(NotPermitted):
        async with database.write(replace(tenant.actor(), user_id=None, app_id=3)) as tx:
            await service.mark_all_read(tx, until=None, now=NOW)
    assert (await seen(database, tenant.actor("viewer")))[0].read_at is None

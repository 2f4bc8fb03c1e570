"""What the tests of queues share: consumers over the handlers of `tests.worker.process`, and effects to count."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from db.queue import Queue
from db.session import Database
from tests.conftest import Urls
from tests.support import Tenant
from tests.worker.process import JOBS
from worker.calls import connect_pool
from worker.consumer import Consumer

EFFECTS = """
create table if not exists app.test_effects (
    organization_id integer not null, id bigint generated always as identity, word text not null, job bigint not null,
    attempt integer not null, at timestamptz not null default clock_timestamp(), primary key (organization_id, id));
call app.protect('app.test_effects', 'tenant');
grant select, insert on app.test_effects to unison_app"""


@asynccontextmanager
async def consuming(
    urls: Urls, database: Database, queue: Queue = Queue.BACKGROUND_JOBS, **options: Any
) -> AsyncIterator[Consumer]:
    pool = await connect_pool(urls.events)
    consumer = Consumer(queue, database, pool, JOBS, **options)
    task = asyncio.create_task(consumer.run())
    try:
        yield consumer
    finally:
        consumer.stop()
        await asyncio.wait_for(task, 30)
        await pool.close()


async def job(admin: asyncpg.Connection, id: int) -> asyncpg.Record:
    return await admin.fetchrow("select * from app.jobs where id = $1", id)


async def words(admin: asyncpg.Connection, tenant: Tenant) -> list[str]:
    rows = await admin.fetch(
        "select word from app.test_effects where organization_id = $1 order by id", tenant.organization_id
    )
    return [row["word"] for row in rows]

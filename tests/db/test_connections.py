"""The pool: a connection for each transaction, in turn, never one that is broken."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from db.connections import PoolTimeout
from db.session import CONTEXT, Database
from tests.conftest import Urls
from tests.support import Tenant

PID = f"{CONTEXT} select pg_backend_pid() from context"


@pytest.fixture
async def small(urls: Urls) -> AsyncIterator[Database]:
    database = Database.connect(urls.app, pool_size=2, pool_timeout=0.2)
    yield database
    await database.close()


async def pid(database: Database, tenant: Tenant) -> int:
    actor = tenant.actor()
    return int((await database.fetchrow(actor, actor.read_scope(None), PID, []))[0])


async def kill(admin: asyncpg.Connection, *pids: int) -> None:
    for one in pids:
        await admin.fetchval("select pg_terminate_backend($1, 2000)", one)


async def test_who_finds_none_waits_in_turn(small: Database):
    first, second = await small.connections.take(), await small.connections.take()
    waiting = [asyncio.create_task(small.connections.take()) for _ in range(2)]
    await asyncio.sleep(0)
    small.connections.give(second)
    assert await waiting[0] is second
    small.connections.give(first)
    assert await waiting[1] is first
    assert small.connections.taken == 2
    small.connections.give(first)
    small.connections.give(second)
    assert (small.connections.taken, small.connections.idle) == (0, 2)


async def test_waiting_ends(small: Database):
    held = [await small.connections.take() for _ in range(2)]
    with pytest.raises(PoolTimeout):
        await small.connections.take()
    small.connections.give(held[0])
    assert await small.connections.take() is held[0]
    for one in held:
        small.connections.give(one)


async def test_who_no_longer_waits_takes_nothing_along(small: Database):
    held = [await small.connections.take() for _ in range(2)]
    leaving = asyncio.create_task(small.connections.take())
    await asyncio.sleep(0)
    small.connections.give(held[0])
    leaving.cancel()  # it was given one in the same moment
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await small.connections.take() is held[0]
    for one in held:
        small.connections.give(one)


async def test_a_dead_connection_is_replaced(small: Database, tenant: Tenant, admin: asyncpg.Connection):
    first = await pid(small, tenant)
    await kill(admin, first)
    second = await pid(small, tenant)
    assert second != first
    await kill(admin, second)
    async with small.read(tenant.actor()) as tx:
        assert await tx.scalar(text("select pg_backend_pid()")) not in (first, second)
    assert (small.connections.taken, small.connections.idle) == (0, 1)


async def test_what_was_interrupted_is_stopped_and_its_connection_used_again(small: Database, tenant: Tenant):
    actor = tenant.actor()
    slow = small.fetchrow(actor, actor.read_scope(None), f"{CONTEXT} select pg_sleep(10) from context", [])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await slow
    assert (small.connections.taken, small.connections.idle) == (0, 1)
    assert await pid(small, tenant)


async def test_a_refused_statement_leaves_the_connection(small: Database, tenant: Tenant):
    actor, first = tenant.actor(), await pid(small, tenant)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await small.fetchrow(actor, actor.read_scope(None), f"{CONTEXT} select 1 / (org - org) from context", [])
    assert await pid(small, tenant) == first


async def test_nothing_leaks_in_a_storm(urls: Urls, tenant: Tenant, admin: asyncpg.Connection):
    """Many at once, some cancelled wherever they are, some connections killed: afterwards every one is back or gone."""
    database, actor = Database.connect(urls.app, pool_size=4, pool_timeout=1), tenant.actor()
    rng, done = random.Random(1), Counter[str]()

    async def work() -> None:
        try:
            if rng.random() < 0.5:
                await pid(database, tenant)
            else:
                async with database.read(actor) as tx:
                    await tx.scalar(text("select pg_sleep(0.002)"))
            done["done"] += 1
        except (asyncpg.PostgresError, asyncpg.InterfaceError, PoolTimeout, OSError) as error:
            done[type(error).__name__] += 1

    for _ in range(60):
        tasks = [asyncio.create_task(work()) for _ in range(12)]
        await asyncio.sleep(rng.uniform(0, 0.01))
        for task in rng.sample(tasks, 4):
            task.cancel()
        if rng.random() < 0.2:
            pids = await admin.fetch(
                "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'unison_app' order by random() limit 2"
            )
            done["killed"] += len(pids)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert database.connections.taken == 0, done
        assert database.connections.idle <= 4
    assert done["done"] > 200
    assert done["killed"]
    await database.close()


async def test_a_connection_that_is_not_finished_is_closed(
    urls: Urls, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
):
    """Nothing counts it: left to the collector it would be one more than there may be."""
    making = asyncio.Event()

    async def slow(*_: Any, **__: Any) -> None:
        making.set()
        await asyncio.sleep(30)

    monkeypatch.setattr(asyncpg.Connection, "set_type_codec", slow)
    mine = "select count(*) from pg_stat_activity where usename = 'unison_app'"
    before = await admin.fetchval(mine)
    database = Database.connect(urls.app, pool_size=1)
    taking = asyncio.create_task(database.connections.take())
    await making.wait()
    taking.cancel()
    found = await asyncio.gather(taking, return_exceptions=True)  # the error is held, and with it what made it
    async with asyncio.timeout(10):
        while await admin.fetchval(mine) > before:
            await asyncio.sleep(0.01)
    assert isinstance(found[0], asyncio.CancelledError)
    assert database.connections.taken == 0

"""The cache: what is kept, for whom, until when; and that nobody who sees a change is given an older answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from db.actor import Actor
from db.cache import Cache
from db.session import Database, ReadTx
from schema.build import build
from schema.context import Context
from tests.conftest import Urls
from tests.support import House, NoHub, NoTokens, Statements, Tenant
from worker.calls import connect_pool
from worker.main import forget_cached

COUNT = text("select count(*) from app.machines where organization_id = :org")
INSERT = (
    "insert into app.machines (organization_id, plant_id, code, name, status_since)"
    " values (:org, :plant, :code, :code, now())"
)


class Desk:
    """Counts machines through the cache, and counts how often that was computed."""

    def __init__(self, database: Database, url: str) -> None:
        self.database = database
        self.cache = Cache(Database.connect(url, pool_size=2))
        self.computed = 0
        self.pause = 0.0

    async def count(self, tx: ReadTx) -> int:
        self.computed += 1
        found = int(await tx.scalar(COUNT, {"org": tx.org}))
        await asyncio.sleep(self.pause)
        return found

    async def ask(self, actor: Actor, *parts: Any, ttl: float = 60, context: Context | None = None) -> int:
        context = context or Context(actor, self.database, NoHub(), NoTokens(), cache=self.cache)
        try:
            return int(
                await context.cached(
                    "equipment.read", "machines", parts, self.count, ttl=timedelta(seconds=ttl), topics=["Machine"]
                )
            )
        finally:
            await context.close()

    async def add(self, tenant: Tenant, code: str, plant: int = 0) -> None:
        async with self.database.write(tenant.actor(), "equipment.manage") as tx:
            await tx.execute(text(INSERT), {"org": tx.org, "plant": tenant.plants[plant], "code": code})


@pytest.fixture
async def desk(database: Database, urls: Urls, house: House) -> AsyncIterator[Desk]:
    desk = Desk(database, urls.app)
    yield desk
    await desk.cache.close()


async def relayed(urls: Urls) -> None:
    connection = await asyncpg.connect(urls.events)
    try:
        while await connection.fetchval("select ev.relay(1000)"):
            pass
    finally:
        await connection.close()


async def test_what_was_computed_is_read(desk: Desk, tenant: Tenant, urls: Urls):
    await desk.add(tenant, "A")
    await relayed(urls)
    assert [await desk.ask(tenant.actor()) for _ in range(3)] == [1, 1, 1]
    assert desk.computed == 1
    with Statements(desk.database) as statements:
        await desk.ask(tenant.actor("viewer"))  # who sees the same is given the same
    assert desk.computed == 1
    assert [s for s in statements.seen if "machines" in s] == []
    assert len(statements.selects) == 1


async def test_a_change_is_seen_at_once(desk: Desk, tenant: Tenant, stranger: Tenant, urls: Urls):
    await desk.ask(stranger.actor())
    for n in range(5):
        assert await desk.ask(tenant.actor()) == n
        await desk.add(tenant, f"M{n}")
        assert await desk.ask(tenant.actor()) == n + 1, "before the relay has seen it"
        await relayed(urls)
        assert await desk.ask(tenant.actor()) == n + 1, "and after"
    computed = desk.computed
    await desk.ask(stranger.actor())
    assert desk.computed == computed, "another organization's changes are not ours"


async def test_only_changes_of_its_topics_make_it_stale(desk: Desk, tenant: Tenant, urls: Urls, admin: Any):
    await desk.ask(tenant.actor())
    async with desk.database.write(tenant.actor(), "identity.manage") as tx:
        await tx.execute(text("update app.plants set name = name || '!' where organization_id = :org"), {"org": tx.org})
    await relayed(urls)
    await desk.ask(tenant.actor())
    assert desk.computed == 1


async def test_what_is_older_than_its_time_is_computed_again(desk: Desk, tenant: Tenant):
    await desk.ask(tenant.actor(), ttl=0.2)
    await desk.ask(tenant.actor(), ttl=0.2)
    assert desk.computed == 1
    await asyncio.sleep(0.25)
    await desk.ask(tenant.actor(), ttl=0.2)
    assert desk.computed == 2


async def test_each_scope_and_organization_has_its_own(desk: Desk, tenant: Tenant, stranger: Tenant, urls: Urls):
    for code, plant in (("A", 0), ("B", 0), ("C", 1)):
        await desk.add(tenant, code, plant)
    await relayed(urls)
    here, there = tenant.plants
    actors = [tenant.actor(), tenant.actor(plants=[here]), tenant.actor(plants=[there]), stranger.actor()]
    for _ in range(2):
        assert [await desk.ask(actor) for actor in actors] == [3, 2, 1, 0]
    assert desk.computed == 4
    await desk.ask(tenant.actor(), "another question")
    assert desk.computed == 5


async def test_many_at_once_compute_once(desk: Desk, tenant: Tenant, urls: Urls):
    await desk.add(tenant, "A")
    await relayed(urls)
    desk.pause = 0.2
    assert await asyncio.gather(*(desk.ask(tenant.actor()) for _ in range(15))) == [1] * 15
    assert desk.computed == 1


async def test_many_processes_at_once_compute_once(desk: Desk, tenant: Tenant, urls: Urls):
    other = Desk(desk.database, urls.app)
    try:
        await desk.add(tenant, "A")
        await relayed(urls)
        desk.pause = other.pause = 0.2
        answers = await asyncio.gather(*(d.ask(tenant.actor()) for d in (desk, other) for _ in range(5)))
        assert answers == [1] * 10
        assert desk.computed + other.computed == 1
    finally:
        await other.cache.close()


async def test_who_joins_a_computation_begun_before_a_change_is_not_given_its_answer(desk: Desk, tenant: Tenant):
    desk.pause = 0.3
    first = asyncio.create_task(desk.ask(tenant.actor()))
    await asyncio.sleep(0.15)  # it has counted, and is still on its way
    await desk.add(tenant, "A")
    assert await desk.ask(tenant.actor()) == 1
    assert await first == 0


async def test_one_who_gives_up_takes_it_from_nobody(desk: Desk, tenant: Tenant):
    desk.pause = 0.2
    first = asyncio.create_task(desk.ask(tenant.actor()))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(desk.ask(tenant.actor()))
    await asyncio.sleep(0.05)
    first.cancel()
    assert await second == 0
    assert desk.computed == 1


async def test_a_failed_computation_is_told_and_not_kept(desk: Desk, tenant: Tenant, monkeypatch: pytest.MonkeyPatch):
    async def fail(tx: ReadTx) -> int:
        raise RuntimeError("no")

    monkeypatch.setattr(desk, "count", fail)
    with pytest.raises(RuntimeError):
        await desk.ask(tenant.actor())
    monkeypatch.undo()
    assert await desk.ask(tenant.actor()) == 0


async def test_under_writers_no_answer_is_older_than_what_was_committed(desk: Desk, tenant: Tenant, urls: Urls):
    """Each writer commits, then asks: the answer must count its own machine and all it knew of."""
    stop = asyncio.Event()

    async def relaying() -> None:
        while not stop.is_set():
            await relayed(urls)
            await asyncio.sleep(0.01)

    committed = 0

    async def writer(n: int) -> None:
        nonlocal committed
        for i in range(8):
            await desk.add(tenant, f"W{n}-{i}")
            committed += 1
            known = committed
            assert await desk.ask(tenant.actor()) >= known

    relay = asyncio.create_task(relaying())
    await asyncio.gather(*(writer(n) for n in range(4)))
    stop.set()
    await relay
    assert await desk.ask(tenant.actor()) == 32


async def test_an_operation_waits_with_one_connection(urls: Urls, tenant: Tenant, house: House):
    """As many askers as the pool has connections: those who compute have connections of their own."""
    small = Database.connect(urls.app, pool_size=2, pool_timeout=1)
    desk = Desk(small, urls.app)
    desk.pause = 0.1
    try:
        answers = await asyncio.gather(*(desk.ask(tenant.actor(), n % 3) for n in range(6)))
        assert answers == [0] * 6
    finally:
        await desk.cache.close()
        await small.close()


async def test_without_a_cache_it_is_computed(database: Database, tenant: Tenant, desk: Desk):
    context = Context(tenant.actor(), database, NoHub(), NoTokens())
    assert await desk.ask(tenant.actor(), context=context) == 0
    assert await desk.ask(tenant.actor(), context=Context(tenant.actor(), database, NoHub(), NoTokens())) == 0
    assert desk.computed == 2


async def test_an_empty_table_is_no_harm(desk: Desk, tenant: Tenant, admin: asyncpg.Connection):
    await desk.ask(tenant.actor())
    assert await admin.fetchval("select relpersistence = 'u' from pg_class where oid = 'app.cache'::regclass")
    await admin.execute("truncate app.cache")  # what a crash does to an unlogged table
    assert await desk.ask(tenant.actor()) == 0


async def test_the_worker_takes_out_what_has_expired(desk: Desk, tenant: Tenant, urls: Urls, admin: asyncpg.Connection):
    await desk.ask(tenant.actor(), "short", ttl=0.01)
    await desk.ask(tenant.actor(), "long")
    entries = "select count(*) from app.cache where organization_id = $1"
    assert await admin.fetchval(entries, tenant.organization_id) == 2
    pool = await connect_pool(urls.events, 1)
    task = asyncio.create_task(forget_cached(pool, every=0.05))
    async with asyncio.timeout(10):
        while await admin.fetchval(entries, tenant.organization_id) == 2:
            await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    pool.terminate()
    assert await admin.fetchval(entries, tenant.organization_id) == 1


async def test_counts_by_state_come_from_the_cache(urls: Urls, database: Database, tenant: Tenant, admin: Any):
    """The dashboard query: one statement when it was asked before, another answer as soon as an order changes."""
    house = House(build(), database)
    house.cache = Cache(Database.connect(urls.app, pool_size=2))
    document = "{ workOrderStatusCounts { status count } }"
    try:
        for n in range(2):
            found = (await house.data(tenant.actor(), document))["workOrderStatusCounts"]
            assert {r["status"]: r["count"] for r in found}["PLANNED"] == n
            assert len(found) == 7
            await relayed(urls)
            await house.data(tenant.actor(), document)
            with Statements(database) as statements:
                assert (await house.data(tenant.actor(), document))["workOrderStatusCounts"] == found
            assert [s for s in statements.seen if "work_orders" in s] == []
            async with database.write(tenant.actor(), "production.plan") as tx:
                await tx.execute(
                    text(
                        "insert into app.work_orders (organization_id, plant_id, number, product_code, product_name,"
                        " quantity_ordered, unit) values (:org, :plant, :number, 'P', 'P', 1, 'pcs')"
                    ),
                    {"org": tx.org, "plant": tenant.plants[0], "number": f"WO-{n}"},
                )
    finally:
        await house.cache.close()

"""The one door to PostgreSQL: what a transaction may see and write, and that nothing of it outlives it."""

import asyncio
import contextlib
from dataclasses import replace

import asyncpg
import pytest
from sqlalchemy import text

from api.limits import Limits
from db.actor import ANONYMOUS, EVERYWHERE, NOWHERE, Actor, Scope
from db.session import CONTEXT, Database, TookTooLong
from tests.conftest import Urls
from tests.support import Tenant, new_tenant

PLANTS = text("select id from app.plants order by id")


async def test_a_transaction_sees_its_own_organization_only(database: Database, tenant: Tenant, stranger: Tenant):
    for who, other in ((tenant, stranger), (stranger, tenant)):
        async with database.read(who.actor()) as tx:
            found = await tx.scalars(PLANTS)
            assert found == who.plants
            assert not set(found) & set(other.plants)


async def test_without_a_tenant_there_are_no_rows(database: Database, tenant: Tenant):
    async with database.anonymous() as tx:
        assert await tx.scalars(PLANTS) == []
        assert await tx.scalar(text("select count(*) from app.organizations")) == 0


async def test_nothing_of_a_caller_outlives_the_transaction(urls: Urls, tenant: Tenant):
    database = Database.connect(urls.app, pool_size=1)
    try:
        async with database.read(tenant.actor()) as tx:
            first = await tx.scalar(text("select pg_backend_pid()"))
        row = await database.fetchrow(
            tenant.actor(), EVERYWHERE, f"{CONTEXT} select pg_backend_pid(), org from context", []
        )
        assert tuple(row) == (first, tenant.organization_id)
        held = await database.connections.take()
        settings = (
            "select pg_backend_pid(), current_setting('app.org_id', true), current_setting('app.read_plants', true)"
        )
        assert tuple(await held.fetchrow(settings)) == (first, "", "")
        assert await held.fetch("select id from app.plants") == []
        database.connections.give(held)
    finally:
        await database.close()


async def test_a_cancelled_transaction_leaves_a_clean_pool(urls: Urls, tenant: Tenant, stranger: Tenant):
    database = Database.connect(urls.app, pool_size=1)

    async def slow() -> None:
        async with database.write(tenant.actor()) as tx:
            await tx.execute(text("select pg_sleep(5)"))

    try:
        for delay in (0, 0.001, 0.005, 0.05):
            task = asyncio.create_task(slow())
            await asyncio.sleep(delay)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            async with database.read(stranger.actor()) as tx:
                assert await tx.scalars(PLANTS) == stranger.plants
    finally:
        await database.close()


async def test_a_read_transaction_cannot_write(database: Database, tenant: Tenant):
    with pytest.raises(asyncpg.PostgresError) as refused:
        async with database.read(tenant.actor()) as tx:
            await tx.rows(text("update app.users set full_name = 'x'"))
    assert refused.value.sqlstate == "25006"


async def test_a_raise_rolls_back(database: Database, tenant: Tenant, admin: asyncpg.Connection):
    with pytest.raises(RuntimeError):
        async with database.write(tenant.actor()) as tx:
            await tx.execute(text("update app.users set full_name = 'x' where organization_id = :org"), {"org": tx.org})
            raise RuntimeError
    names = await admin.fetch(
        "select distinct full_name from app.users where organization_id = $1", tenant.organization_id
    )
    assert "x" not in {row["full_name"] for row in names}


async def test_a_passed_over_error_is_never_taken_for_success(database: Database, tenant: Tenant):
    with pytest.raises(RuntimeError, match="rolled back"):
        async with database.write(tenant.actor()) as tx:
            with contextlib.suppress(asyncpg.PostgresError):
                await tx.execute(text("select 1 / 0"))


@pytest.mark.parametrize(
    "statement",
    [
        "insert into app.departments (organization_id, plant_id, code, name) values ({theirs}, {their_plant}, 'X', 'X')",
        "insert into app.departments (organization_id, plant_id, code, name) values ({mine}, {their_plant}, 'X', 'X')",
        "update app.departments set organization_id = {theirs} where organization_id = {mine}",
    ],
)
async def test_a_write_into_another_tenant_is_refused(
    database: Database, tenant: Tenant, stranger: Tenant, statement: str
):
    sql = statement.format(mine=tenant.organization_id, theirs=stranger.organization_id, their_plant=stranger.plants[0])
    with pytest.raises(asyncpg.PostgresError) as refused:
        async with database.write(tenant.actor()) as tx:
            await tx.execute(text(sql))
    assert refused.value.sqlstate in {"42501", "23503"}


async def test_rows_of_a_plant_out_of_reach_are_not_seen(database: Database, tenant: Tenant):
    one = tenant.actor(plants=tenant.plants[:1])
    async with database.read(one, "identity.read") as tx:
        assert await tx.scalars(text("select plant_id from app.departments")) == tenant.plants[:1]
    none = replace(one, readable=frozenset())
    async with database.read(none, "identity.read") as tx:
        assert await tx.scalars(text("select plant_id from app.departments")) == []


async def test_a_permission_held_in_one_plant_opens_only_that_plant(database: Database, tenant: Tenant):
    """Plant access alone is not enough: what may be written is where the permission holds."""
    there = Scope.of_plants(tenant.plants[:1])
    actor: Actor = replace(tenant.actor(), permissions={"x.write": there})
    change = text("update app.departments set name = 'changed' where organization_id = :org returning plant_id")
    async with database.write(actor, "x.write") as tx:
        assert [r.plant_id for r in await tx.rows(change, {"org": tx.org})] == tenant.plants[:1]
    async with database.write(actor, "y.write") as tx:
        assert await tx.rows(change, {"org": tx.org}) == []


async def test_delete_access_is_its_own_right(database: Database, tenant: Tenant):
    actor = replace(tenant.actor(), deletable=frozenset(tenant.plants[1:]))
    assert actor.write_scope(None, "delete").plants == frozenset(tenant.plants[1:])
    assert actor.write_scope(None).plants is None


async def test_reads_follow_the_scope_of_each_permission_in_one_transaction(database: Database, tenant: Tenant):
    everywhere = tenant.actor()
    async with database.read(everywhere) as tx:
        snapshot = await tx.scalar(text("select pg_current_snapshot()::text"))
        await tx.use_scope(Scope.of_plants(tenant.plants[1:]))
        assert await tx.scalars(text("select plant_id from app.departments")) == tenant.plants[1:]
        await tx.use_scope(NOWHERE)
        assert await tx.scalars(text("select plant_id from app.departments")) == []
        assert await tx.scalar(text("select pg_current_snapshot()::text")) == snapshot


async def test_a_restarted_server_is_survived(urls: Urls, admin: asyncpg.Connection, tenant: Tenant):
    database = Database.connect(urls.app, pool_size=3)
    try:
        async with database.read(tenant.actor()) as tx:
            pid = await tx.scalar(text("select pg_backend_pid()"))
        await admin.execute("select pg_terminate_backend($1)", pid)
        async with database.read(tenant.actor()) as tx:
            assert await tx.scalars(PLANTS) == tenant.plants
    finally:
        await database.close()


@pytest.mark.parametrize("name", ["x'; drop table app.users; --", "ü", "a\nb"])
async def test_a_setting_is_made_of_plain_characters(database: Database, tenant: Tenant, name: str):
    with pytest.raises(ValueError, match="plain characters"):
        async with database.read(replace(tenant.actor(), request_id=name)):
            pass


async def test_a_lookup_helper_never_leaves_the_organization(database: Database, admin: asyncpg.Connection):
    from modules.identity.public import Plant

    one, two = await new_tenant(admin), await new_tenant(admin)
    table = Plant.__declared__.table
    async with database.read(one.actor()) as tx:
        assert (await tx.get(table, one.plants[0])) is not None
        assert (await tx.get(table, two.plants[0])) is None


def test_nobody_may_nothing():
    assert ANONYMOUS.read_scope("x") == NOWHERE
    assert not ANONYMOUS.signed_in


async def test_what_nobody_waits_for_is_stopped_before_its_connection_is_given_back(
    urls: Urls, tenant: Tenant, admin: asyncpg.Connection
):
    """Else who asks and hangs up, again and again, has more statements running than there are connections to ask by."""
    database = Database.connect(urls.app, pool_size=3)

    async def alone() -> None:
        await database.fetchrow(tenant.actor(), EVERYWHERE, f"{CONTEXT} select pg_sleep(9) from context", [])

    async def in_transaction() -> None:
        async with database.read(tenant.actor()) as tx:
            await tx.scalar(text("select pg_sleep(9)"))

    running = "select count(*) from pg_stat_activity where state = 'active' and query like '%pg_sleep(9)%' and pid <> pg_backend_pid()"
    try:
        for ask in (alone, in_transaction):
            for _ in range(4):
                tasks = [asyncio.create_task(ask()) for _ in range(3)]
                while await admin.fetchval(running) < 3:
                    await asyncio.sleep(0.01)
                for task in tasks:
                    task.cancel()
                assert all(
                    isinstance(e, asyncio.CancelledError) for e in await asyncio.gather(*tasks, return_exceptions=True)
                )
                assert await admin.fetchval(running) == 0
                assert database.connections.idle == 3
    finally:
        await database.close()


async def test_a_process_that_is_killed_leaves_no_statement_running(
    urls: Urls, tenant: Tenant, admin: asyncpg.Connection
):
    database = Database.connect(urls.app, pool_size=1)
    held = await database.connections.take()
    asking = asyncio.create_task(held.execute("select pg_sleep(8)"))
    running = "select count(*) from pg_stat_activity where state = 'active' and query = 'select pg_sleep(8)'"
    while not await admin.fetchval(running):
        await asyncio.sleep(0.01)
    held.terminate()
    await asyncio.gather(asking, return_exceptions=True)
    async with asyncio.timeout(6):
        while await admin.fetchval(running):
            await asyncio.sleep(0.05)
    database.connections.drop(held)


async def test_a_cancellation_during_the_rollback_is_one(database: Database, tenant: Tenant):
    """Whoever answers the error that was under way would go on without a limit."""

    class Refusal(Exception): ...

    async def work() -> str:
        task = asyncio.current_task()
        assert task is not None
        with contextlib.suppress(Refusal):
            async with database.write(tenant.actor()):
                asyncio.get_running_loop().call_soon(task.cancel)
                raise Refusal
        return "went on"

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(work())


async def test_the_second_try_ends_in_time_as_well(urls: Urls, tenant: Tenant, admin: asyncpg.Connection):
    """After a restart of PostgreSQL every pooled connection is a dead one."""
    database = Database.connect(urls.app, pool_size=1, own={tenant.organization_id: Limits(statement_milliseconds=100)})
    try:
        await database.fetchrow(tenant.actor(), EVERYWHERE, f"{CONTEXT} select org from context", [])
        (held,) = database.connections._free
        await admin.execute("select pg_terminate_backend($1)", held.get_server_pid())
        await asyncio.sleep(0.1)
        with pytest.raises(TookTooLong):
            await database.fetchrow(tenant.actor(), EVERYWHERE, f"{CONTEXT} select pg_sleep(6.5) from context", [])
        left = "select count(*) from pg_stat_activity where state = 'active' and query like '%pg_sleep(6.5)%' and pid <> pg_backend_pid()"
        assert await admin.fetchval(left) == 0
        assert database.connections.idle == 1
    finally:
        await database.close()

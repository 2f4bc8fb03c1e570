"""The hourly upkeep: old events, receipts and sessions go, the rest stays, and it may run at any time."""

import asyncpg

from tests.conftest import Urls
from tests.support import Tenant

AGES = ("8 days", "6 days")


async def test_what_is_older_than_a_week_is_forgotten(urls: Urls, admin: asyncpg.Connection, tenant: Tenant):
    org = tenant.organization_id
    for age in AGES:
        await admin.execute(
            "insert into app.idempotency_receipts (organization_id, principal, field, key, request_hash, result, created_at)"
            " values ($1, 'user:1', 'x', $2, '\\x00', '{}', now() - $2::text::interval)",
            org,
            age,
        )
    connection = await asyncpg.connect(urls.events)
    try:
        for _ in range(2):
            await connection.execute("select ev.upkeep()")
    finally:
        await connection.close()
    receipts = await admin.fetch("select key from app.idempotency_receipts where organization_id = $1", org)
    assert [r["key"] for r in receipts] == ["6 days"]


DAYS = """select array_agg(substr(relname, 5) order by relname) from pg_inherits join pg_class c on c.oid = inhrelid
          where inhparent = 'ev.log'::regclass and relname <> 'log_default'"""


async def upkeep(urls: Urls, days: int) -> None:
    connection = await asyncpg.connect(urls.events)
    try:
        await connection.execute("select ev.upkeep($1)", days)
    finally:
        await connection.close()


async def test_days_of_the_event_log_are_dropped_and_made_ahead(urls: Urls, admin: asyncpg.Connection):
    """The log of the whole test run may stand in the database: only days long past and far ahead are arranged here."""
    await admin.execute("select ev.log_days(now() - interval '40 days', now() - interval '38 days')")
    await admin.execute(
        "insert into ev.log (pos, organization_id, topic, entity_id, operation, changed_fields, occurred_at, logged_at)"
        " select -n, 0, 'X', n, 'insert', '{}', now(), now() - interval '41 days' + n * interval '1 day'"
        " from generate_series(1, 8) n"
    )
    assert await admin.fetchval("select count(*) from ev.log_default") == 5, "days without a partition"
    await upkeep(urls, 36)
    kept = await admin.fetch("select pos from ev.log where pos < 0 order by pos desc")
    assert [row["pos"] for row in kept] == [-6, -7, -8], "whole days go, what the default holds by the instant"
    days = await admin.fetchval(DAYS)
    ahead = await admin.fetchval(
        "select array_agg(to_char(now() at time zone 'UTC' + n * interval '1 day', 'YYYY_MM_DD') order by n)"
        " from generate_series(0, 7) n"
    )
    assert days[-8:] == ahead
    await upkeep(urls, 7)
    assert await admin.fetchval("select count(*) from ev.log where pos < 0") == 0


async def test_upkeep_does_not_wait_for_a_long_reader(urls: Urls, admin: asyncpg.Connection):
    await admin.execute("select ev.log_days(now() - interval '40 days', now() - interval '40 days')")
    reader = await asyncpg.connect(urls.admin)
    try:
        async with reader.transaction():
            await reader.fetch("select from ev.log limit 1")
            await upkeep(urls, 7)
            assert len(await admin.fetchval(DAYS)) > 8, "left for the next hour"
    finally:
        await reader.close()
    await upkeep(urls, 7)
    assert len(await admin.fetchval(DAYS)) == 8


async def test_the_coming_year_has_its_partitions(urls: Urls, admin: asyncpg.Connection):
    connection = await asyncpg.connect(urls.events)
    try:
        await connection.execute("select ev.upkeep()")
    finally:
        await connection.close()
    name = await admin.fetchval("select 'production_logs_' || to_char(now() + interval '12 months', 'YYYY_MM')")
    assert await admin.fetchval("select to_regclass('tsdata.' || $1::text) is not null", name)

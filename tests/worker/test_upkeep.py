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
        await admin.execute(
            "insert into ev.log (pos, organization_id, topic, entity_id, operation, changed_fields, occurred_at)"
            " values (-abs(hashtext($2)), $1, 'X', 1, 'insert', '{}', now() - $2::text::interval)",
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
    events = await admin.fetchval("select count(*) from ev.log where organization_id = $1 and pos < 0", org)
    assert [r["key"] for r in receipts] == ["6 days"]
    assert events == 1


async def test_the_coming_year_has_its_partitions(urls: Urls, admin: asyncpg.Connection):
    connection = await asyncpg.connect(urls.events)
    try:
        await connection.execute("select ev.upkeep()")
    finally:
        await connection.close()
    name = await admin.fetchval("select 'production_logs_' || to_char(now() + interval '12 months', 'YYYY_MM')")
    assert await admin.fetchval("select to_regclass('tsdata.' || $1::text) is not null", name)

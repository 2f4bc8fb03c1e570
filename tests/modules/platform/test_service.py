"""Counters, settings and the audit trail against a real database and parallel callers."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest
from sqlalchemy import text

from db.refusal import NotFound, NotPermitted, ValidationFailed, VersionConflict
from db.session import Database
from modules.identity.public import tables as identity
from modules.platform.audit.service import as_of
from modules.platform.numbering import service as numbering
from modules.platform.public import get_setting, next_number
from modules.platform.settings import service as settings
from tests.support import Tenant

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)


async def take(database: Database, tenant: Tenant, kind: str = "sample", now: datetime = NOW) -> str:
    async with database.write(tenant.actor("planner")) as tx:
        return await next_number(tx, kind, now)


async def put(database: Database, tenant: Tenant, key: str, value: object, version: int = 0) -> None:
    async with database.write(tenant.actor()) as tx:
        await settings.put(tx, key, value, version=version, now=NOW + timedelta(seconds=version))


async def read(database: Database, tenant: Tenant, key: str) -> object:
    async with database.read(tenant.actor("viewer")) as tx:
        return await get_setting(tx, key)


# --- numbers ----------------------------------------------------------------------------------------------------------------


async def test_twenty_parallel_callers_get_dense_numbers(database: Database, tenant: Tenant):
    found = await asyncio.gather(*(take(database, tenant) for _ in range(20)))
    assert sorted(found) == [f"SMP-2026-{n:04d}" for n in range(1, 21)]


async def test_rolled_back_work_leaves_no_gap(database: Database, tenant: Tenant):
    async def fail() -> None:
        async with database.write(tenant.actor("planner")) as tx:
            await next_number(tx, "sample", NOW)
            raise NotFound("changed my mind")

    await asyncio.gather(
        *(fail() for _ in range(5)), *(take(database, tenant) for _ in range(5)), return_exceptions=True
    )
    assert await take(database, tenant) == "SMP-2026-0006"


async def test_each_year_tenant_and_kind_counts_for_itself(database: Database, tenant: Tenant, stranger: Tenant):
    assert [await take(database, tenant), await take(database, tenant)] == ["SMP-2026-0001", "SMP-2026-0002"]
    assert await take(database, stranger) == "SMP-2026-0001"
    assert await take(database, tenant, now=NOW.replace(year=2027)) == "SMP-2027-0001"
    assert await take(database, tenant) == "SMP-2026-0003"
    assert await take(database, tenant, "quality_note") == "QN-2026-000001"


async def test_the_year_turns_in_the_organizations_time_zone(database: Database, tenant: Tenant):
    new_year_in_sydney = datetime(2026, 12, 31, 13, 30, tzinfo=UTC)
    assert await take(database, tenant, now=new_year_in_sydney) == "SMP-2026-0001"
    await put(database, tenant, "numbering.time_zone", "Australia/Sydney")
    assert await take(database, tenant, now=new_year_in_sydney) == "SMP-2027-0001"
    with pytest.raises(ValidationFailed):
        await put(database, tenant, "numbering.time_zone", "Mars/Olympus", 1)


async def test_a_scheme_of_its_own(database: Database, tenant: Tenant):
    async def set_scheme(version: int, **more: object) -> None:
        async with database.write(tenant.actor()) as tx:
            given = {"prefix": "S/", "padding": 2, "yearly": False, **more}
            await numbering.set_scheme(tx, "sample", version=version, **given)

    await take(database, tenant)
    await set_scheme(0)
    assert [await take(database, tenant) for _ in range(2)] == ["S/-01", "S/-02"]
    with pytest.raises(VersionConflict):
        await set_scheme(0)
    await set_scheme(1, yearly=True)
    assert await take(database, tenant) == "S/-2026-02", "counting goes on where it stood"
    with pytest.raises(ValidationFailed):
        await set_scheme(2, prefix="no spaces")
    async with database.write(tenant.actor()) as tx:
        with pytest.raises(NotFound):
            await numbering.set_scheme(tx, "no_such", prefix="X", padding=1, yearly=True, version=0)


# --- settings ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "default", "value"),
    [
        ("sample.limit", 5, 9),
        ("sample.rate", Decimal("0.5"), Decimal("0.125")),
        ("sample.on", False, True),
        ("sample.password", None, "s3cret"),
    ],
)
async def test_a_setting_is_its_default_until_it_is_set_and_after_it_is_reset(
    database, tenant, stranger, key, default, value
):
    assert await read(database, tenant, key) == default
    await put(database, tenant, key, value)
    assert await read(database, tenant, key) == value
    assert await read(database, stranger, key) == default
    async with database.write(tenant.actor()) as tx:
        await settings.reset(tx, key, version=1, now=NOW)
    assert await read(database, tenant, key) == default


async def test_of_parallel_settings_one_wins(database: Database, tenant: Tenant):
    answers = await asyncio.gather(
        *(put(database, tenant, "sample.limit", n) for n in range(1, 7)), return_exceptions=True
    )
    assert sum(a is None for a in answers) == 1
    assert sum(isinstance(a, VersionConflict) for a in answers) == 5


async def test_a_secret_is_in_no_table_the_application_reads(
    database: Database, tenant: Tenant, admin: asyncpg.Connection
):
    for version in range(2):
        await put(database, tenant, "sample.password", f"s3cret{version}", version)
    org = tenant.organization_id
    rows = await admin.fetch("select to_jsonb(s)::text as t from app.settings s where organization_id = $1", org)
    rows += await admin.fetch("select to_jsonb(a)::text as t from app.audit_logs a where organization_id = $1", org)
    assert not [r for r in rows if "s3cret" in r["t"]]
    changed = await admin.fetch(
        "select changed_fields from app.audit_logs where organization_id = $1 and entity_type = 'Setting' order by id",
        org,
    )
    assert len(changed) == 2, "that it was changed is known"
    with pytest.raises(Exception, match="permission denied"):
        async with database.read(tenant.actor()) as tx:
            await tx.rows(text("select * from auth.setting_secrets"))


async def test_what_settings_refuse(database: Database, tenant: Tenant):
    with pytest.raises(NotFound):
        await put(database, tenant, "no.such", 1)
    with pytest.raises(ValidationFailed):
        await put(database, tenant, "sample.limit", 10)
    with pytest.raises(KeyError):
        await read(database, tenant, "no.such")
    in_one_plant = tenant.actor(plants=tenant.plants[:1])
    async with database.write(in_one_plant) as tx:
        with pytest.raises(NotPermitted):
            await settings.put(tx, "sample.limit", 3, version=0, now=NOW)


# --- audit ------------------------------------------------------------------------------------------------------------------


async def test_a_record_as_it_was(database: Database, tenant: Tenant, admin: asyncpg.Connection):
    plant = tenant.plants[0]

    async def at(instant: datetime) -> object:
        async with database.read(tenant.actor(), "audit.read") as tx:
            found = await as_of(tx, identity.Plant, "Plant", plant, instant)
            return found.values and found.values["name"]

    async def clock() -> datetime:
        return await admin.fetchval("select clock_timestamp()")

    async def rename(name: str) -> None:
        async with database.write(tenant.actor()) as tx:
            (await tx.locked(identity.Plant, plant)).name = name

    created = await clock()
    await rename("Second")
    second = await clock()
    await rename("Third")
    assert [await at(t) for t in (created, second, await clock())] == ["Plant 1", "Second", "Third"]
    assert await at(created - timedelta(days=1)) is None


async def test_a_record_older_than_the_trail(database: Database, tenant: Tenant, admin: asyncpg.Connection):
    """Rows of a bulk load have no entry of their creation."""
    old = datetime(2020, 1, 1, tzinfo=UTC)
    async with admin.transaction():
        await admin.execute("set local session_replication_role = replica")
        id = await admin.fetchval(
            "insert into app.plants (organization_id, code, name, plant_type, time_zone, created_at)"
            " values ($1, 'OLD', 'Old', 'assembly', 'UTC', $2) returning id",
            tenant.organization_id, old,
        )  # fmt: skip

    async def name_at(instant: datetime) -> object:
        async with database.read(tenant.actor(), "audit.read") as tx:
            found = await as_of(tx, identity.Plant, "Plant", id, instant)
            return found.values and found.values["name"]

    year_later = old + timedelta(days=365)
    assert (await name_at(year_later), await name_at(old - timedelta(days=1))) == ("Old", None)
    async with database.write(tenant.actor()) as tx:
        (await tx.locked(identity.Plant, id)).name = "Renamed"
    assert (await name_at(year_later), await name_at(old - timedelta(days=1))) == ("Old", None)
    assert await name_at(datetime.now(UTC) + timedelta(seconds=5)) == "Renamed"


async def test_the_trail_is_written_by_nobody(database: Database, tenant: Tenant):
    for statement in (
        "delete from app.audit_logs",
        "update app.audit_logs set action = 'delete'",
        "insert into app.audit_logs default values",
    ):
        with pytest.raises(Exception, match="permission denied"):
            async with database.write(tenant.actor()) as tx:
                await tx.execute(text(statement))


# --- receipts ---------------------------------------------------------------------------------------------------------------


async def test_receipts_are_forgotten_after_a_week_in_every_organization(tenant, stranger, admin):
    for t in (tenant, stranger):
        for n, days in enumerate((0, 6, 8)):
            await admin.execute(
                "insert into app.idempotency_receipts (organization_id, principal, field, key, request_hash, result, created_at)"
                " values ($1, 'user:1', 'f', $2, '', '{}', $3)",
                t.organization_id, f"k{n}", NOW - timedelta(days=days),
            )  # fmt: skip
    assert await admin.fetchval("select app.purge_idempotency_receipts($1)", NOW - timedelta(days=7)) == 2
    left = "select array_agg(key order by key) from app.idempotency_receipts where organization_id = $1"
    assert await admin.fetchval(left, tenant.organization_id) == ["k0", "k1"]

"""The worker's hourly cleaning: what nobody wants any more goes, what somebody may still want stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from modules.platform.public import FileStorage
from schema.ids import decode, encode
from tests.conftest import Urls
from tests.modules.platform.files.desk import DELETE, PNG, announce, complete, send, uploaded
from tests.support import House, Tenant
from worker.files import ORPHAN_AGE, clean, keep_clean


@pytest.fixture
async def events(urls: Urls) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(urls.events)
    yield connection
    await connection.close()


async def row(admin: asyncpg.Connection, id: str) -> Any:
    return await admin.fetchrow("select * from app.files where id = $1", decode(id)[1])


async def age(admin: asyncpg.Connection, id: str, column: str, by: str) -> None:
    statement = f"update app.files set {column} = now() - $2::text::interval where id = $1"
    await admin.execute(statement, decode(id)[1], by)


async def test_uploads_nobody_confirmed_are_given_up(
    filed: House,
    tenant: Tenant,
    storage: FileStorage,
    admin: asyncpg.Connection,
    events: asyncpg.Connection,
    bucket: Path,
):
    actor, plant = tenant.actor(), encode("Plant", tenant.plants[0])
    late, in_time = [(await announce(filed, actor, plantId=p))["file"]["id"] for p in (plant, None)]
    sent = await announce(filed, actor)
    await send(sent["upload"], PNG)
    key = (await row(admin, sent["file"]["id"]))["key"]
    for id in (late, sent["file"]["id"]):
        await age(admin, id, "expires_at", "1 second")
    await clean(events, storage, now=datetime.now(UTC))
    assert (await row(admin, late))["status"] == "deleted"
    assert (await row(admin, in_time))["status"] == "pending"
    assert (await row(admin, sent["file"]["id"]))["removed_at"] is not None
    assert not (bucket / key).exists()


async def test_quarantine_ends_after_a_week(
    filed: House,
    tenant: Tenant,
    storage: FileStorage,
    admin: asyncpg.Connection,
    events: asyncpg.Connection,
    bucket: Path,
):
    found = {}
    for days in ("8 days", "6 days"):
        body = b"\x7fELF" + bytes(100)
        made = await announce(filed, tenant.actor(), body)
        await send(made["upload"], body)
        await complete(filed, tenant.actor(), made["file"]["id"])
        await age(admin, made["file"]["id"], "status_at", days)
        found[days] = made["file"]["id"]
    await clean(events, storage, now=datetime.now(UTC))
    rows = {days: await row(admin, id) for days, id in found.items()}
    assert {days: r["status"] for days, r in rows.items()} == {"8 days": "deleted", "6 days": "quarantined"}
    assert {days: (bucket / r["key"]).exists() for days, r in rows.items()} == {"8 days": False, "6 days": True}


async def test_objects_without_a_row_go_once_they_are_old(
    filed: House,
    tenant: Tenant,
    storage: FileStorage,
    events: asyncpg.Connection,
    bucket: Path,
    admin: asyncpg.Connection,
):
    file = await uploaded(filed, tenant.actor())
    kept = (await row(admin, file["id"]))["key"]
    folder = tenant.organization_id
    old, nobodys, foreign, young = f"{folder}/{'a' * 32}", f"999999999/{'c' * 32}", "backup.tar", f"{folder}/{'b' * 32}"
    for key in (old, nobodys, foreign):
        assert await send({"url": storage.upload_url(key, timedelta(minutes=1)), "headers": []}, b"x") == 200
    await asyncio.sleep(0.05)
    moment = datetime.now(UTC)
    await asyncio.sleep(0.05)
    await send({"url": storage.upload_url(young, timedelta(minutes=1)), "headers": []}, b"x")
    _, _, unknown = await clean(events, storage, now=moment + ORPHAN_AGE)
    assert unknown >= 2
    assert [(bucket / k).exists() for k in (old, nobodys, young, foreign, kept)] == [False, False, True, True, True]


async def test_bytes_of_a_file_deleted_during_an_outage_go_later(
    filed: House,
    tenant: Tenant,
    storage: FileStorage,
    events: asyncpg.Connection,
    bucket: Path,
    admin: asyncpg.Connection,
):
    file = await uploaded(filed, tenant.actor())
    key = (await row(admin, file["id"]))["key"]
    filed.storage = None
    try:
        await filed.data(tenant.actor(), DELETE, {"id": file["id"], "version": file["version"]})
    finally:
        filed.storage = storage
    assert (bucket / key).exists()
    await clean(events, storage, now=datetime.now(UTC))
    assert not (bucket / key).exists()
    version = (await row(admin, file["id"]))["version"]
    await clean(events, storage, now=datetime.now(UTC))
    assert (await row(admin, file["id"]))["version"] == version, "once is enough"


async def test_the_worker_keeps_at_it(filed: House, tenant: Tenant, storage: FileStorage, urls: Urls, admin: Any):
    made = await announce(filed, tenant.actor())
    task = asyncio.create_task(keep_clean(urls.events, storage, every=0.05))
    await asyncio.sleep(0.3)
    await age(admin, made["file"]["id"], "expires_at", "1 second")
    async with asyncio.timeout(10):
        while (await row(admin, made["file"]["id"]))["removed_at"] is None:
            await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

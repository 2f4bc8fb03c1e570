"""Deliveries: signed, in the order of each object, under one id, whatever the receivers do and whoever is killed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from db.session import Database
from schema.feed import Cursor
from schema.ids import encode
from tests.api.floor import Floor
from tests.conftest import SECRET, Urls
from tests.support import House, Tenant
from tests.worker.hooks import Endpoint, endpoint
from tests.worker.receiver import Received, Receiver, delivering, receiving
from tests.worker.test_relay import REPOSITORY, until

pytestmark = pytest.mark.usefixtures("empty")


def positions(received: list[Received]) -> list[int]:
    """Without repeats, in the order of arrival."""
    return list(dict.fromkeys(Cursor.of(one.body["data"]["cursor"]).pos for one in received))


async def told(admin: asyncpg.Connection, machine: int) -> list[int]:
    """The positions of a machine's events, as the log has them."""
    rows = await admin.fetch("select pos from ev.log where topic = 'Machine' and entity_id = $1 order by pos", machine)
    return [row["pos"] for row in rows]


async def test_an_event_arrives_signed_with_its_object_as_it_is(
    urls: Urls, database: Database, house: House, admin: asyncpg.Connection, tenant: Tenant
):
    async with receiving() as receiver, delivering(urls, database, house):
        hook = await endpoint(house, admin, tenant, receiver.url)
        floor = Floor(admin, tenant)
        machine = await floor.machine()
        await until(lambda: len(receiver.accepted) == 1)
        await floor.change("machines", machine, name="1")
        await until(lambda: len(receiver.accepted) == 2)
        await until(lambda: _all(hook, "DELIVERED"))
    created, updated = receiver.accepted
    id = encode("Machine", machine)
    assert created.body["type"] == "Machine.CREATED"
    data = updated.body["data"]
    assert data["entityId"] == id
    assert data["type"] == "UPDATED"
    assert data["changedFields"] == ["name"]
    assert data["object"] == {"id": id, "name": "1", "plant": {"code": "P1"}}
    assert updated.body["id"] == updated.id
    for one in (created, updated):
        assert one.signed_by(hook.secret)
        assert one.headers["content-type"] == "application/json"
    assert not updated.signed_by("whsec_" + "A" * 44)
    (attempt,) = (await hook.deliveries())[1]["attempts"]["nodes"]
    assert (attempt["number"], attempt["responseStatus"], attempt["error"]) == (1, 200, None)
    assert attempt["responseBody"] == "noted"


async def test_without_a_selection_the_event_alone_is_sent(
    urls: Urls, database: Database, house: House, admin: asyncpg.Connection, tenant: Tenant
):
    async with receiving() as receiver, delivering(urls, database, house):
        await endpoint(house, admin, tenant, receiver.url, topics=[{"topic": "Machine"}])
        await Floor(admin, tenant).machine()
        await until(lambda: len(receiver.accepted) == 1)
    assert receiver.accepted[0].body["data"]["object"] is None


async def test_a_failing_object_keeps_its_order_and_holds_up_no_other(
    urls: Urls, database: Database, house: House, admin: asyncpg.Connection, tenant: Tenant
):
    floor, stuck = Floor(admin, tenant), set[str]()

    def answer(one: Received) -> int:
        return 500 if one.entity in stuck else 200

    async with receiving(answer) as receiver, delivering(urls, database, house, delays=(0.05,) * 200):
        hook = await endpoint(house, admin, tenant, receiver.url)
        bad, good = await floor.machine(), await floor.machine()
        ids = encode("Machine", bad), encode("Machine", good)
        stuck.add(ids[0])
        for n in range(5):
            await floor.change("machines", bad, name=f"b{n}")
            await floor.change("machines", good, name=f"g{n}")
        await until(lambda: len(receiver.of(ids[1])) == 6, 30)
        bad_seen = {one.id for one in receiver.received if one.entity == ids[0]} - {one.id for one in receiver.accepted}
        assert len(bad_seen) == 1  # only its first event was tried, again and again under one id
        stuck.clear()
        await until(lambda: _all(hook, "DELIVERED"), 30)
    for machine, id in zip((bad, good), ids, strict=True):
        assert positions(receiver.of(id)) == await told(admin, machine)


async def test_a_hanging_receiver_blocks_neither_others_nor_other_organizations(
    urls: Urls, database: Database, house: House, admin: asyncpg.Connection, tenant: Tenant, stranger: Tenant
):
    async def hang(_: Received) -> int:
        await asyncio.sleep(600)
        return 200

    async with (
        receiving(hang) as hanging,
        receiving() as own,
        receiving() as others,
        delivering(urls, database, house, seconds=5),
    ):
        slow = await endpoint(house, admin, tenant, hanging.url)
        await endpoint(house, admin, tenant, own.url)
        await endpoint(house, admin, stranger, others.url)
        for _ in range(12):
            await Floor(admin, tenant).machine()
            await Floor(admin, stranger).machine()
        await until(lambda: len(own.accepted) == len(others.accepted) == 12, 30)
        await until(lambda: _has_error(slow), 30)
    assert hanging.accepted == []
    assert {one["status"] for one in await slow.deliveries()} == {"PENDING"}


async def _has_error(hook: Endpoint) -> bool:
    return "It took longer than 5 seconds" in [one["lastError"] for one in await hook.deliveries()]


async def test_two_dispatchers_make_each_delivery_once(
    urls: Urls, database: Database, house: House, admin: asyncpg.Connection, tenant: Tenant
):
    async with receiving() as receiver:
        hook = await endpoint(house, admin, tenant, receiver.url)
        floor = Floor(admin, tenant)
        machines = [await floor.machine() for _ in range(4)]
        for n in range(40):
            await floor.change("machines", machines[n % 4], name=f"n{n}")
        async with delivering(urls, database, house, dispatchers=4):
            await until(lambda: len(receiver.accepted) == 44, 30)
            await until(lambda: _all(hook, "DELIVERED"), 30)
    jobs = await admin.fetchval(
        "select count(*) from app.jobs where organization_id = $1 and kind = 'platform.webhook'", tenant.organization_id
    )
    assert jobs == len(await hook.deliveries()) == 44


@asynccontextmanager
async def worker(urls: Urls) -> AsyncIterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "worker"],
        cwd=REPOSITORY,
        env={
            **os.environ, "DATABASE_APP_URL": urls.app, "DATABASE_EVENTS_URL": urls.events, "SECRET_KEY": SECRET,
            "LOG_FORMAT": "json", "WEBHOOK_ALLOWED_NETWORKS": '["127.0.0.0/8"]', "WEBHOOK_ALLOW_HTTP": "true",
        },
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)


async def test_killed_at_any_moment_nothing_is_lost_and_every_object_stays_in_order(
    urls: Urls, house: House, admin: asyncpg.Connection, tenant: Tenant
):
    async def slowly(_: Received) -> int:
        await asyncio.sleep(0.03)
        return 200

    async with receiving(slowly) as receiver:
        hook = await endpoint(house, admin, tenant, receiver.url)
        floor = Floor(admin, tenant)
        machines = [await floor.machine() for _ in range(5)]
        writing = asyncio.create_task(_write(floor, machines, 20))
        for reached in (5, 40):
            async with worker(urls) as process:
                await until(lambda reached=reached: len(receiver.accepted) >= reached, 60)
                process.kill()
            await admin.execute("update pgmq.q_webhooks set vt = clock_timestamp()")  # what it held, without the wait
        await writing
        async with worker(urls):
            await until(lambda: _told_all(receiver, 5 * 21), 60)
            await until(lambda: _all(hook, "DELIVERED"), 60)
    of_event = defaultdict(set)
    for one in receiver.accepted:
        of_event[one.body["data"]["cursor"]].add(one.id)
    assert all(len(ids) == 1 for ids in of_event.values())
    for machine in machines:
        assert positions(receiver.of(encode("Machine", machine))) == await told(admin, machine)


async def _write(floor: Floor, machines: list[int], times: int) -> None:
    for n in range(times):
        for machine in machines:
            await floor.change("machines", machine, name=f"n{n}")
            await asyncio.sleep(0.005)


def _told_all(receiver: Receiver, count: int) -> bool:
    return len(positions(receiver.accepted)) == count


async def _all(hook: Endpoint, status: str) -> bool:
    return set(await hook.statuses()) == {status}

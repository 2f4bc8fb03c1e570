"""Endpoints and the event log: replayed from it, told what it has forgotten, and kept waiting in it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from db.session import Database
from modules.platform.webhooks import deliveries
from schema.feed import Cursor
from schema.ids import encode
from tests.api.floor import Floor
from tests.conftest import Urls
from tests.support import House, Tenant
from tests.worker.hooks import endpoint, statuses
from tests.worker.receiver import delivering, receiving
from tests.worker.test_relay import EVENT, until
from tests.worker.test_webhooks import positions, told

pytestmark = pytest.mark.usefixtures("empty")


async def test_redelivered_and_replayed_under_the_same_ids(
    urls: Urls, database: Database, house: House, admin: asyncpg.Connection, tenant: Tenant
):
    floor = Floor(admin, tenant)
    async with receiving() as receiver, delivering(urls, database, house):
        hook = await endpoint(house, admin, tenant, receiver.url)
        machine = await floor.machine()
        for n in range(3):
            await floor.change("machines", machine, name=f"n{n}")
        await until(lambda: statuses(hook, ["DELIVERED"] * 4))
        first = [one.id for one in receiver.accepted]
        second = (await hook.deliveries())[1]
        answer = await hook.call(
            "webhookDeliveryRedeliver", "WebhookDeliveryRedeliverInput", "errors { code }", id=second["id"]
        )
        assert answer["errors"] == []
        await until(lambda: len(receiver.accepted) == 5)
        assert receiver.accepted[4].id == second["reference"]
        await until(lambda: statuses(hook, ["DELIVERED"] * 4))
        cursor = receiver.accepted[0].body["data"]["cursor"]
        assert (await hook.do("Replay", "WebhookEndpointReplay", **{"from": {"cursor": cursor}}))["errors"] == []
        await until(lambda: len(receiver.accepted) == 8)
        assert [one.id for one in receiver.accepted[5:]] == first[1:]
        await until(lambda: statuses(hook, ["DELIVERED"] * 4))
        since = {"from": {"time": "2026-01-01T00:00:00Z"}}
        assert (await hook.do("Replay", "WebhookEndpointReplay", **since))["errors"] == []
        await until(lambda: len(receiver.accepted) == 12)
        assert [one.id for one in receiver.accepted[8:]] == first
        future = {"from": {"cursor": str(Cursor(10**12))}}
        refused = await hook.do("Replay", "WebhookEndpointReplay", **future)
        assert refused["errors"][0]["code"] == "VALIDATION_FAILED"


async def test_of_what_the_log_has_forgotten_it_is_told_that_it_is_missing(
    urls: Urls, database: Database, house: House, admin: asyncpg.Connection, tenant: Tenant
):
    async with receiving() as receiver:
        hook = await endpoint(house, admin, tenant, receiver.url)
        await admin.execute(
            "update app.webhook_progress set pos = -10 where organization_id = $1", tenant.organization_id
        )
        async with delivering(urls, database, house):
            await until(lambda: len(receiver.accepted) == 1)
            (missing,) = receiver.accepted
            assert missing.body["data"]["resyncRequired"] is True
            assert missing.signed_by(hook.secret)
            machine = await Floor(admin, tenant).machine()
            await until(lambda: len(receiver.accepted) == 2)
    assert Cursor.of(missing.body["data"]["cursor"]).pos < Cursor.of(receiver.accepted[1].body["data"]["cursor"]).pos
    assert receiver.accepted[1].entity == encode("Machine", machine)


async def test_what_cannot_be_sent_waits_in_the_log(
    urls: Urls, database: Database, house: House, admin: asyncpg.Connection, tenant: Tenant,
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    """A receiver that is down does not fill the queue: so many deliveries are open, the other events are not lost."""
    monkeypatch.setattr(deliveries, "MOST_OPEN", 10)
    floor = Floor(admin, tenant)
    async with receiving(lambda _: 500) as receiver, delivering(urls, database, house, delays=(0.05,) * 200):
        hook = await endpoint(house, admin, tenant, receiver.url)
        machine = await floor.machine()
        for n in range(30):
            await floor.change("machines", machine, name=f"n{n}")
        newest = await floor.settled()
        await until(lambda: statuses(hook, ["PENDING"] * 10))
        await asyncio.sleep(0.3)
        assert len(await hook.deliveries()) == 10
        assert Cursor.of((await hook.shown())["progress"]["cursor"]).pos < newest
        receiver.answer = lambda _: 200
        await until(lambda: len(positions(receiver.accepted)) == 31, 30)
    assert positions(receiver.accepted) == await told(admin, machine)


async def test_an_endpoint_with_nothing_to_tell_does_not_fall_behind(
    urls: Urls, house: House, admin: asyncpg.Connection, tenant: Tenant
):
    hook = await endpoint(house, admin, tenant, "https://hooks.example.com/")
    await admin.execute(EVENT, 1_100)
    while await admin.fetchval("select ev.relay(500)"):
        pass
    events = await asyncpg.connect(urls.events)
    try:
        due = await events.fetch("select * from ev.webhooks_due(10000)")
    finally:
        await events.close()
    assert tenant.organization_id not in {row["organization_id"] for row in due}
    newest = await admin.fetchval("select pos from ev.head")
    assert Cursor.of((await hook.shown())["progress"]["cursor"]).pos == newest


async def test_a_time_before_the_log_is_told_apart_from_one_within(admin: asyncpg.Connection):
    await admin.execute(EVENT, 3)
    await admin.execute("select ev.relay(500)")
    transaction = admin.transaction()
    await transaction.start()
    try:
        ask = "select * from app.event_position_at($1)"
        last = await admin.fetchrow("select pos, logged_at from ev.log order by pos desc limit 1")
        assert tuple(await admin.fetchrow(ask, last["logged_at"] + timedelta(seconds=1))) == (last["pos"], True)
        first = await admin.fetchrow("select pos, logged_at from ev.log order by pos limit 1")
        assert tuple(await admin.fetchrow(ask, first["logged_at"] - timedelta(days=1))) == (0, True)
        await admin.execute("delete from ev.log where pos = $1", first["pos"])
        assert tuple(await admin.fetchrow(ask, first["logged_at"] - timedelta(days=1))) == (1, False)
    finally:
        await transaction.rollback()

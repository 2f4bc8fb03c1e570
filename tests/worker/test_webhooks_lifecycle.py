"""Endpoints over time: paused and resumed, given up, with other secrets, with fewer rights."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from db.session import Database
from schema.ids import encode
from tests.api.floor import Floor
from tests.conftest import Urls
from tests.support import House, Tenant
from tests.worker.hooks import Endpoint, endpoint, paused, queue_empty, statuses
from tests.worker.receiver import Received, delivering, receiving
from tests.worker.test_relay import until
from tests.worker.test_webhooks import positions, told

pytestmark = pytest.mark.usefixtures("empty")


async def test_paused_nothing_is_sent_and_resumed_it_goes_on_where_it_stopped(
    urls: Urls, database: Database, house: House, admin: asyncpg.Connection, tenant: Tenant
):
    floor = Floor(admin, tenant)
    async with receiving(lambda _: 500) as receiver, delivering(urls, database, house, delays=(0.05,) * 50):
        hook = await endpoint(house, admin, tenant, receiver.url)
        machine = await floor.machine()
        await until(lambda: len(receiver.received) >= 2)
        assert (await hook.do("Pause"))["errors"] == []
        assert (await hook.do("Pause"))["errors"][0]["code"] == "INVALID_TRANSITION"
        for n in range(4):
            await floor.change("machines", machine, name=f"n{n}")
        await until(lambda: queue_empty(admin))  # what was queued found the endpoint paused
        tried = len(receiver.received)
        await floor.settled()
        assert [one["status"] for one in await hook.deliveries()] == ["PENDING"]
        receiver.answer = lambda _: 200
        assert (await hook.shown())["pausedReason"] == "BY_HAND"
        assert len(receiver.received) == tried
        assert (await hook.do("Resume"))["errors"] == []
        await until(lambda: len(receiver.accepted) == 5)
    assert positions(receiver.accepted) == await told(admin, machine)
    assert receiver.accepted[0].id == receiver.received[0].id


async def test_a_receiver_that_is_gone_is_paused_at_once(
    urls: Urls, database: Database, house: House, admin: asyncpg.Connection, tenant: Tenant
):
    async with receiving(lambda _: 410) as receiver, delivering(urls, database, house):
        hook = await endpoint(house, admin, tenant, receiver.url)
        await Floor(admin, tenant).machine()
        await until(lambda: paused(hook))
        assert (await hook.shown())["pausedReason"] == "GONE"
        assert len(receiver.received) == 1


async def test_what_fails_for_a_day_is_paused_and_what_dies_is_shown(
    urls: Urls, database: Database, house: House, admin: asyncpg.Connection, tenant: Tenant
):
    floor = Floor(admin, tenant)
    async with receiving(lambda _: 503) as receiver, delivering(urls, database, house):
        hook = await endpoint(house, admin, tenant, receiver.url)
        await floor.machine()
        await until(lambda: statuses(hook, ["DEAD"]))
        (dead,) = await hook.deliveries()
        assert dead["attemptCount"] == len(dead["attempts"]["nodes"]) == 4
        assert dead["lastError"] == "The receiver answered 503"
        progress = (await hook.shown())["progress"]
        assert (progress["failuresInARow"], progress["deadInARow"]) == (4, 1)
        assert not await paused(hook)
        await admin.execute(
            "update app.webhook_progress set failing_since = now() - interval '25 hours' where organization_id = $1",
            tenant.organization_id,
        )
        await floor.machine()
        await until(lambda: paused(hook))
        assert (await hook.shown())["pausedReason"] == "FAILING"


async def test_a_rotated_secret_signs_along_until_its_time_is_over(
    urls: Urls, database: Database, house: House, admin: asyncpg.Connection, tenant: Tenant
):
    async with receiving() as receiver, delivering(urls, database, house):
        hook = await endpoint(house, admin, tenant, receiver.url)
        rotated = await _rotated(hook, graceMinutes=60)
        await Floor(admin, tenant).machine()
        await until(lambda: len(receiver.accepted) == 1)
        assert receiver.accepted[0].signed_by(hook.secret)
        assert receiver.accepted[0].signed_by(rotated)
        newest = await _rotated(hook, graceMinutes=0)
        await Floor(admin, tenant).machine()
        await until(lambda: len(receiver.accepted) == 2)
        assert receiver.accepted[1].signed_by(newest)
        assert not receiver.accepted[1].signed_by(rotated)
        assert not receiver.accepted[1].signed_by(hook.secret)


async def _rotated(hook: Endpoint, **given: Any) -> str:
    answer = await hook.call(
        "webhookSecretRotate", "WebhookSecretRotateInput", "secret errors { code }", id=hook.id, **given
    )
    assert answer["errors"] == []
    return str(answer["secret"])


async def test_a_ping_reaches_a_paused_endpoint_once(
    urls: Urls, database: Database, house: House, admin: asyncpg.Connection, tenant: Tenant
):
    async with receiving(lambda _: 500) as receiver, delivering(urls, database, house):
        hook = await endpoint(house, admin, tenant, receiver.url)
        await hook.do("Pause")
        answer = await hook.call("webhookEndpointTest", "WebhookEndpointTestInput", "errors { code }", id=hook.id)
        assert answer["errors"] == []
        await until(lambda: statuses(hook, ["DEAD"]))
        assert len(receiver.received) == 1
        assert receiver.received[0].body["type"] == "ping"
        assert receiver.received[0].signed_by(hook.secret)


async def test_each_key_is_told_what_it_may_see_and_no_more(
    urls: Urls, database: Database, house: House, admin: asyncpg.Connection, tenant: Tenant, stranger: Tenant
):
    floor, foreign = Floor(admin, tenant), Floor(admin, stranger)
    async with (
        receiving() as everywhere,
        receiving() as second,
        receiving() as abroad,
        delivering(urls, database, house),
    ):
        await endpoint(house, admin, tenant, everywhere.url)
        hook = await endpoint(house, admin, tenant, second.url, plant=tenant.plants[1])
        await endpoint(house, admin, stranger, abroad.url)
        one, two, other = await floor.machine(0), await floor.machine(1), await foreign.machine(0)
        await until(lambda: len(everywhere.accepted) == 2)
        await until(lambda: len(second.accepted) == len(abroad.accepted) == 1)
        await until(lambda: statuses(hook, ["DELIVERED"]))
        await floor.settled()
    assert {one.entity for one in everywhere.accepted} == {encode("Machine", one), encode("Machine", two)}
    assert second.accepted[0].entity == encode("Machine", two)
    assert abroad.accepted[0].entity == encode("Machine", other)


async def test_what_has_left_the_keys_sight_is_skipped(
    urls: Urls, database: Database, house: House, admin: asyncpg.Connection, tenant: Tenant
):
    """The event was in the key's plant; by the time it is sent, the object is elsewhere."""
    floor = Floor(admin, tenant)
    async with receiving(lambda _: 500) as receiver, delivering(urls, database, house, delays=(0.2,) * 50):
        hook = await endpoint(house, admin, tenant, receiver.url, plant=tenant.plants[0])
        machine = await floor.machine(0)
        await until(lambda: len(receiver.received) >= 1)
        await floor.change("machines", machine, plant_id=tenant.plants[1])
        await until(lambda: statuses(hook, ["SKIPPED"]))


@pytest.mark.parametrize(
    "end",
    [
        "update app.app_keys set revoked_at = now() where id = $1",
        "update app.app_keys set expires_at = now() where id = $1",
        "update app.apps set archived_at = now() where id = (select app_id from app.app_keys where id = $1)",
    ],
)
async def test_without_rights_the_endpoint_pauses(
    urls: Urls, database: Database, house: House, admin: asyncpg.Connection, tenant: Tenant, end: str
):
    def refuse(_: Received) -> int:
        return 500

    async with receiving(refuse) as receiver, delivering(urls, database, house, delays=(0.05,) * 50):
        hook = await endpoint(house, admin, tenant, receiver.url)
        await Floor(admin, tenant).machine()
        await until(lambda: len(receiver.received) >= 1)
        await admin.execute(end, hook.key)
        await until(lambda: paused(hook))
        tried = len(receiver.received)
        await Floor(admin, tenant).machine()
        await until(lambda: queue_empty(admin))
        assert (await hook.shown())["pausedReason"] == "NO_RIGHTS"
        assert len(receiver.received) <= tried + 1  # one may have been under way
        assert (await hook.do("Resume"))["errors"][0]["code"] == "VALIDATION_FAILED"


async def test_archived_it_is_told_of_nothing(
    urls: Urls, database: Database, house: House, admin: asyncpg.Connection, tenant: Tenant
):
    async with receiving() as receiver, receiving() as other, delivering(urls, database, house):
        hook = await endpoint(house, admin, tenant, receiver.url)
        await endpoint(house, admin, tenant, other.url)
        assert (await hook.do("Archive"))["errors"] == []
        await Floor(admin, tenant).machine()
        await until(lambda: len(other.accepted) == 1)
        assert receiver.received == []
        assert (await hook.do("Resume"))["errors"][0]["code"] == "ARCHIVED"

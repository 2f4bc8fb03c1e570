"""Events from a commit to a subscriber: who gets them, how many, and what survives a lost connection."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import asyncpg
import pytest

from api.hub import Hub
from db.actor import Actor, Scope
from schema.context import Event
from tests.api.conftest import Live
from tests.api.test_sockets import initialised, receive, subscribe
from tests.conftest import Urls
from tests.support import Tenant

pytestmark = pytest.mark.usefixtures("relay")
_entity = itertools.count(1)


@asynccontextmanager
async def running(urls: Urls, **kwargs: int) -> AsyncIterator[Hub]:
    hub = Hub(urls.events, **kwargs)
    await hub.start()
    try:
        async with asyncio.timeout(5):
            while not hub.connected:
                await asyncio.sleep(0.01)
        yield hub
    finally:
        await hub.stop()


async def happen(
    admin: asyncpg.Connection, tenant: Tenant, plant: int | None = None, topic: str = "Probe", *,
    department: int | None = None, entity: int | None = None, changed: str = "name",
) -> int:  # fmt: skip
    """Something is committed in a tenant; answers the entity's id."""
    entity = next(_entity) if entity is None else entity
    await admin.execute(
        "insert into ev.inbox (organization_id, plant_id, department_id, topic, entity_id, operation, changed_fields)"
        " values ($1, $2, $3, $4, $5, 'update', array[$6])",
        tenant.organization_id, plant, department, topic, entity, changed,
    )  # fmt: skip
    return entity


class Heard:
    """A subscriber that notes what it gets."""

    def __init__(self, hub: Hub, actor: Actor, topic: str = "Probe", permission: str | None = None) -> None:
        self.events: list[Event] = []
        self._task = asyncio.create_task(self._listen(hub, actor, topic, permission))

    async def _listen(self, hub: Hub, actor: Actor, topic: str, permission: str | None) -> None:
        async with aclosing(hub.listen(actor, topic, permission)) as events:
            async for event in events:
                self.events.append(event)

    async def __aenter__(self) -> Heard:
        await asyncio.sleep(0.05)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    @property
    def ids(self) -> list[int]:
        return [event.entity_id for event in self.events]

    async def until(self, count: int, within: float = 5) -> list[int]:
        async with asyncio.timeout(within):
            while len(self.events) < count:
                await asyncio.sleep(0.01)
        return self.ids


async def test_events_reach_their_tenant_and_topic_in_order(
    urls: Urls, admin: asyncpg.Connection, tenant: Tenant, stranger: Tenant
) -> None:
    async with (
        running(urls) as hub,
        Heard(hub, tenant.actor()) as mine,
        Heard(hub, stranger.actor()) as theirs,
        Heard(hub, tenant.actor(), topic="Other") as other,
    ):
        sent = [await happen(admin, tenant) for _ in range(20)]
        foreign = await happen(admin, stranger)
        assert await mine.until(20) == sent
        assert await theirs.until(1) == [foreign]
        assert other.events == []
        first = mine.events[0]
        assert (first.topic, first.operation, first.changed_fields) == ("Probe", "update", ("name",))
        assert [e.pos for e in mine.events] == sorted(e.pos for e in mine.events)


async def test_plants_a_caller_cannot_see_are_silent(urls: Urls, admin: asyncpg.Connection, tenant: Tenant) -> None:
    here, there = tenant.plants
    async with running(urls) as hub, Heard(hub, tenant.actor(plants=[here])) as heard:
        await happen(admin, tenant, there)
        seen = [await happen(admin, tenant, here), await happen(admin, tenant, None)]
        assert await heard.until(2) == seen
        await asyncio.sleep(0.1)
        assert heard.ids == seen


async def test_changed_rights_change_what_is_heard(urls: Urls, admin: asyncpg.Connection, tenant: Tenant) -> None:
    here, there = tenant.plants
    before, after = tenant.actor(plants=[here]), tenant.actor(plants=[there])
    async with running(urls) as hub, Heard(hub, before) as heard:
        first = await happen(admin, tenant, here)
        await heard.until(1)
        hub.rescope(before, after)
        await happen(admin, tenant, here)
        second = await happen(admin, tenant, there)
        assert await heard.until(2) == [first, second]


async def test_a_slow_reader_is_told_to_read_again(urls: Urls, admin: asyncpg.Connection, tenant: Tenant) -> None:
    async with running(urls, backlog=5) as hub:
        stream = hub.listen(tenant.actor(), "Probe", None)
        first = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.05)
        sent = [await happen(admin, tenant) for _ in range(1)]
        assert (await asyncio.wait_for(first, 5)).entity_id == sent[0]
        for _ in range(12):
            await happen(admin, tenant)
        async with Heard(hub, tenant.actor()) as fast:
            marker = await happen(admin, tenant)
            async with asyncio.timeout(5):
                while marker not in fast.ids:
                    await asyncio.sleep(0.01)
        resync = await asyncio.wait_for(anext(stream), 5)
        assert resync.resync_required
        later = await happen(admin, tenant)
        event = await asyncio.wait_for(anext(stream), 5)
        assert (event.entity_id, event.resync_required) == (later, False)
        await stream.aclose()


async def test_departments_divide_a_divided_topic(urls: Urls, admin: asyncpg.Connection, tenant: Tenant) -> None:
    plant, own = tenant.plants[0], tenant.departments[0]
    actor = replace(tenant.actor(plants=[plant]), permissions={"p.read": Scope.of_department(plant, own)})
    async with running(urls) as hub:
        divided, whole = hub.listen(actor, "Probe", "p.read", divided=True), hub.listen(actor, "Probe", "p.read")
        mine = await happen(admin, tenant, plant, department=own)
        others = [
            await happen(admin, tenant, plant, department=tenant.departments[1]),
            await happen(admin, tenant, plant),
        ]
        last = await happen(admin, tenant, plant, department=own)
        async with asyncio.timeout(5):
            assert [(await anext(divided)).entity_id for _ in range(2)] == [mine, last]
            assert [(await anext(whole)).entity_id for _ in range(4)] == [mine, *others, last]
        await divided.aclose()
        await whole.aclose()


async def test_a_full_queue_joins_events_of_an_object_before_any_is_dropped(
    urls: Urls, admin: asyncpg.Connection, tenant: Tenant
) -> None:
    async with running(urls, backlog=4) as hub:
        slow = hub.listen(tenant.actor(), "Probe", None)
        first, second = next(_entity), next(_entity)
        for n in range(9):
            await happen(admin, tenant, entity=first, changed=f"field_{n % 3}")
            await happen(admin, tenant, entity=second)
        async with asyncio.timeout(5):
            while await admin.fetchval("select count(*) from ev.inbox"):
                await asyncio.sleep(0.01)
            log = await admin.fetch("select pos from ev.log where organization_id = $1", tenant.organization_id)
            while await hub.position() < max(row["pos"] for row in log):
                await asyncio.sleep(0.01)
        waiting = await slow.batch()
        assert [(e.entity_id, e.resync_required) for e in waiting] == [(first, False), (second, False)]
        assert waiting[0].changed_fields == ("field_0", "field_1", "field_2")
        assert [e.pos for e in waiting] == sorted(row["pos"] for row in log)[-2:], "in the order of the last ones"
        assert hub.depths == [0]
        await slow.aclose()
        assert hub.depths == []


async def test_a_log_that_went_back_is_told_to_all(urls: Urls, admin: asyncpg.Connection, tenant: Tenant) -> None:
    async with running(urls) as hub, Heard(hub, tenant.actor()) as heard:
        hub._position = 10**12  # as before the database was restored
        await admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'unison hub'"
        )
        await heard.until(1)
        assert heard.events[0].resync_required
        entity = await happen(admin, tenant)
        assert (await heard.until(2))[1] == entity


async def test_nothing_is_lost_while_the_connection_is(urls: Urls, admin: asyncpg.Connection, tenant: Tenant) -> None:
    async with running(urls) as hub, Heard(hub, tenant.actor()) as heard:
        before = await happen(admin, tenant)
        await heard.until(1)
        await admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'unison_events' and query like '%ev.read%'"
        )
        during = [await happen(admin, tenant) for _ in range(3)]
        assert await heard.until(4) == [before, *during]


async def test_a_lost_wake_up_costs_a_second(urls: Urls, admin: asyncpg.Connection, tenant: Tenant) -> None:
    async with running(urls) as hub, Heard(hub, tenant.actor()) as heard:
        async with admin.transaction():
            await admin.execute("lock table ev.inbox in exclusive mode")  # the relay of the tests stands still
            position = await admin.fetchval("update ev.head set pos = pos + 1 returning pos")
            await admin.execute(
                "insert into ev.log (pos, organization_id, topic, entity_id, operation, changed_fields, occurred_at)"
                " values ($1, $2, 'Probe', 7, 'update', '{}', now())",
                position, tenant.organization_id,
            )  # fmt: skip
        assert await heard.until(1, within=3) == [7]


async def test_commits_poke_the_relay_but_not_each(urls: Urls, tenant: Tenant) -> None:
    pokes: list[float] = []
    listening = await asyncpg.connect(urls.admin)
    await listening.add_listener("ev_poke", lambda *_: pokes.append(asyncio.get_running_loop().time()))
    async with running(urls) as hub:
        hub.poke()
        await asyncio.sleep(0.2)
        assert len(pokes) == 1
        for _ in range(200):
            hub.poke()
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.2)
        assert 2 <= len(pokes) <= 12
    await listening.close()


async def test_a_subscription_over_a_socket_hears_its_tenant(
    live: Live, admin: asyncpg.Connection, tenant: Tenant, stranger: Tenant
) -> None:
    async with initialised(live, await live.token(tenant)) as socket:
        await subscribe(socket, "subscription { things }")
        await asyncio.sleep(0.3)
        await happen(admin, stranger)
        mine = await happen(admin, tenant)
        assert (await receive(socket))["payload"] == {"data": {"things": mine}}


async def test_a_role_taken_away_ends_its_subscriptions(live: Live, admin: asyncpg.Connection, tenant: Tenant) -> None:
    async with initialised(live, await live.token(tenant)) as socket:
        await subscribe(socket, "subscription { things }")
        await asyncio.sleep(0.3)
        await admin.execute(
            "delete from app.role_grants where organization_id = $1 and user_id = $2",
            tenant.organization_id,
            tenant.users["admin"],
        )
        async with asyncio.timeout(10):
            while True:
                await happen(admin, tenant)
                try:
                    message = await asyncio.wait_for(receive(socket), 0.3)
                except TimeoutError:
                    continue
                if message["type"] == "error":
                    break
        assert message["payload"][0]["extensions"]["code"] == "FORBIDDEN"

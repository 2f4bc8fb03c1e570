"""Notifications as they happen: over sockets, from a cursor, as `changes`; told to their recipient and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from db.session import Database
from modules.platform.public import notify
from schema.feed import Cursor
from schema.ids import encode
from schema.registry import Module, NotificationKind, register, registered
from tests.api.conftest import Live
from tests.api.floor import Floor
from tests.api.test_resume import Watcher
from tests.api.test_sockets import initialised, subscribe
from tests.support import House, Tenant

pytestmark = pytest.mark.usefixtures("relay")
EVENTS = """subscription($after: String, $snapshot: Boolean) { notificationEvents(after: $after, snapshot: $snapshot) {
  cursor type changedFields object { id title readAt unreadCount } } }"""
CHANGES = "query($after: String, $topics: [String!]) { changes(after: $after, topics: $topics) { events { topic entityId } } }"
TOLD = NotificationKind(description="Told", title="{{ what }}", body="")


@pytest.fixture(autouse=True)
def told_of(live: Live) -> Any:
    before = list(registered())
    register([*before, Module(name="told", notifications={"told.told": TOLD})])
    yield
    register(before)


@asynccontextmanager
async def watching(live: Live, tenant: Tenant, role: str, **variables: Any) -> AsyncIterator[Watcher]:
    async with initialised(live, await live.token(tenant, role)) as socket:
        await subscribe(socket, EVENTS, variables=variables)
        if not variables:
            await asyncio.sleep(0.3)
        yield Watcher(socket)


async def tell(database: Database, tenant: Tenant, what: str, *roles: str, plant: int | None = None) -> None:
    async with database.write(tenant.actor()) as tx:
        users = [tenant.users[role] for role in roles]
        await notify(tx, "told.told", {"what": what}, to=users, plant_id=plant)


async def test_only_the_recipient_is_told(live: Live, database: Database, tenant: Tenant, stranger: Tenant):
    async with (
        watching(live, tenant, "viewer") as viewer,
        watching(live, tenant, "planner") as planner,
        watching(live, tenant, "admin") as boss,
        watching(live, stranger, "viewer") as other,
    ):
        await tell(database, tenant, "one", "viewer")
        await tell(database, tenant, "two", "planner", "viewer", plant=tenant.plants[0])
        first, second = await viewer.next(), await viewer.next()
        assert [(e["type"], e["object"]["title"]) for e in (first, second)] == [("CREATED", "one"), ("CREATED", "two")]
        assert second["object"]["unreadCount"] == 2
        event = await planner.next()
        assert (event["object"]["title"], event["object"]["unreadCount"]) == ("two", 1)
        document = "mutation { notificationMarkAllRead(input: {}) { marked } }"
        answer = await live.post(document, token=await live.token(tenant, "viewer"))
        assert answer.json()["data"]["notificationMarkAllRead"] == {"marked": 2}
        read = [await viewer.next(), await viewer.next()]
        assert {(e["type"], *e["changedFields"], e["object"]["unreadCount"]) for e in read} == {
            ("UPDATED", "read_at", 0)
        }
        for silent in (planner, boss, other):
            await silent.silent()


async def test_the_hub_wakes_the_recipient_alone(live: Live, database: Database, tenant: Tenant, stranger: Tenant):
    """Also of what leaves no row to look at: an event of a removal says that there was one."""
    hub = live.app.state.hub
    actors = [tenant.actor("viewer"), tenant.actor("admin"), tenant.actor("viewer", plants=tenant.plants[1:])]
    actors += [stranger.actor("viewer"), replace(tenant.actor(), user_id=None, app_id=tenant.users["viewer"])]
    feeds = [hub.listen(actor, "Notification", None) for actor in actors]
    try:
        await tell(database, tenant, "one", "viewer", plant=tenant.plants[0])
        (event,) = await asyncio.wait_for(feeds[0].batch(), 5)
        assert event.recipient_user_id == tenant.users["viewer"]
        for feed in feeds:
            feed.put(replace(event, operation="delete"))
        assert [feed.depth for feed in feeds] == [1, 0, 0, 0, 0]
    finally:
        for feed in feeds:
            await feed.aclose()


async def test_a_cursor_goes_on_with_ones_own(
    live: Live, database: Database, tenant: Tenant, admin: asyncpg.Connection
):
    floor = Floor(admin, tenant)
    begin = str(Cursor(await floor.settled()))
    await tell(database, tenant, "mine", "viewer")
    await tell(database, tenant, "theirs", "planner")
    await tell(database, tenant, "mine too", "viewer")
    await floor.settled()
    async with watching(live, tenant, "viewer", after=begin) as watcher:
        assert [(await watcher.next())["object"]["title"] for _ in range(2)] == ["mine", "mine too"]
        await watcher.silent()
    async with watching(live, tenant, "viewer", snapshot=True) as watcher:
        shown = [await watcher.next() for _ in range(2)]
        assert [(e["type"], e["object"]["title"]) for e in shown] == [("SNAPSHOT", "mine"), ("SNAPSHOT", "mine too")]
        await watcher.silent()


async def test_changes_tell_of_ones_own(house: House, database: Database, tenant: Tenant, stranger: Tenant, admin):
    floor = Floor(admin, tenant)
    begin = str(Cursor(await floor.settled()))
    await tell(database, tenant, "mine", "viewer")
    await tell(database, tenant, "in the plant", "viewer", plant=tenant.plants[0])
    await tell(database, tenant, "theirs", "planner")
    await floor.settled()
    ids = await admin.fetch(
        "select n.id from app.notifications n where organization_id = $1 and user_id = $2 order by id",
        tenant.organization_id, tenant.users["viewer"],
    )  # fmt: skip
    whole, in_plant = [("Notification", encode("Notification", row["id"])) for row in ids]

    async def seen(actor: Any, **variables: Any) -> set[tuple[str, str]]:
        page = (await house.data(actor, CHANGES, {"after": begin, **variables}))["changes"]
        return {(event["topic"], event["entityId"]) for event in page["events"]}

    for topics in (None, ["Notification"]):
        assert await seen(tenant.actor("viewer"), topics=topics) == {whole, in_plant}
        assert await seen(tenant.actor("viewer", plants=tenant.plants[1:]), topics=topics) == {whole}
        assert await seen(tenant.actor("admin"), topics=topics) == set()
        assert await seen(stranger.actor("viewer"), topics=topics) == set()

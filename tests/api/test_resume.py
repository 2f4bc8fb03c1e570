"""Subscriptions that go on: from a cursor, from a snapshot, at a pace, over sockets and event streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from websockets.asyncio.client import ClientConnection

from db.actor import Actor, Scope
from schema import subscribe as subscribing
from schema.context import Context
from schema.feed import Cursor
from schema.ids import encode
from tests.api.conftest import Live
from tests.api.floor import Floor
from tests.api.test_sockets import initialised, receive, subscribe
from tests.support import House, NoTokens, Tenant

pytestmark = pytest.mark.usefixtures("relay")
PROJECTS = """subscription($where: ProjectWhere, $after: String, $every: Int, $snapshot: Boolean) {
  projectEvents(where: $where, after: $after, minIntervalMs: $every, snapshot: $snapshot) {
    cursor type changedFields resyncRequired object { id name } } }"""


class Watcher:
    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def next(self) -> dict[str, Any]:
        message = await receive(self._socket)
        assert message["type"] == "next", message
        (event,) = message["payload"]["data"].values()
        return event

    async def cursors(self, count: int) -> list[str]:
        return [(await self.next())["cursor"] for _ in range(count)]

    async def silent(self, seconds: float = 0.3) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(self._socket.recv(), seconds)


@asynccontextmanager
async def watching(live: Live, tenant: Tenant, **variables: Any) -> AsyncIterator[Watcher]:
    async with initialised(live, await live.token(tenant)) as socket:
        await subscribe(socket, PROJECTS, variables=variables)
        if not variables.get("after") and not variables.get("snapshot"):
            await asyncio.sleep(0.3)
        yield Watcher(socket)


async def test_a_cursor_goes_on_where_it_was(live: Live, tenant: Tenant, floor: Floor) -> None:
    async with watching(live, tenant) as before:
        projects = [await floor.project() for _ in range(3)]
        seen = await before.cursors(3)
    for project in projects:
        await floor.change("projects", project, name="1")
    await floor.settled()
    async with watching(live, tenant, after=seen[-1]) as again:
        seen += await again.cursors(3)
        await floor.change("projects", projects[0], name="2")
        seen += await again.cursors(1)
        await again.silent()
    assert seen == await floor.log("Project")


async def test_a_cursor_of_another_process_that_is_ahead_repeats_nothing(
    live: Live, tenant: Tenant, floor: Floor
) -> None:
    """As behind a balancer: what this process hands out later was seen already."""
    hub = live.app.state.hub
    project = await floor.project()
    await floor.settled()
    await asyncio.sleep(0.2)
    at, hub._position = hub._position, hub._position - 1
    try:
        async with watching(live, tenant, after=str(Cursor(at))) as watcher:
            await asyncio.sleep(0.3)
            await floor.change("projects", project, name="1")
            assert (await watcher.next())["changedFields"] == ["name"]
    finally:
        hub._position = max(hub._position, at)


@pytest.mark.parametrize("page", [1, 3, 200])
async def test_nothing_is_missed_or_repeated_while_writers_run(
    live: Live, tenant: Tenant, floor: Floor, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    """Every subscriber leaves and comes back in the midst of it, again and again."""
    monkeypatch.setattr(subscribing, "PAGE", page)
    project = await floor.project()
    begin = str(Cursor(await floor.settled()))
    done = asyncio.Event()

    async def write() -> None:
        for n in range(150):
            await floor.change("projects", project, name=str(n + 1))
            await asyncio.sleep(0.002)
        await floor.settled()
        done.set()

    async def follow(each: int) -> list[str]:
        seen: list[str] = []
        while len(seen) < 150:
            async with watching(live, tenant, after=seen[-1] if seen else begin) as watcher:
                for _ in range(min(each, 150 - len(seen))):
                    seen += await watcher.cursors(1)
        return seen

    *followed, _ = await asyncio.gather(*(follow(each) for each in (7, 40, 150)), write())
    log = (await floor.log("Project"))[1:]
    assert len(log) == 150
    for seen in followed:
        assert seen == log


async def test_the_log_is_read_as_far_as_the_subscriber_may_see(
    live: Live, house: House, tenant: Tenant, stranger: Tenant, floor: Floor
) -> None:
    begin = str(Cursor(await floor.settled()))
    own, whole, there = await floor.machine(0, 0), await floor.machine(0), await floor.machine(1)
    await floor.settled()
    plant = tenant.plants[0]
    in_plant = tenant.actor(plants=[plant])
    held = dict.fromkeys(in_plant.permissions, Scope.of_department(plant, tenant.departments[0]))
    document = f'subscription {{ machineEvents(after: "{begin}") {{ object {{ id }} }} }}'

    async def told(actor: Actor) -> list[str]:
        context = Context(actor, house.database, live.app.state.hub, NoTokens())
        stream: Any = await house.schema.subscribe(document, context_value=context)
        found: list[str] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(0.7):
                async for result in stream:
                    found.append(result.data["machineEvents"]["object"]["id"])  # noqa: PERF401 - until the time is up
        await context.close()
        return found

    assert await told(tenant.actor()) == [encode("Machine", m) for m in (own, whole, there)]
    assert await told(in_plant) == [encode("Machine", m) for m in (own, whole)]
    assert await told(replace(in_plant, permissions=held)) == [encode("Machine", own)]
    assert await told(stranger.actor()) == []


@pytest.mark.parametrize("cursor", ["", "x", "ZTo=", "e:1", "ZToxMjM0NTY3ODkwMTIzNDU2Nzg5MDE", "☃"])
async def test_what_is_no_cursor_is_refused(live: Live, tenant: Tenant, cursor: str) -> None:
    async with initialised(live, await live.token(tenant)) as socket:
        await subscribe(socket, PROJECTS, variables={"after": cursor})
        message = await receive(socket)
    assert message["type"] == "error"
    told = message["payload"][0]["extensions"]
    assert told.pop("cost")["requested"] > 0
    assert told | {"requestId": ""} == {
        "code": "BAD_USER_INPUT", "reason": "INVALID_CURSOR", "argument": "after", "retryable": False, "requestId": "",
    }  # fmt: skip


async def test_a_cursor_of_another_log_asks_to_read_again(live: Live, tenant: Tenant, floor: Floor) -> None:
    """As after a database was restored to an earlier time."""
    await floor.project()
    newest = await floor.settled()
    await asyncio.sleep(0.2)
    async with watching(live, tenant, after=str(Cursor(newest + 1_000_000))) as watcher:
        event = await watcher.next()
        assert (event["type"], event["resyncRequired"], event["object"]) == ("RESYNC", True, None)
        project = await floor.project()
        after = await watcher.next()
        assert (after["object"]["id"], after["resyncRequired"]) == (encode("Project", project), False)
    async with watching(live, tenant, after=event["cursor"]) as again:
        assert await again.cursors(1) == [after["cursor"]]


async def test_a_forgotten_cursor(live: Live, tenant: Tenant, floor: Floor, admin: asyncpg.Connection) -> None:
    """The beginning of the log is taken away, as the upkeep does it by days, and put back."""
    await floor.project()
    newest = await floor.settled()
    await asyncio.sleep(0.2)
    async with admin.transaction():
        await admin.execute(f"create temp table away as select * from ev.log where pos <= {newest}")
        await admin.execute("delete from ev.log where pos <= $1", newest)
    try:
        await floor.project()
        await floor.settled()
        async with watching(live, tenant, after=str(Cursor(newest - 1))) as watcher:
            event = await watcher.next()
            assert event["resyncRequired"]
            await watcher.silent()
        async with watching(live, tenant, after=str(Cursor(newest))) as watcher:
            assert (await watcher.next())["type"] == "CREATED"
    finally:
        await admin.execute("insert into ev.log select * from away; drop table away")


async def test_a_snapshot_comes_first_and_its_last_cursor_goes_on(
    live: Live, tenant: Tenant, floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscribing, "TOGETHER", 2)
    projects = [await floor.project() for _ in range(5)]
    await floor.settled()
    await asyncio.sleep(0.2)
    async with watching(live, tenant, snapshot=True) as watcher:
        shown = [await watcher.next() for _ in range(5)]
        assert [e["object"]["id"] for e in shown] == [encode("Project", p) for p in projects]
        assert {(e["type"], e["resyncRequired"]) for e in shown} == {("SNAPSHOT", False)}
        await watcher.silent()
        await floor.change("projects", projects[0], name="1")
        change = await watcher.next()
        assert (change["type"], change["object"]["name"]) == ("UPDATED", "1")
    async with watching(live, tenant, snapshot=True, after=shown[2]["cursor"]) as rest:
        assert [(await rest.next())["object"]["id"] for _ in range(2)] == [encode("Project", p) for p in projects[3:]]
        assert await rest.cursors(1) == [change["cursor"]], "what happened since the snapshot was begun"
    async with watching(live, tenant, snapshot=True, after=shown[-1]["cursor"]) as after:
        assert await after.cursors(1) == [change["cursor"]]
        await after.silent()


async def test_a_snapshot_has_an_end(live: Live, tenant: Tenant, floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscribing, "TOGETHER", 2)
    monkeypatch.setattr(subscribing, "MOST_SNAPSHOT", 4)
    for _ in range(5):
        await floor.project()
    async with watching(live, tenant, snapshot=True) as watcher:
        assert [(await watcher.next())["type"] for _ in range(5)] == ["SNAPSHOT"] * 4 + ["RESYNC"]


async def test_a_pace_joins_what_happens_to_one_object(live: Live, tenant: Tenant, floor: Floor) -> None:
    first, second = await floor.project(), await floor.project()
    await floor.settled()
    async with watching(live, tenant, every=700) as watcher:
        await floor.change("projects", first, name="1")
        assert (await watcher.next())["object"]["name"] == "1"
        for n in range(2, 8):
            await floor.change("projects", first, name=str(n))
        await floor.change("projects", first, priority="high")
        await floor.change("projects", second, name="x")
        joined, other = await watcher.next(), await watcher.next()
        assert (joined["changedFields"], joined["object"]["name"]) == (["name", "priority"], "7")
        assert other["object"]["id"] == encode("Project", second)
        await watcher.silent()
    assert (await floor.log("Project"))[-2:] == [joined["cursor"], other["cursor"]]


@pytest.mark.parametrize("every", [-1, 60_001])
async def test_a_pace_has_limits(live: Live, tenant: Tenant, every: int) -> None:
    async with initialised(live, await live.token(tenant)) as socket:
        await subscribe(socket, PROJECTS, variables={"every": every})
        assert (await receive(socket))["payload"][0]["extensions"]["argument"] == "minIntervalMs"


async def test_an_event_stream_goes_on_by_its_last_id(live: Live, tenant: Tenant, floor: Floor) -> None:
    project = await floor.project()
    begin = str(Cursor(await floor.settled()))
    for n in range(4):
        await floor.change("projects", project, name=f"name {n}")
    await floor.settled()
    document = "subscription($after: String) { projectEvents(after: $after) { type } }"

    async def ids(count: int, **headers: str) -> list[str]:
        sent = {"accept": "text/event-stream", "authorization": f"Bearer {await live.token(tenant)}"} | headers
        body = {"query": document, "variables": {"after": begin}}
        found: list[str] = []
        async with live.client.stream("POST", "/graphql", json=body, headers=sent) as response:
            async for line in response.aiter_lines():
                if line.startswith("id: "):
                    found.append(line.removeprefix("id: "))
                    if len(found) == count:
                        break
        return found

    log = (await floor.log("Project"))[1:]
    first = await ids(2)
    assert first == log[:2]
    assert await ids(2, **{"last-event-id": first[-1]}) == log[2:], "the same request, with the id seen last"


async def test_a_bad_last_id_is_told_inside_the_stream(live: Live, tenant: Tenant) -> None:
    headers = {
        "accept": "text/event-stream",
        "authorization": f"Bearer {await live.token(tenant)}",
        "last-event-id": "nonsense",
    }
    body = {"query": "subscription { projectEvents { type } }"}
    async with live.client.stream("POST", "/graphql", json=body, headers=headers) as response:
        text = (await response.aread()).decode()
    assert "INVALID_CURSOR" in text
    assert text.endswith("event: complete\ndata:\n\n")

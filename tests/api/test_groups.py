"""Subscriptions that are the same: executed once, told in the same words, and still each with its own rights and pace."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from graphql.execution.values import VariableValues

from api import shares
from api.groups import Groups, Seat
from api.hub import Hub
from api.sharing import shared
from api.told import Batch, Told
from db.actor import EVERYWHERE, Actor
from schema.context import Event
from schema.ids import encode
from tests.api.conftest import Live
from tests.api.floor import Floor
from tests.api.test_sockets import initialised, receive, send, subscribe
from tests.support import Statements, Tenant

pytestmark = pytest.mark.usefixtures("relay")


PROJECTS = """subscription($where: ProjectWhere, $after: String, $snapshot: Boolean, $every: Int) {
  projectEvents(where: $where, after: $after, snapshot: $snapshot, minIntervalMs: $every) {
    cursor type object { id name primaryPlant { code } } } }"""
MACHINES = "subscription { machineEvents { cursor object { id name plant { code } } } }"


async def members(live: Live, tenant: Tenant, expected: list[int]) -> None:
    """Wait until the tenant's subscriptions stand in groups of these sizes."""
    async with asyncio.timeout(10):
        while sorted(live.app.state.streams.groups.sizes(tenant.organization_id)) != expected:
            await asyncio.sleep(0.01)


async def only_plant(admin: asyncpg.Connection, tenant: Tenant, role: str, plant: int | None) -> None:
    await admin.execute(
        "update app.role_grants set plant_id = $3 where organization_id = $1 and user_id = $2",
        tenant.organization_id, tenant.users[role], None if plant is None else tenant.plants[plant],
    )  # fmt: skip


async def test_the_same_subscription_is_executed_once(live: Live, tenant: Tenant, floor: Floor) -> None:
    """Whoever asks, by whatever id, over sockets or event streams, and wherever they began."""
    project = await floor.project(0)
    await floor.settled()
    begin = (await floor.log("Project"))[-1]
    async with AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(initialised(live, await live.token(tenant, role)))
            for role in ("admin", "viewer", "planner")
        ]
        await subscribe(sockets[0], PROJECTS, id="1")
        await subscribe(sockets[0], PROJECTS, id="ä" * 90)
        await subscribe(sockets[1], PROJECTS, id="1", variables={"after": begin})
        await subscribe(sockets[2], PROJECTS, id="another", variables={"snapshot": True})
        snapshot = await receive(sockets[2])
        assert snapshot["type"] == "next", snapshot
        assert snapshot["payload"]["data"]["projectEvents"]["type"] == "SNAPSHOT"
        headers = {"accept": "text/event-stream", "authorization": f"Bearer {await live.token(tenant, 'operator')}"}
        stream = await stack.enter_async_context(
            live.client.stream("POST", "/graphql", json={"query": PROJECTS}, headers=headers)
        )
        lines = stream.aiter_lines()
        await members(live, tenant, [5])
        with Statements(live.app.state.database) as statements:
            await floor.change("projects", project, name="1")
            told = [await receive(socket) for socket in (sockets[0], *sockets)]
            while not (line := await anext(lines)).startswith("data: {"):
                pass
        assert [statements.of("FROM app.projects"), statements.of("FROM app.plants")] == [1, 1]
        assert {message["id"] for message in told} == {"1", "ä" * 90, "another"}
        answers = [message["payload"] for message in told] + [json.loads(line.removeprefix("data: "))]
        assert all(answer == answers[0] for answer in answers)
        assert answers[0]["data"]["projectEvents"]["object"] == {
            "id": encode("Project", project), "name": "1", "primaryPlant": {"code": "P1"},
        }  # fmt: skip
    await members(live, tenant, [])


async def test_events_that_wait_are_read_together(
    live: Live, tenant: Tenant, floor: Floor, admin: asyncpg.Connection
) -> None:
    projects = [await floor.project(0) for _ in range(20)]
    await floor.settled()
    async with initialised(live, await live.token(tenant)) as one, initialised(live, await live.token(tenant)) as two:
        for socket in (one, two):
            await subscribe(socket, PROJECTS)
        await members(live, tenant, [2])
        with Statements(live.app.state.database) as statements:
            async with admin.transaction():
                await admin.execute(f"set local app.org_id = '{tenant.organization_id}'")
                await admin.execute(
                    "update app.projects set name = 'all' where organization_id = $1", tenant.organization_id
                )
            told = [[await receive(socket) for _ in projects] for socket in (one, two)]
        assert told[0] == told[1]
        assert statements.of("FROM app.projects") == statements.of("FROM app.plants") < len(projects) / 2


async def test_what_differs_is_never_shared(
    live: Live, tenant: Tenant, stranger: Tenant, floor: Floor, admin: asyncpg.Connection
) -> None:
    await only_plant(admin, tenant, "viewer", 0)
    await only_plant(admin, tenant, "operator", 1)
    here, there = await floor.project(0), await floor.project(1)
    await floor.settled()
    one = {"where": {"name": {"eq": "1"}}}
    asked: list[tuple[Tenant, str, str, dict[str, Any]]] = [
        (tenant, "admin", PROJECTS, {}),
        (tenant, "admin", PROJECTS.replace(" name", ""), {}),
        (tenant, "planner", PROJECTS, one),
        (tenant, "viewer", PROJECTS, {}),
        (tenant, "operator", PROJECTS, {}),
        (stranger, "admin", PROJECTS, {}),
    ]
    async with AsyncExitStack() as stack:
        sockets = []
        for whose, role, document, variables in asked:
            socket = await stack.enter_async_context(initialised(live, await live.token(whose, role)))
            await subscribe(socket, document, variables=variables)
            sockets.append(socket)
        await members(live, tenant, [1] * 5)
        await members(live, stranger, [1])
        await floor.change("projects", here, name="1")
        await floor.change("projects", there, name="2")
        told = [[] for _ in asked]  # type: ignore[var-annotated]
        for n, count in enumerate((2, 2, 1, 1, 1)):
            for _ in range(count):
                told[n].append((await receive(sockets[n]))["payload"]["data"]["projectEvents"]["object"])
        ids = [[item["id"] for item in each] for each in told[:5]]
        both = [encode("Project", here), encode("Project", there)]
        assert ids == [both, both, both[:1], both[:1], both[1:]]
        assert "name" not in told[1][0]
        for socket in sockets:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(socket.recv(), 0.1)


async def test_changed_rights_lead_to_another_group(
    live: Live, tenant: Tenant, floor: Floor, admin: asyncpg.Connection
) -> None:
    """Without an event that is missing, told twice, or of a plant that is no longer theirs."""
    here, there = await floor.machine(0), await floor.machine(1)
    await floor.settled()
    async with (
        initialised(live, await live.token(tenant, "viewer")) as moved,
        initialised(live, await live.token(tenant, "admin")) as still,
    ):
        for socket in (moved, still):
            await subscribe(socket, MACHINES)
        await members(live, tenant, [2])
        for n in range(100):
            await floor.change("machines", here, name=f"h{n}")
            await floor.change("machines", there, name=f"t{n}")
            if n == 30:
                await only_plant(admin, tenant, "viewer", 1)
            if sorted(live.app.state.streams.groups.sizes(tenant.organization_id)) == [1, 1]:
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError("the member did not move")
        await floor.change("machines", here, name="last here")
        await floor.change("machines", there, name="last there")
        await floor.settled()
        log = await floor.log("Machine")
        told: dict[str, list[tuple[str, str]]] = {"moved": [], "still": []}
        for name, socket in (("moved", moved), ("still", still)):
            while not told[name] or told[name][-1][0] != log[-1]:
                item = (await receive(socket))["payload"]["data"]["machineEvents"]
                told[name].append((item["cursor"], item["object"]["id"]))
        assert [cursor for cursor, _ in told["still"]] == log[-len(told["still"]) :]
        mine = [cursor for cursor, _ in told["moved"]]
        assert len(set(mine)) == len(mine)
        of_there = [cursor for cursor, id in told["still"] if id == encode("Machine", there)]
        assert [cursor for cursor, id in told["moved"] if id == encode("Machine", there)] == of_there
        assert told["moved"][-1][1] == encode("Machine", there), "here was told to the other alone"


async def test_a_permission_taken_away_ends_it_at_once(live: Live, tenant: Tenant, admin: asyncpg.Connection) -> None:
    async with initialised(live, await live.token(tenant, "viewer")) as socket:
        await subscribe(socket, PROJECTS)
        await members(live, tenant, [1])
        await admin.execute(
            "delete from app.role_grants where organization_id = $1 and user_id = $2",
            tenant.organization_id,
            tenant.users["viewer"],
        )
        refusal = await asyncio.wait_for(receive(socket), 10)
        assert refusal["type"] == "error"
        assert refusal["payload"][0]["extensions"]["code"] == "FORBIDDEN"
        await members(live, tenant, [])


async def test_completing_frees_the_group_and_the_id(live: Live, tenant: Tenant, floor: Floor) -> None:
    project = await floor.project()
    await floor.settled()
    listening = len(live.app.state.hub.depths)
    async with initialised(live, await live.token(tenant)) as socket:
        for number in range(1, 6):
            await subscribe(socket, PROJECTS)
            await members(live, tenant, [1])
            await floor.change("projects", project, name=str(number))
            assert (await receive(socket))["payload"]["data"]["projectEvents"]["object"]["name"] == str(number)
            await send(socket, id="1", type="complete")
            await members(live, tenant, [])
        assert len(live.app.state.hub.depths) == listening


async def test_errors_of_an_answer_are_shared_and_the_group_goes_on(live: Live, tenant: Tenant, floor: Floor) -> None:
    machine = await floor.machine()
    await floor.settled()
    wrong = "subscription { machineEvents { object { name meters(first: 1000) { nodes { id } } } } }"
    async with initialised(live, await live.token(tenant)) as one, initialised(live, await live.token(tenant)) as two:
        for socket in (one, two):
            await subscribe(socket, wrong)
        await members(live, tenant, [2])
        for name in ("1", "2"):
            await floor.change("machines", machine, name=name)
            first, second = await receive(one), await receive(two)
            assert first == second
            (error,) = first["payload"]["errors"]
            assert error["extensions"]["code"] == "BAD_USER_INPUT"
            assert error["extensions"]["requestId"].startswith("shared-")
        assert live.app.state.streams.groups.sizes(tenant.organization_id) == [2]


async def test_a_group_that_cannot_read_ends_for_each_and_begins_again(
    live: Live, tenant: Tenant, floor: Floor, admin: asyncpg.Connection
) -> None:
    project = await floor.project()
    await floor.settled()
    async with initialised(live, await live.token(tenant)) as one, initialised(live, await live.token(tenant)) as two:
        for socket in (one, two):
            await subscribe(socket, PROJECTS)
        await members(live, tenant, [2])
        begin = (await floor.log("Project"))[-1]
        await admin.execute("alter table app.projects rename to projects_away")
        try:
            await admin.execute(
                "insert into ev.inbox (organization_id, topic, entity_id, operation, changed_fields)"
                " values ($1, 'Project', $2, 'update', '{}')",
                tenant.organization_id, project,
            )  # fmt: skip
            for socket in (one, two):
                refusal = await receive(socket)
                assert (refusal["type"], refusal["payload"][0]["extensions"]["code"]) == (
                    "error",
                    "INTERNAL_SERVER_ERROR",
                )
        finally:
            await admin.execute("alter table app.projects_away rename to projects")
        await members(live, tenant, [])
        for socket in (one, two):
            await subscribe(socket, PROJECTS, variables={"after": begin})
            assert (await receive(socket))["payload"]["data"]["projectEvents"]["object"]["name"] == "0"
        await members(live, tenant, [2])


class Taken:
    """What a member is told."""

    def __init__(self) -> None:
        self.positions: list[int] = []

    def put(self, batch: Batch) -> bool:
        self.positions += [told.pos for told in batch.answers]
        return True


@pytest.mark.parametrize(("known", "told"), [(0, [100, 101, 102]), (102, []), (101, [102]), (5_000, [100, 101, 102])])
async def test_who_is_ahead_of_what_was_missed_is_not_told_again(live: Live, known: int, told: list[int]) -> None:
    """Events were forgotten before the group came to read them; a member that was alone until then has read them. Only a
    position that lies beyond all there is says that the log is another one."""
    now = datetime.now(UTC)
    came = [Event(100 + n, "Project", n, "update", (), None, None, now, resync_required=n == 0) for n in range(3)]
    hub = Hub("")
    hub._position = 102
    operation = live.app.state.streams.graphql._gate._documents.read(PROJECTS)[None]
    same = shared(live.app.state.streams.graphql.schema, operation, {}, VariableValues({}, {}))
    assert same is not None
    actor = Actor(1, permissions={"projects.read": EVERYWHERE}, readable=None)
    groups = Groups(hub, lambda _: asyncio.sleep(3600))
    context: Any = SimpleNamespace(actor=actor)
    seat = Seat(groups, same, context, Taken())
    group = groups.of(seat)
    group.join(seat, known)
    group._feed.taken = list(came)
    group.tell(came, [Told(event.pos, str(event.pos), b"{}") for event in came])
    assert seat.outlet.positions == told  # type: ignore[attr-defined]
    group.leave(seat)
    await groups.close()


async def test_what_a_group_takes_its_organization_has_taken(
    live: Live, tenant: Tenant, floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = live.app.state.door.shares
    monkeypatch.setattr(known, "tick", lambda *_: None)
    project = await floor.project(0)
    async with initialised(live, await live.token(tenant)) as socket:
        await subscribe(socket, PROJECTS)
        await members(live, tenant, [1])
        monkeypatch.setattr(shares, "_timing", {known})
        known._spent.clear()
        await floor.change("projects", project, name="1")
        assert (await receive(socket))["type"] == "next"
        await asyncio.sleep(0.05)
        assert known._spent[tenant.organization_id] > 0

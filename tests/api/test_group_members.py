"""Members of groups: they join and leave, each with its own rights, and nothing is missing or told twice."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from graphql.execution.values import VariableValues

from api.groups import Groups, Seat
from api.hub import Hub
from api.sharing import shared
from api.told import Batch, Told
from db.actor import EVERYWHERE, Actor
from schema.context import Event
from schema.ids import encode
from tests.api.conftest import Live
from tests.api.floor import Floor
from tests.api.grouping import PROJECTS, members, only_plant
from tests.api.test_sockets import initialised, receive, send, subscribe
from tests.support import Tenant

pytestmark = pytest.mark.usefixtures("relay")

MACHINES = "subscription { machineEvents { cursor object { id name plant { code } } } }"


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

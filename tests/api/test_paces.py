"""Subscriptions that keep the same pace: one interval and one answer for all of them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import asyncpg
import pytest

from tests.api.conftest import Live
from tests.api.floor import Floor
from tests.api.grouping import PROJECTS, members, only_plant
from tests.api.test_sockets import initialised, receive, subscribe
from tests.support import Statements, Tenant

pytestmark = pytest.mark.usefixtures("relay")


async def test_the_same_pace_is_kept_together(live: Live, tenant: Tenant, floor: Floor) -> None:
    """The first event at once, those of the next interval joined: one answer for all who keep this pace."""
    project = await floor.project()
    await floor.settled()
    async with initialised(live, await live.token(tenant)) as one, initialised(live, await live.token(tenant)) as two:
        for socket in (one, two):
            await subscribe(socket, PROJECTS, id="paced", variables={"every": 700})
        await subscribe(one, PROJECTS, id="other", variables={"every": 701})
        await members(live, tenant, [1, 2])
        await floor.change("projects", project, name="1")
        first = [await receive(socket) for socket in (one, one, two)]
        assert {message["id"] for message in first[:2]} == {"paced", "other"}
        assert all(message["payload"] == first[0]["payload"] for message in first)
        with Statements(live.app.state.database) as statements:
            for name in ("2", "3", "4"):
                await floor.change("projects", project, name=name)
            second = [await receive(socket) for socket in (one, one, two)]
        assert statements.of("FROM app.projects") == 2, "one for each pace"
        assert all(message["payload"] == second[0]["payload"] for message in second)
        event = second[0]["payload"]["data"]["projectEvents"]
        assert (event["cursor"], event["object"]["name"]) == ((await floor.log("Project"))[-1], "4")
        for socket in (one, two):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(socket.recv(), 0.2)


async def test_who_comes_while_a_pace_is_waited_out_is_told_what_follows(
    live: Live, tenant: Tenant, floor: Floor
) -> None:
    old = await floor.project()
    await floor.settled()

    async def told(socket: Any) -> tuple[str, str]:
        event = (await receive(socket))["payload"]["data"]["projectEvents"]
        return event["type"], event["object"]["name"]

    async with initialised(live, await live.token(tenant)) as one, initialised(live, await live.token(tenant)) as two:
        await subscribe(one, PROJECTS, variables={"every": 1_500})
        await members(live, tenant, [1])
        await floor.change("projects", old, name="told")
        assert await told(one) == ("UPDATED", "told")
        new = await floor.project()
        await floor.settled()
        await asyncio.sleep(0.2)
        await subscribe(two, PROJECTS, variables={"every": 1_500})
        await members(live, tenant, [2])
        await floor.change("projects", new, name="changed")
        assert await told(one) == ("CREATED", "changed")
        assert await told(two) == ("UPDATED", "changed")
        await members(live, tenant, [2])
        await floor.change("projects", new, name="again")
        assert [await told(socket) for socket in (one, two)] == [("UPDATED", "again")] * 2


async def test_who_leaves_a_group_takes_its_pace_along(
    live: Live, tenant: Tenant, floor: Floor, admin: asyncpg.Connection
) -> None:
    project = await floor.project(0)
    await floor.settled()
    async with initialised(live, await live.token(tenant, "viewer")) as moved:
        await subscribe(moved, PROJECTS, variables={"every": 5_000})
        await members(live, tenant, [1])
        before = set(live.app.state.streams.groups._groups)
        await floor.change("projects", project, name="1")
        await receive(moved)
        began = asyncio.get_running_loop().time()
        await only_plant(admin, tenant, "viewer", 0)
        await floor.change("projects", project, name="2")
        await floor.change("projects", project, name="3")
        message = await asyncio.wait_for(moved.recv(), 8)
        assert json.loads(message)["payload"]["data"]["projectEvents"]["object"]["name"] == "3"
        assert asyncio.get_running_loop().time() - began > 4.5, "the interval was not over before"
        await members(live, tenant, [1])
        assert set(live.app.state.streams.groups._groups) != before

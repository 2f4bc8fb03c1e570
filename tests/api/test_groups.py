"""Subscriptions that are the same: executed once, told in the same words, and what differs is told apart."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest

from api import shares
from schema.ids import encode
from tests.api.conftest import Live
from tests.api.floor import Floor
from tests.api.grouping import PROJECTS, members, only_plant
from tests.api.test_sockets import initialised, receive, subscribe
from tests.support import Statements, Tenant

pytestmark = pytest.mark.usefixtures("relay")


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

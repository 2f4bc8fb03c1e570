"""A client that does not read: it delays nobody, is told the newest state when it reads again, or that it has to read anew."""

from __future__ import annotations

import asyncio
import json
import socket as sockets
from typing import Any

import asyncpg
import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.api.conftest import Live
from tests.api.floor import Floor
from tests.api.grouping import members
from tests.api.test_sockets import PROTOCOL, initialised, receive, send, subscribe
from tests.support import Tenant

pytestmark = pytest.mark.usefixtures("relay")
COPIES = 25
_COLUMNS = " ".join(f"d{n}: description" for n in range(COPIES))
WIDE = f"subscription {{ projectEvents {{ cursor resyncRequired object {{ id name {_COLUMNS} }} }} }}"
ROUNDS, PROJECTS = 14, 25
"""Frames of 50 kB each: far more than the buffers of a socket hold."""


async def told(socket: ClientConnection) -> dict[str, Any]:
    message = await receive(socket)
    assert message["type"] == "next", message
    found: dict[str, Any] = message["payload"]["data"]["projectEvents"]
    return found


async def test_who_does_not_read_delays_nobody_and_misses_no_state(
    live: Live, tenant: Tenant, admin: asyncpg.Connection
) -> None:
    floor = Floor(admin, tenant)
    projects = [await floor.project() for _ in range(PROJECTS)]
    begin = await floor.settled()
    token = await live.token(tenant)
    raw = sockets.socket()
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", int(live.url.rpartition(":")[2])))
    async with (
        connect(live.socket_url, sock=raw, subprotocols=[PROTOCOL], max_queue=1, compression=None) as slow,
        initialised(live, token) as quick,
    ):
        await send(slow, type="connection_init", payload={"authorization": f"Bearer {token}"})
        await receive(slow)
        for socket in (slow, quick):
            await subscribe(socket, WIDE)
        await members(live, tenant, [2])
        slow.transport.pause_reading()
        seen: list[str] = []
        for n in range(ROUNDS):
            async with admin.transaction():
                await admin.execute(f"set local app.org_id = '{tenant.organization_id}'")
                await admin.execute(
                    "update app.projects set name = $2, description = repeat($3, 2000) where organization_id = $1",
                    tenant.organization_id, f"round {n}", chr(97 + n),
                )  # fmt: skip
            seen += [(await told(quick))["cursor"] for _ in projects]
        assert live.app.state.streams.groups.sizes(tenant.organization_id) == [1], "the slow one has left"
        log = await floor.log("Project", begin)
        assert seen == log
        slow.transport.resume_reading()
        names: dict[str, str] = {}
        cursors: list[str] = []
        while not cursors or cursors[-1] != log[-1]:
            event = await told(slow)
            assert not event["resyncRequired"], "each object fits into what may wait"
            cursors.append(event["cursor"])
            names[event["object"]["id"]] = event["object"]["name"]
        assert set(names.values()) == {f"round {ROUNDS - 1}"}
        assert len(names) == PROJECTS
        assert len(set(cursors)) == len(cursors)
        assert [cursor for cursor in log if cursor in set(cursors)] == cursors
        await members(live, tenant, [2])
        await floor.change("projects", projects[0], name="again")
        assert [(await told(socket))["object"]["name"] for socket in (slow, quick)] == ["again"] * 2


async def test_a_slow_event_stream_leaves_its_group_too(live: Live, tenant: Tenant, admin: asyncpg.Connection) -> None:
    floor = Floor(admin, tenant)
    project = await floor.project()
    begin = await floor.settled()
    body = json.dumps({"query": WIDE}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", int(live.url.rpartition(":")[2]), limit=4096)
    writer.write(
        b"POST /graphql HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n"
        % ((await live.token(tenant)).encode(), len(body))
        + body
    )
    await members(live, tenant, [1])
    changes = 0
    while live.app.state.streams.groups.sizes(tenant.organization_id) and changes < 400:
        changes += 1
        await floor.change("projects", project, name=f"n{changes}", description=chr(97 + changes % 26) * 2000)
        await asyncio.sleep(0.01)
    assert changes < 400, "it never left"
    await floor.settled()
    log = await floor.log("Project", begin)
    reader._limit = 2**24  # type: ignore[attr-defined]
    ids: list[str] = []
    async with asyncio.timeout(20):
        while not ids or ids[-1] != log[-1]:
            line = await reader.readline()
            if line.startswith(b"id: "):
                ids.append(line[4:].strip().decode())
    assert [cursor for cursor in log if cursor in set(ids)] == ids, "in order, none twice"
    await members(live, tenant, [1])
    writer.close()

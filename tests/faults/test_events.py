"""Events while everything breaks: every subscriber that comes back with its cursor has every event, once and in order.

CHAOS_SECONDS (see `make chaos`) makes it longer and restarts PostgreSQL as well.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import asyncpg
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from db.embedded import EmbeddedPostgres
from schema.feed import Cursor
from tests.api.conftest import Live
from tests.api.test_sockets import PROTOCOL
from tests.conftest import Urls
from tests.faults.conftest import Worker
from tests.support import Tenant

SECONDS = float(os.environ.get("CHAOS_SECONDS", "6"))
LONG = SECONDS > 20
WRITERS = 4
SUBSCRIBERS = 6
DOCUMENT = "subscription($after: String) { projectEvents(after: $after) { cursor resyncRequired object { id } } }"
LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)


@dataclass
class Subscriber:
    """A client as a careful one is written: it keeps the last cursor, and comes back with it, whatever happened."""

    live: Live
    token: str
    cursor: str
    seen: list[str] = field(default_factory=list)
    sockets: int = 0
    resyncs: int = 0

    async def run(self) -> None:
        while True:
            with suppress(OSError, WebSocketException, TimeoutError):
                await self._follow(random.uniform(0.3, 1.5))
            await asyncio.sleep(random.uniform(0, 0.2))

    async def _follow(self, seconds: float) -> None:
        """One socket, dropped without a word after a while."""
        until = time.monotonic() + seconds
        async with connect(self.live.socket_url, subprotocols=[PROTOCOL], close_timeout=0.1) as socket:
            self.sockets += 1
            init = {"type": "connection_init", "payload": {"authorization": f"Bearer {self.token}"}}
            await socket.send(json.dumps(init))
            await socket.recv()
            request = {"query": DOCUMENT, "variables": {"after": self.cursor}}
            await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": request}))
            while (left := until - time.monotonic()) > 0:
                message = json.loads(await asyncio.wait_for(socket.recv(), left))
                if message["type"] != "next":
                    return
                event = message["payload"]["data"]["projectEvents"]
                self.resyncs += event["resyncRequired"]
                self.cursor = event["cursor"]
                self.seen.append(self.cursor)
            socket.transport.abort()


async def write(urls: Urls, tenant: Tenant, until: float, writes: Counter[str]) -> None:
    """Change projects of one's own, several in a transaction, some rolled back; connect again when the server is gone."""
    while time.monotonic() < until:
        try:
            connection = await asyncpg.connect(urls.admin, timeout=5)
            try:
                await connection.execute(f"set app.org_id = '{tenant.organization_id}'")
                while time.monotonic() < until:
                    await _transaction(connection, tenant, writes)
                    await asyncio.sleep(random.uniform(0, 0.02))
            finally:
                connection.terminate()
        except LOST:
            writes["interrupted"] += 1
            await asyncio.sleep(0.1)


async def _transaction(connection: asyncpg.Connection, tenant: Tenant, writes: Counter[str]) -> None:
    transaction = connection.transaction()
    await transaction.start()
    project = await connection.fetchval(
        "insert into app.projects (organization_id, number, name) values ($1, gen_random_uuid()::text, '0') returning id",
        tenant.organization_id,
    )
    for n in range(random.randint(0, 3)):
        await connection.execute(
            "update app.projects set name = $3 where organization_id = $1 and id = $2",
            tenant.organization_id,
            project,
            f"name {n}",
        )
        if random.random() < 0.05:
            await asyncio.sleep(0.3)  # commits long after later ones
    if random.random() < 0.1:
        await transaction.rollback()
        writes["rolled back"] += 1
    else:
        await transaction.commit()
        writes["committed"] += 1


async def break_things(
    urls: Urls, worker: Worker, server: EmbeddedPostgres, until: float, faults: Counter[str]
) -> None:
    turns = ["listener", "relay", "worker"] + (["server"] if LONG else [])
    turn = 0
    while time.monotonic() < until:
        await asyncio.sleep(random.uniform(0.4, 1.0))
        what = turns[turn % len(turns)]
        turn += 1
        if what == "worker":
            await worker.kill()
            await worker.start()
        elif what == "server":
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
        else:
            name = "unison hub" if what == "listener" else "unison relay"
            with suppress(*LOST):
                connection = await asyncpg.connect(urls.admin)
                await connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1", name
                )
                await connection.close()
        faults[what] += 1


async def test_every_event_once_and_in_order(
    broken: Urls, broken_server: EmbeddedPostgres, breaking: Live, victim: Tenant, worker: Worker
) -> None:
    token = await breaking.token(victim)
    admin = await asyncpg.connect(broken.admin)
    begin = await admin.fetchval("select pos from ev.head")
    await admin.close()
    subscribers = [Subscriber(breaking, token, str(Cursor(begin))) for _ in range(SUBSCRIBERS)]
    following = [asyncio.create_task(subscriber.run()) for subscriber in subscribers]
    writes: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    until = time.monotonic() + SECONDS
    await asyncio.gather(
        *(write(broken, victim, until, writes) for _ in range(WRITERS)),
        break_things(broken, worker, broken_server, until, faults),
    )
    admin = await asyncpg.connect(broken.admin)
    try:
        async with asyncio.timeout(30):
            while await admin.fetchval("select count(*) from ev.inbox"):
                await asyncio.sleep(0.05)
        rows = await admin.fetch(
            "select pos, entity_id from ev.log where organization_id = $1 and topic = 'Project' and pos > $2 order by pos",
            victim.organization_id,
            begin,
        )
        changed = await admin.fetchval(
            "select count(*) from app.audit_logs where organization_id = $1 and entity_type = 'Project'",
            victim.organization_id,
        )
        log = [str(Cursor(row["pos"])) for row in rows]
        async with asyncio.timeout(60):
            while any(subscriber.cursor != log[-1] for subscriber in subscribers):
                await asyncio.sleep(0.05)
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        await admin.close()
    sockets = sum(subscriber.sockets for subscriber in subscribers)
    told = sum(len(subscriber.seen) for subscriber in subscribers)
    print(
        f"\n{SECONDS:g} s: {dict(writes)}; faults {dict(faults)}; {len(log)} events for {changed} changes of"
        f" {len({row['entity_id'] for row in rows})} objects; {SUBSCRIBERS} subscribers over {sockets} sockets were told {told}"
    )
    assert len(log) == changed, "an event for every committed change"
    for subscriber in subscribers:
        assert subscriber.resyncs == 0
        assert subscriber.seen == log
    assert sockets > SUBSCRIBERS
    assert all(faults[what] for what in ("listener", "relay", "worker"))

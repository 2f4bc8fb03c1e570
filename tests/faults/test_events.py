"""Events and jobs while everything breaks: a subscriber that comes back with its cursor has every event, once and in order;
every job of a committed transaction has had its effect, once.

CHAOS_SECONDS (see `make chaos`) makes it longer.
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
from tests.api.test_sockets import PROTOCOL
from tests.conftest import Urls
from tests.faults.conftest import Api, Killable
from tests.support import Tenant

SECONDS = float(os.environ.get("CHAOS_SECONDS", "6"))
WRITERS = 4
SUBSCRIBERS = 6
DOCUMENT = "subscription($after: String) { projectEvents(after: $after) { cursor resyncRequired object { id } } }"
LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)


@dataclass
class Subscriber:
    """A client as a careful one is written: it keeps the last cursor, and comes back with it, whatever happened."""

    api: Api
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
        async with connect(self.api.socket_url, subprotocols=[PROTOCOL], close_timeout=0.1) as socket:
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
    await connection.execute(
        "select app.enqueue('background_jobs', 'test.note', array[jsonb_build_object('word', $1::text)], null, null)",
        str(project),
    )
    if random.random() < 0.1:
        await transaction.rollback()
        writes["rolled back"] += 1
    else:
        await transaction.commit()
        writes["committed"] += 1


async def break_things(
    urls: Urls, worker: Killable, api: Api, server: EmbeddedPostgres, until: float, faults: Counter[str]
) -> None:
    turns = ["api", "listener", "worker", "relay", "server"]
    turn = 0
    while time.monotonic() < until or turn < len(turns):
        await asyncio.sleep(random.uniform(0.4, 1.0))
        what = turns[turn % len(turns)]
        turn += 1
        if what == "worker":
            await worker.kill()
            await worker.start()
        elif what == "api":
            await api.kill()
            await api.start()
            await api.ready()
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


async def test_every_event_and_every_job_once(
    broken: Urls, broken_server: EmbeddedPostgres, api: Api, token: str, victim: Tenant, worker: Killable
) -> None:
    admin = await asyncpg.connect(broken.admin)
    begin = await admin.fetchval("select pos from ev.head")
    await admin.close()
    subscribers = [Subscriber(api, token, str(Cursor(begin))) for _ in range(SUBSCRIBERS)]
    following = [asyncio.create_task(subscriber.run()) for subscriber in subscribers]
    writes: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    until = time.monotonic() + SECONDS
    await asyncio.gather(
        *(write(broken, victim, until, writes) for _ in range(WRITERS)),
        break_things(broken, worker, api, broken_server, until, faults),
    )
    admin = await asyncpg.connect(broken.admin)
    try:
        log = await _log(admin, victim, begin)
        ran = await _effects(admin, victim)
        async with asyncio.timeout(60):
            while any(subscriber.cursor != log[-1] for subscriber in subscribers):
                await asyncio.sleep(0.05)
        changed = await admin.fetchval(
            "select count(*) from app.audit_logs where organization_id = $1 and entity_type = 'Project'",
            victim.organization_id,
        )
        made = await admin.fetch("select id from app.projects where organization_id = $1", victim.organization_id)
        jobs = await admin.fetch("select id, status from app.jobs where organization_id = $1", victim.organization_id)
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        await admin.close()
    sockets = sum(subscriber.sockets for subscriber in subscribers)
    told = sum(len(subscriber.seen) for subscriber in subscribers)
    print(
        f"\n{SECONDS:g} s: {dict(writes)}; faults {dict(faults)}; {len(log)} events for {changed} changes of {len(made)}"
        f" objects; {SUBSCRIBERS} subscribers over {sockets} sockets were told {told}; {len(jobs)} jobs,"
        f" {len(ran)} effects"
    )
    assert len(log) == changed, "an event for every committed change"
    for subscriber in subscribers:
        assert subscriber.resyncs == 0
        assert subscriber.seen == log
    assert sockets > SUBSCRIBERS
    assert sorted(ran) == sorted(str(row["id"]) for row in made), "an effect for every committed job, and no other"
    assert {row["status"] for row in jobs} == {"succeeded"}
    assert len(jobs) == len(made) >= writes["committed"] > 0
    assert all(faults[what] for what in ("listener", "relay", "worker", "api", "server"))


async def _log(admin: asyncpg.Connection, tenant: Tenant, begin: int) -> list[str]:
    """The cursors of all events, once the relay has moved them."""
    async with asyncio.timeout(30):
        while await admin.fetchval("select count(*) from ev.inbox where topic = 'Project'"):
            await asyncio.sleep(0.05)
    rows = await admin.fetch(
        "select pos from ev.log where organization_id = $1 and topic = 'Project' and pos > $2 order by pos",
        tenant.organization_id,
        begin,
    )
    return [str(Cursor(row["pos"])) for row in rows]


async def _effects(admin: asyncpg.Connection, tenant: Tenant) -> list[str]:
    """What the jobs left behind, once their queue is empty. What a killed worker held comes back after its time; we do not
    wait for it. Done to a living worker, that takes its jobs from it: they must not have two effects then."""
    async with asyncio.timeout(60):
        while await admin.fetchval("select count(*) from pgmq.q_background_jobs"):
            await admin.execute("update pgmq.q_background_jobs set vt = clock_timestamp() where vt > clock_timestamp()")
            await asyncio.sleep(1)
    rows = await admin.fetch("select word from app.test_effects where organization_id = $1", tenant.organization_id)
    return [row["word"] for row in rows]

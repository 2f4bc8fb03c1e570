"""How long an event takes from a commit to a socket, and what NOTIFY in every transaction would cost. Prints only.

    .venv/bin/python -m tests.load.events --subscribers 1000 --rates 10 100 500 --seconds 10

Subscribers are spread over organizations; every event is told to those of one of them. Server, clients and PostgreSQL
share the machine; the clients run in a process of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import asyncpg
import structlog
from websockets.asyncio.client import ClientConnection, connect

from db.embedded import EmbeddedPostgres
from db.migrate import app_url, events_url, migrate
from db.session import Database
from tests.api.conftest import serving
from tests.api.test_sockets import PROTOCOL
from tests.conftest import SECRET, Urls
from tests.support import Tenant, new_tenant
from worker.relay import Relay

DOCUMENT = "subscription { projectEvents { cursor object { id name } } }"
AT_ONCE = 50


async def listen(url: str, tokens: list[str], subscribers: int) -> None:
    """The clients' process: say when all are subscribed, then a line for every event: when it came, what it says."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    gate = asyncio.Semaphore(AT_ONCE)
    open_ones: list[tuple[ClientConnection, asyncio.Task[None]]] = []

    async def follow(socket: ClientConnection) -> None:
        async for message in socket:
            came = time.time()
            payload = json.loads(message).get("payload")
            if isinstance(payload, dict) and (event := (payload.get("data") or {}).get("projectEvents")):
                sys.stdout.write(f"{came} {event['object']['name']}\n")

    async def begin(token: str) -> None:
        async with gate:
            socket = await connect(url, subprotocols=[PROTOCOL], open_timeout=60, ping_interval=None, compression=None)
            init = {"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}
            await socket.send(json.dumps(init))
            await socket.recv()
            await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": DOCUMENT}}))
            open_ones.append((socket, asyncio.create_task(follow(socket))))

    await asyncio.gather(*(begin(tokens[n % len(tokens)]) for n in range(subscribers)))
    await asyncio.sleep(2)
    sys.stdout.write("ready\n")
    await asyncio.to_thread(sys.stdin.readline)


async def happen(urls: Urls, tenants: list[Tenant], rate: int, seconds: float) -> int:
    """Commits at a steady rate; the name of each project is the time just before its commit."""
    connection = await asyncpg.connect(urls.admin)
    began = time.monotonic()
    total = int(rate * seconds)
    for n in range(total):
        await asyncio.sleep(max(0.0, began + n / rate - time.monotonic()))
        tenant = tenants[n % len(tenants)]
        async with connection.transaction():
            await connection.execute(f"set local app.org_id = '{tenant.organization_id}'")
            await connection.execute(
                "insert into app.projects (organization_id, number, name) values ($1, gen_random_uuid()::text, $2)",
                tenant.organization_id,
                f"{rate} {time.time()}",
            )
    await connection.close()
    return total


async def delivery(urls: Urls, database: Database, asked: argparse.Namespace) -> None:
    admin = await asyncpg.connect(urls.admin)
    tenants = [await new_tenant(admin) for _ in range(asked.organizations)]
    await admin.close()
    relay = Relay(urls.events)
    relaying = asyncio.create_task(relay.run())
    many = {"max_sockets_per_principal": 100_000, "max_subscriptions_per_principal": 100_000, "pool_size": 10}
    async with serving(urls, database, **many) as live:
        tokens = [await live.token(tenant) for tenant in tenants]
        client = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.load.events", "--listen", live.socket_url, "--subscribers", str(asked.subscribers),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=2**26,
        )  # fmt: skip
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write((json.dumps(tokens) + "\n").encode())
        assert (await client.stdout.readline()) == b"ready\n"
        sent = {}
        lines: list[str] = []
        reading = asyncio.create_task(_collect(client.stdout, lines))
        for rate in asked.rates:
            sent[rate] = await happen(urls, tenants, rate, asked.seconds)
            await _quiet(lines)
        client.stdin.write(b"\n")
        told: dict[int, list[float]] = {rate: [] for rate in asked.rates}
        await reading
        for line in lines:
            came, rate, at = line.split()
            told[int(rate)].append((float(came) - float(at)) * 1_000)
        await client.wait()
    relay.stop()
    await relaying
    each = asked.subscribers / asked.organizations
    for rate, waits in told.items():
        expected = int(sent[rate] * each)
        cuts = statistics.quantiles(waits, n=100) if len(waits) > 1 else [0.0] * 99
        print(
            f"{asked.subscribers} subscribers, {rate} events/s ({rate * each:g} deliveries/s): p50 {cuts[49]:.1f} ms,"
            f" p99 {cuts[98]:.1f} ms, {len(waits)} of {expected} told"
        )


async def _collect(stream: asyncio.StreamReader, lines: list[str]) -> None:
    async for line in stream:
        lines.append(line.decode())  # noqa: PERF401 - counted while it grows


async def _quiet(lines: list[str]) -> None:
    """Until nobody has been told anything for a while."""
    known = -1
    while known != len(lines):
        known = len(lines)
        await asyncio.sleep(2)


async def relay_against_notify(urls: Urls, seconds: float) -> None:
    """Commits per second of clients that insert one row each, bare, with NOTIFY, and into the inbox with a relay running."""
    admin = await asyncpg.connect(urls.admin)
    await admin.execute(
        "create table public.plain (id bigint generated always as identity, at timestamptz default now())"
    )
    inbox = (
        "insert into ev.inbox (organization_id, topic, entity_id, operation, changed_fields)"
        " values (0, 'Load', 1, 'update', '{}')"
    )
    plain = "insert into public.plain default values"
    relay = Relay(urls.events)
    relaying = asyncio.create_task(relay.run())
    await relay.leading.wait()
    for clients in (1, 8, 32):
        rates: dict[str, list[float]] = {"plain": [], "notify": [], "relay": []}
        for _ in range(3):  # interleaved: the machine is not the same from second to second
            for name, statements in (("plain", [plain]), ("notify", [plain, "notify load"]), ("relay", [plain, inbox])):
                rates[name].append(await _commits(urls, clients, statements, seconds / 3))
        median = {name: statistics.median(found) for name, found in rates.items()}
        print(
            f"{clients} clients: plain {median['plain']:.0f}/s, NOTIFY {median['notify']:.0f}/s, inbox and relay"
            f" {median['relay']:.0f}/s; relay against NOTIFY {median['relay'] / median['notify']:.2f}x"
        )
    relay.stop()
    await relaying
    await admin.close()


async def _commits(urls: Urls, clients: int, statements: list[str], seconds: float) -> float:
    connections = [await asyncpg.connect(urls.admin) for _ in range(clients)]
    text = "begin; " + "; ".join(statements) + "; commit"
    until = time.monotonic() + seconds
    done = 0

    async def commit(connection: asyncpg.Connection) -> None:
        nonlocal done
        while time.monotonic() < until:
            await connection.execute(text)
            done += 1

    await asyncio.gather(*(commit(connection) for connection in connections))
    for connection in connections:
        await connection.close()
    return done / seconds


async def main(asked: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="unison-load-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedPostgres(Path(folder))  # durable: what NOTIFY costs is the flush it keeps others from sharing
        url = server.start()
        try:
            await migrate(url, SECRET)
            urls = Urls(url, app_url(url, SECRET), events_url(url, SECRET))
            database = Database.connect(urls.app, pool_size=10)
            await delivery(urls, database, asked)
            if asked.notify:
                await relay_against_notify(urls, asked.seconds)
            await database.close()
        finally:
            server.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subscribers", type=int, default=1_000)
    parser.add_argument("--organizations", type=int, default=50)
    parser.add_argument("--rates", type=int, nargs="+", default=[10, 100, 500])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--notify", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--listen", help=argparse.SUPPRESS)
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if given.listen:
        asyncio.run(listen(given.listen, json.loads(sys.stdin.readline()), given.subscribers))
    else:
        asyncio.run(main(given))

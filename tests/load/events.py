"""How long an event takes from a commit to a socket, and what NOTIFY in every transaction would cost. Prints only.

    .venv/bin/python -m tests.load.events --subscribers 1000 5000 --rates 10 100 500 --seconds 10 --organizations 1

Subscribers are spread over organizations; every event is told to those of one of them. The API runs in this process as
`unison serve` runs it; PostgreSQL, the worker with its relay, whoever commits, and all clients are processes beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import asyncpg
import structlog
import uvloop

from db.embedded import EmbeddedPostgres
from db.migrate import app_url, events_url, migrate
from db.session import Database
from schema.permissions import SYSTEM_ROLES
from tests.api.conftest import serving
from tests.conftest import SECRET, Urls
from tests.support import Tenant, new_tenant
from worker.relay import Relay


async def delivery(urls: Urls, database: Database, asked: argparse.Namespace) -> None:
    admin = await asyncpg.connect(urls.admin)
    tenants = [await new_tenant(admin) for _ in range(asked.organizations)]
    await admin.close()
    given = {"DATABASE_APP_URL": urls.app, "DATABASE_EVENTS_URL": urls.events, "SECRET_KEY": SECRET}
    worker = await _process("worker", env=os.environ | given)
    many = {"max_sockets_per_principal": 100_000, "max_subscriptions_per_principal": 100_000, "pool_size": 10}
    async with serving(urls, database, **many) as live:
        tokens = [await live.token(tenant, role) for role in SYSTEM_ROLES for tenant in tenants]
        host, port = live.url.removeprefix("http://").split(":")
        for subscribers in asked.subscribers:
            listeners = await _process("tests.load.listeners", host, port, str(subscribers))
            assert listeners.stdin is not None
            assert listeners.stdout is not None
            listeners.stdin.write((json.dumps(tokens) + "\n").encode())
            assert (await listeners.stdout.readline()) == b"ready\n"
            sent = {}
            for rate in asked.rates:
                before = time.process_time()
                total, took = await _commit(urls, tenants, rate, asked.seconds)
                sent[rate] = total, took, (time.process_time() - before) / took
                await _quiet(listeners)
            listeners.stdin.write(b"\n")
            found = json.loads(await listeners.stdout.readline())
            await listeners.wait()
            for rate in asked.rates:
                _say(subscribers, asked.organizations, sent[rate], found[str(rate)])
    worker.terminate()
    await worker.wait()


async def _process(module: str, *arguments: str, env: dict[str, str] | None = None) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, env=env,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, limit=2**26,
    )  # fmt: skip


async def _commit(urls: Urls, tenants: list[Tenant], rate: int, seconds: float) -> tuple[int, float]:
    organizations = [str(tenant.organization_id) for tenant in tenants]
    commits = await _process("tests.load.commits", urls.admin, str(rate), str(seconds), *organizations)
    assert commits.stdout is not None
    total, took = (await commits.stdout.readline()).split()
    await commits.wait()
    return int(total), float(took)


async def _quiet(listeners: asyncio.subprocess.Process) -> None:
    """Until nobody has been told anything for a while."""
    assert listeners.stdin is not None
    assert listeners.stdout is not None
    known, told = b"", b"?"
    while known != told:
        await asyncio.sleep(2)
        listeners.stdin.write(b"?\n")
        known, told = told, await listeners.stdout.readline()


def _say(subscribers: int, organizations: int, sent: tuple[int, float, float], found: dict[str, float]) -> None:
    total, took, busy = sent
    each = subscribers / organizations
    print(
        f"{subscribers} subscribers in {organizations} organizations, {total / took:.0f} events/s"
        f" ({total / took * each:,.0f} deliveries/s): p50 {found['p50']:.1f} ms, p99 {found['p99']:.1f} ms,"
        f" most {found['most']:.0f} ms, {found['told']:,} of {int(total * each):,} told, API {busy:.0%} of a core",
        flush=True,
    )


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
    parser.add_argument("--subscribers", type=int, nargs="+", default=[1_000])
    parser.add_argument("--organizations", type=int, default=1)
    parser.add_argument("--rates", type=int, nargs="+", default=[10, 100, 500])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--notify", action=argparse.BooleanOptionalAction, default=True)
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(given))

"""The relay: events in order, one leader, through every interruption."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from tests.conftest import SECRET, Urls
from worker import relay as relaying
from worker.relay import Relay

REPOSITORY = Path(__file__).parents[2]
EVENT = (
    "insert into ev.inbox (organization_id, topic, entity_id, operation, changed_fields)"
    " select 0, 'Test', n, 'insert', '{}' from generate_series(1, $1::integer) n"
)


@asynccontextmanager
async def running(url: str) -> AsyncIterator[Relay]:
    relay = Relay(url)
    task = asyncio.create_task(relay.run())
    try:
        yield relay
    finally:
        relay.stop()
        await asyncio.wait_for(task, 15)


Condition = Callable[[], Awaitable[bool] | bool]


async def until(condition: Condition, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer is True or (not isinstance(answer, bool) and await answer):
            return
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


@pytest.fixture
async def moved(admin: asyncpg.Connection) -> Condition:
    async def all_moved() -> bool:
        return await admin.fetchval("select count(*) from ev.inbox") == 0

    return all_moved


async def test_events_get_dense_positions_in_the_order_they_were_written(
    urls: Urls, admin: asyncpg.Connection, moved: Condition
) -> None:
    start = await admin.fetchval("select pos from ev.head")
    async with running(urls.events) as relay:
        await asyncio.wait_for(relay.leading.wait(), 10)
        await admin.execute(EVENT, 1234)  # more than two batches
        await until(moved)
    rows = await admin.fetch("select pos, entity_id from ev.log where pos > $1 and topic = 'Test' order by pos", start)
    assert len(rows) == 1234
    positions = [row["pos"] for row in await admin.fetch("select pos from ev.log where pos > $1 order by pos", start)]
    assert positions == list(range(start + 1, start + 1 + len(positions)))
    assert [row["entity_id"] for row in rows] == list(range(1, 1235))


async def test_a_backlog_is_moved_though_the_inbox_is_known_as_empty(
    urls: Urls, admin: asyncpg.Connection, moved: Condition
) -> None:
    """As it is after each vacuum of a quiet time: the planner takes it for a single row, whatever has come since."""
    for events in (5_000, 50_000):
        await admin.execute(EVENT, events)
        async with running(urls.events):
            await until(moved)
        await admin.execute("vacuum (analyze, truncate off) ev.inbox")


async def test_readers_are_woken_once_per_batch(urls: Urls, admin: asyncpg.Connection) -> None:
    heard: list[str] = []
    listener = await asyncpg.connect(urls.events)
    await listener.add_listener("ev", lambda *event: heard.append(str(event[-1])))
    try:
        async with running(urls.events) as relay:
            await asyncio.wait_for(relay.leading.wait(), 10)
            await admin.execute(EVENT, 100)
            await until(lambda: bool(heard))
        assert heard[-1] == str(await admin.fetchval("select pos from ev.head"))
        assert len(heard) <= 2
    finally:
        await listener.close()


async def test_a_poke_is_faster_than_the_poll(
    urls: Urls, admin: asyncpg.Connection, moved: Condition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relaying, "POLL_SECONDS", 60.0)
    async with running(urls.events) as relay:
        await asyncio.wait_for(relay.leading.wait(), 10)
        await asyncio.sleep(0.1)
        await admin.execute(EVENT, 1)
        await admin.execute("notify ev_poke")
        await until(moved, 5)


async def test_one_leads_and_the_next_takes_over(
    urls: Urls, admin: asyncpg.Connection, moved: Condition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relaying, "STANDBY_SECONDS", 0.05)
    async with running(urls.events) as first:
        await asyncio.wait_for(first.leading.wait(), 10)
        async with running(urls.events) as second:
            await asyncio.sleep(0.3)
            assert not second.leading.is_set()
            first.stop()
            await asyncio.wait_for(second.leading.wait(), 10)
            await admin.execute(EVENT, 3)
            await until(moved)


RELAYS = "select coalesce(array_agg(pid), '{}') from pg_stat_activity where application_name = 'unison relay'"


async def test_it_comes_back_after_its_connection_was_cut(
    urls: Urls, admin: asyncpg.Connection, moved: Condition
) -> None:
    async with running(urls.events) as relay:
        await asyncio.wait_for(relay.leading.wait(), 10)
        cut = await admin.fetchval(RELAYS)
        await admin.execute("select pg_terminate_backend(unnest($1::int[]))", cut)

        async def back() -> bool:
            return relay.leading.is_set() and not set(await admin.fetchval(RELAYS)) & set(cut)

        await until(back)
        await admin.execute(EVENT, 3)
        await until(moved)


async def test_it_waits_for_a_server_that_is_not_there_yet() -> None:
    async with running("postgresql://nobody:x@127.0.0.1:1/none") as relay:
        await asyncio.sleep(0.3)
        assert not relay.leading.is_set()


def worker(urls: Urls, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "worker", *arguments],
        cwd=REPOSITORY,
        env={
            **os.environ,
            "DATABASE_APP_URL": urls.app,
            "DATABASE_EVENTS_URL": urls.events,
            "SECRET_KEY": SECRET,
            "LOG_FORMAT": "json",
            **environment,
        },
        stderr=subprocess.PIPE,
        text=True,
    )


async def test_the_process_ends_on_sigterm(urls: Urls, admin: asyncpg.Connection, moved: Condition) -> None:
    with worker(urls) as process:
        try:
            await admin.execute(EVENT, 3)
            await until(moved, 20)
            process.send_signal(signal.SIGTERM)
            _, said = await asyncio.to_thread(process.communicate, timeout=15)
        finally:
            process.kill()
    assert process.returncode == 0, said
    assert "worker stopped" in said


async def test_a_worker_without_a_database_says_so(urls: Urls) -> None:
    with worker(urls, DATABASE_EVENTS_URL="", DATABASE_URL="") as process:
        _, said = await asyncio.to_thread(process.communicate, timeout=15)
    assert process.returncode == 2
    assert "DATABASE_EVENTS_URL" in said
    assert "Traceback" not in said

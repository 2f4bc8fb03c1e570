"""Consumers under hostile conditions: killed, drained, flooded, overtaken; with real worker processes where it matters."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from db.queue import Queue, enqueue, enqueue_many
from db.session import Database
from tests.conftest import SECRET, Urls
from tests.support import House, Tenant
from tests.worker.queues import consuming, job, words
from tests.worker.test_relay import REPOSITORY, until
from worker import consumer as consuming_module

pytestmark = pytest.mark.usefixtures("empty")
Q = Queue.BACKGROUND_JOBS


@asynccontextmanager
async def worker(urls: Urls) -> AsyncIterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.worker.process"],
        cwd=REPOSITORY,
        env={
            **os.environ, "DATABASE_APP_URL": urls.app, "DATABASE_EVENTS_URL": urls.events, "SECRET_KEY": SECRET,
            "LOG_FORMAT": "json",
        },
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)


async def settled(admin: asyncpg.Connection) -> bool:
    return await admin.fetchval("select count(*) from pgmq.q_background_jobs") == 0


async def expire(admin: asyncpg.Connection) -> None:
    """What a killed worker held is free once its time is over; the test does not wait for it."""
    await admin.execute("update pgmq.q_background_jobs set vt = clock_timestamp()")


async def test_killed_between_effect_and_acknowledgement_it_happens_once(
    urls: Urls, database: Database, admin: asyncpg.Connection, tenant: Tenant
):
    async with database.write(tenant.actor()) as tx:
        before = await enqueue_many(tx, Q, "test.note", [{"word": f"b{n}"} for n in range(20)])
        id = await enqueue(tx, Q, "test.dying", {"word": "once"})
        after = await enqueue_many(tx, Q, "test.note", [{"word": f"a{n}"} for n in range(20)])
    async with worker(urls) as process:
        assert await asyncio.to_thread(process.wait, 30) == -signal.SIGKILL
    assert await words(admin, tenant) == []  # all of its transaction is gone
    await expire(admin)
    async with worker(urls):
        await until(lambda: settled(admin), 30)
    assert sorted(await words(admin, tenant)) == sorted(["once", *(f"{s}{n}" for s in "ab" for n in range(20))])
    for one in (*before, id, *after):
        assert (await job(admin, one))["status"] == "succeeded"
    assert (await job(admin, id))["attempts"] == 2


async def test_killed_at_any_moment_every_job_happens_once(
    urls: Urls, database: Database, admin: asyncpg.Connection, tenant: Tenant
):
    async with database.write(tenant.actor()) as tx:
        for batch in range(8):
            await enqueue_many(tx, Q, "test.note", [{"word": f"{batch}-{n}"} for n in range(50)])
    for wait in (0.1, 0.3):
        async with worker(urls) as process:
            await until(lambda: _begun(admin, tenant), 30)
            await asyncio.sleep(wait)
            process.kill()
        await expire(admin)
    async with worker(urls):
        await until(lambda: settled(admin), 90)
    found = await words(admin, tenant)
    assert len(found) == len(set(found)) == 400


async def _begun(admin: asyncpg.Connection, tenant: Tenant) -> bool:
    return bool(await words(admin, tenant))


async def test_sigterm_finishes_what_runs_and_gives_back_the_rest(
    urls: Urls, database: Database, admin: asyncpg.Connection, tenant: Tenant
):
    async with database.write(tenant.actor()) as tx:
        ids = [await enqueue(tx, Q, "test.slow", {"word": f"w{n}", "seconds": 2}) for n in range(6)]
    async with worker(urls) as process:
        await until(lambda: _running(admin, tenant), 30)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 15) == 0
    finished = await words(admin, tenant)
    states = [(await job(admin, id))["status"] for id in ids]
    assert states.count("succeeded") == len(finished) >= 1
    assert set(states) == {"succeeded", "queued"}
    # what was not begun is free at once, as if nobody had read it
    assert not await admin.fetchval("select count(*) from pgmq.q_background_jobs where vt > now() or read_ct > 0")


async def _running(admin: asyncpg.Connection, tenant: Tenant) -> bool:
    return await admin.fetchval(
        "select exists(select from app.jobs where organization_id = $1 and status = 'running')", tenant.organization_id
    )


async def test_a_flood_of_one_tenant_does_not_hold_up_another(
    urls: Urls, database: Database, admin: asyncpg.Connection, tenant: Tenant, stranger: Tenant
):
    async with database.write(tenant.actor()) as tx:
        await enqueue_many(tx, Q, "test.slow", [{"word": "flood", "seconds": 1}] * 60)
        await enqueue_many(tx, Q, "test.note", [{"word": "flood"}] * 3000)
    async with consuming(urls, database, slots=2):
        await until(lambda: _running(admin, tenant))
        began = time.monotonic()
        async with database.write(stranger.actor()) as tx:
            await enqueue_many(tx, Q, "test.note", [{"word": "mine"}] * 5)
        await until(lambda: _five(admin, stranger), 10)
        assert time.monotonic() - began < 3
        assert await admin.fetchval("select count(*) from pgmq.q_background_jobs") > 30
        await admin.execute("delete from pgmq.q_background_jobs where read_ct = 0")


async def _five(admin: asyncpg.Connection, tenant: Tenant) -> bool:
    return len(await words(admin, tenant)) == 5


async def test_jobs_that_run_alone_follow_each_other(
    urls: Urls, database: Database, admin: asyncpg.Connection, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
):
    """An organization at its share of the slots goes on as soon as one is free, not when an idle worker looks again."""
    monkeypatch.setattr(consuming_module, "IDLE_SECONDS", 60.0)
    async with database.write(tenant.actor()) as tx:
        await enqueue_many(tx, Q, "test.slow", [{"word": f"{n}", "seconds": 0} for n in range(30)])
    async with consuming(urls, database):
        await until(lambda: settled(admin), 30)
    assert sorted(await words(admin, tenant), key=int) == [f"{n}" for n in range(30)]


async def test_many_tenants_take_turns(urls: Urls, admin: asyncpg.Connection, database: Database):
    for org in range(1, 10):
        await admin.execute(
            "select pgmq.send('background_jobs', '{}'::jsonb, jsonb_build_object('org', $1::text, 'kind', 'x'))"
            " from generate_series(1, 50)",
            str(org),
        )
    seen: list[str] = []
    async with consuming(urls, database, slots=1) as consumer:
        consumer.stop()  # only its calls are used
    after = ""
    connection = await asyncpg.connect(urls.events)
    try:
        for _ in range(9):
            rows = await connection.fetch(
                "select * from ev.take_jobs('background_jobs', 30, 1, 50, '{}', $1, '{}')", after
            )
            assert len(rows) == 1  # a kind that runs alone comes one at a time
            after = rows[0]["org"]
            seen.append(after)
    finally:
        await connection.close()
    assert sorted(seen) == [str(n) for n in range(1, 10)]


async def test_jobs_of_a_key_run_in_order_even_past_a_failure(
    urls: Urls, database: Database, admin: asyncpg.Connection, tenant: Tenant
):
    for n in range(4):
        async with database.write(tenant.actor()) as tx:
            await enqueue(tx, Q, "test.fail" if n == 1 else "test.note", {"word": f"k{n}", "times": 2}, key="order:1")
            await enqueue(tx, Q, "test.note", {"word": f"o{n}"}, key=f"other:{n}")
    async with consuming(urls, database), consuming(urls, database):
        await until(lambda: settled(admin), 20)
    found = await words(admin, tenant)
    assert [w for w in found if w[0] in "kl"] == ["k0", "lost", "k2", "k3"]
    assert found.index("o3") < found.index("k2")  # others do not wait for the key that is held up


async def test_writers_of_a_key_queue_in_the_order_they_commit(
    database: Database, admin: asyncpg.Connection, tenant: Tenant
):
    first_in, let_go = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with database.write(tenant.actor()) as tx:
            await enqueue(tx, Q, "test.note", {"word": "first"}, key="k")
            first_in.set()
            await let_go.wait()

    async def second() -> None:
        await first_in.wait()
        async with database.write(tenant.actor()) as tx:
            await enqueue(tx, Q, "test.note", {"word": "second"}, key="k")

    tasks = [asyncio.create_task(first()), asyncio.create_task(second())]
    await first_in.wait()
    await asyncio.sleep(0.3)
    assert not tasks[1].done()
    let_go.set()
    await asyncio.gather(*tasks)
    sent = await admin.fetch(
        "select message -> 'payload' ->> 'word' as word from pgmq.q_background_jobs order by msg_id"
    )
    assert [row["word"] for row in sent] == ["first", "second"]


async def test_a_long_job_is_held_by_its_heartbeat(
    urls: Urls, database: Database, admin: asyncpg.Connection, tenant: Tenant
):
    async with database.write(tenant.actor()) as tx:
        id = await enqueue(tx, Q, "test.slow", {"word": "long", "seconds": 5})
    async with consuming(urls, database, hold_seconds=1), consuming(urls, database, hold_seconds=1):
        await until(lambda: _running(admin, tenant))
        await asyncio.sleep(2.5)
        assert (await job(admin, id))["progress"] >= 25
        await until(lambda: settled(admin), 15)
    assert await words(admin, tenant) == ["long"]
    assert (await job(admin, id))["attempts"] == 1


async def test_an_effect_of_a_worker_that_was_overtaken_is_not_kept(
    urls: Urls, database: Database, admin: asyncpg.Connection, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
):
    taken = asyncio.Event()
    proceed = asyncio.Event()
    original = consuming_module.Runner._acknowledge

    async def held_up(self, tx, messages):  # as a pause of the process would
        if not taken.is_set():
            taken.set()
            await proceed.wait()
        await original(self, tx, messages)

    monkeypatch.setattr(consuming_module.Runner, "_acknowledge", held_up)
    async with database.write(tenant.actor()) as tx:
        await enqueue(tx, Q, "test.note", {"word": "once"})
    async with consuming(urls, database):
        await taken.wait()
        await expire(admin)
        async with consuming(urls, database):
            await until(lambda: settled(admin), 10)
        proceed.set()
    assert await words(admin, tenant) == ["once"]


async def test_progress_is_watched_by_subscription_and_query(
    urls: Urls, database: Database, admin: asyncpg.Connection, tenant: Tenant, stranger: Tenant, house: House
):
    async with database.write(tenant.actor()) as tx:
        id = await enqueue(tx, Q, "test.slow", {"word": "x", "seconds": 0.4})
    async with consuming(urls, database):
        await until(lambda: settled(admin), 10)
    told = await admin.fetch(
        "select operation, changed_fields, to_status from ev.inbox where topic = 'Job' and entity_id = $1"
        " union all select operation, changed_fields, to_status from ev.log where topic = 'Job' and entity_id = $1",
        id,
    )
    assert {row["to_status"] for row in told} == {"queued", "running", "succeeded"}
    assert sum("progress" in row["changed_fields"] for row in told) >= 4
    document = '{ jobs(where: {kind: {eq: "test.slow"}}) { nodes { status progress queue createdByUser { id } } } }'
    (node,) = (await house.data(tenant.actor(), document))["jobs"]["nodes"]
    assert (node["status"], node["progress"], node["queue"]) == ("SUCCEEDED", 100, "BACKGROUND_JOBS")
    assert (await house.data(stranger.actor(), document))["jobs"]["nodes"] == []

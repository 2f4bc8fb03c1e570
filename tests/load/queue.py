"""How fast the queues are: `python tests/load/queue.py`. Sends, single and in batches, then trivial jobs end to end.

Prints figures and judges nothing: they belong to the machine, and server, writers and worker share it here.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[2])  # not this folder: a `queue` stands in it

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable

import asyncpg
import uvloop

from db.actor import Actor
from db.embedded import EmbeddedPostgres
from db.migrate import app_url, events_url, migrate
from db.queue import Queue, enqueue, enqueue_many
from db.session import Database, WriteTx
from schema.work import InTransaction, Job, Outside, Work
from worker.calls import connect_pool
from worker.consumer import Consumer

SECRET = "load-secret-of-at-least-thirty-two-characters"
BATCH = 1000
Q = Queue.BACKGROUND_JOBS


async def nothing(_tx: WriteTx, _job: Job) -> None: ...


async def nothing_outside(_work: Work) -> None: ...


HANDLERS = {"load.together": InTransaction(nothing), "load.alone": Outside(nothing_outside)}


def say(what: str, count: int, seconds: float) -> None:
    print(f"{what:58} {count / seconds:10,.0f} /s   ({count:,} in {seconds:.1f} s)", flush=True)


async def timed(what: str, count: int, work: Callable[[], Awaitable[object]]) -> None:
    began = time.perf_counter()
    await work()
    say(what, count, time.perf_counter() - began)


async def measure(url: str) -> None:
    await migrate(url, SECRET)
    admin = await asyncpg.connect(url)
    org = await admin.fetchval(
        "insert into app.organizations (code, name, subdomain) values ('load', 'Load', 'load') returning organization_id"
    )
    database = Database.connect(app_url(url, SECRET), pool_size=16)
    actor = Actor(org, readable=None, writable=None, deletable=None)

    async def raw(batches: int) -> None:
        for _ in range(batches):
            await admin.execute(
                "select pgmq.send_batch('webhooks', array_fill('{\"x\": 1}'::jsonb, array[$1::integer]))", BATCH
            )

    async def single(count: int) -> None:
        for n in range(count):
            async with database.write(actor) as tx:
                await enqueue(tx, Q, "load.together", {"n": n})

    async def batched(batches: int, kind: str = "load.together") -> None:
        for _ in range(batches):
            async with database.write(actor) as tx:
                await enqueue_many(tx, Q, kind, [{"n": n} for n in range(BATCH)])

    async def side_by_side(writers: int, work: Callable[[], Awaitable[object]]) -> None:
        await asyncio.gather(*(work() for _ in range(writers)))

    async def consume(workers: int) -> None:
        pool = await connect_pool(events_url(url, SECRET))
        consumers = [Consumer(Q, database, pool, HANDLERS) for _ in range(workers)]
        tasks = [asyncio.create_task(consumer.run()) for consumer in consumers]
        while await admin.fetchval("select exists(select from pgmq.q_background_jobs)"):
            await asyncio.sleep(0.05)
        for consumer in consumers:
            consumer.stop()
        await asyncio.gather(*tasks)
        await pool.close()

    await timed("pgmq.send_batch alone, batches of 1,000", 50_000, lambda: raw(50))
    await timed("enqueue, one per transaction, one writer", 1_000, lambda: single(1_000))
    await timed("enqueue, one per transaction, 8 writers", 4_000, lambda: side_by_side(8, lambda: single(500)))
    await admin.execute("truncate pgmq.q_background_jobs, app.jobs")
    await admin.execute("vacuum analyze")
    await timed("enqueue_many, 1,000 per transaction, one writer", 50_000, lambda: batched(50))
    await timed("trivial jobs of that queue, together, one consumer", 50_000, lambda: consume(1))
    await timed("enqueue_many, 1,000 per transaction, 2 writers", 50_000, lambda: side_by_side(2, lambda: batched(25)))
    await timed("trivial jobs of that queue, together, 2 consumers", 50_000, lambda: consume(2))
    await batched(1, "load.alone")
    await timed("trivial jobs, each alone", 1_000, lambda: consume(1))
    await database.close()
    await admin.close()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="unison-load-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedPostgres(Path(folder))
        url = server.start()
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(measure(url))
        finally:
            server.stop()


if __name__ == "__main__":
    main()

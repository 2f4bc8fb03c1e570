"""Mails by a consumer and a worker process, to a real mail server that refuses, delays, goes away and comes back."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest

from db.queue import Queue, enqueue
from db.session import Database
from modules import MODULES
from modules.platform.notifications import jobs as mailing
from modules.platform.notifications import service
from modules.platform.public import notify, use_mail
from schema.work import Outside, Policy
from tests.conftest import Urls
from tests.post import Post
from tests.support import House, Tenant
from tests.worker import queues
from tests.worker.mailing import worker
from tests.worker.test_relay import until
from worker.calls import connect_pool
from worker.consumer import Consumer

pytestmark = pytest.mark.usefixtures("empty", "house")
Q = Queue.EMAIL_NOTIFICATIONS
QUICK = Policy(attempts=4, shortest=0.05, longest=0.1)
DOWN = "equipment.machine_down"
FACTS = {"code": "M-1", "name": "Press", "location": None, "notes": None, "since": "now", "reason": "Jam"}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waits between attempts, without the waiting."""
    monkeypatch.setattr(mailing, "POLICY", QUICK)


@asynccontextmanager
async def consuming(urls: Urls, database: Database) -> AsyncIterator[None]:
    pool = await connect_pool(urls.events)
    handlers = {kind: handler for module in MODULES for kind, handler in module.jobs.items()}
    handlers[mailing.MAIL] = Outside(mailing.send, mailing.POLICY)
    consumer = Consumer(Q, database, pool, handlers, ["jobs.read"])
    task = asyncio.create_task(consumer.run())
    try:
        yield
    finally:
        consumer.stop()
        await asyncio.wait_for(task, 30)
        await pool.close()


async def tell(database: Database, tenant: Tenant, *roles: str) -> None:
    async with database.write(tenant.actor("operator")) as tx:
        await notify(tx, DOWN, FACTS, to=[tenant.users[role] for role in roles])


async def the_job(admin: asyncpg.Connection, tenant: Tenant) -> asyncpg.Record:
    return await admin.fetchrow(
        "select * from app.jobs where organization_id = $1 and kind = $2", tenant.organization_id, mailing.MAIL
    )


def in_state(admin: asyncpg.Connection, tenant: Tenant, status: str) -> Callable[[], Awaitable[bool]]:
    async def reached() -> bool:
        return (await the_job(admin, tenant))["status"] == status

    return reached


async def test_each_is_mailed_once(urls: Urls, database: Database, admin, tenant: Tenant, stranger: Tenant, post: Post):
    await tell(database, tenant, "viewer", "planner")
    await tell(database, stranger, "viewer")
    async with consuming(urls, database):
        await until(lambda: len(post.mails) == 3)
        await until(in_state(admin, tenant, "succeeded"))
    assert sorted(to for _, (to,) in post.envelopes) == sorted(
        [f"viewer@{tenant.code}.example", f"planner@{tenant.code}.example", f"viewer@{stranger.code}.example"]
    )
    for one in (tenant, stranger):
        (mail,) = post.to(f"viewer@{one.code}.example")
        assert mail["From"].addresses[0].display_name == f"Org {one.code}"
        assert mail["Subject"] == "M-1 is down: Jam"
        row = await admin.fetchrow(
            "select j.id from app.jobs j where organization_id = $1 order by id limit 1", one.organization_id
        )
        assert f"<job.{one.organization_id}.{row['id']}@factory.example>" in [m["Message-ID"] for m in post.mails]
    assert len({mail["Message-ID"] for mail in post.mails}) == 3


async def test_refused_for_good_it_is_a_dead_letter_with_the_servers_words(
    urls: Urls, database: Database, admin: asyncpg.Connection, tenant: Tenant, house: House, post: Post
):
    post.at_recipient = lambda _address: "550 5.1.1 There is no such mailbox"
    await tell(database, tenant, "viewer")
    async with consuming(urls, database):
        await until(in_state(admin, tenant, "dead"))
    document = "{ deadLetters { nodes { id kind attempts lastError } } }"
    (letter,) = (await house.data(tenant.actor(), document))["deadLetters"]["nodes"]
    assert (letter["kind"], letter["attempts"]) == ("platform.mail", 1)
    assert letter["lastError"] == "The mail server refused it: 550 5.1.1 There is no such mailbox"
    async with database.read(tenant.actor()) as tx:
        assert await service.unread(tx, tenant.users["admin"]) == 0, "nobody is told of mails: that could be mailed"
    post.at_recipient = lambda _address: None
    retry = f'mutation {{ jobRetry(input: {{id: "{letter["id"]}"}}) {{ errors {{ code }} }} }}'
    assert (await house.data(tenant.actor(), retry))["jobRetry"]["errors"] == []
    async with consuming(urls, database):
        await until(lambda: len(post.mails) == 1)


@pytest.mark.usefixtures("quick")
async def test_delayed_it_is_tried_again_and_delivered_once(
    urls: Urls, database: Database, admin: asyncpg.Connection, tenant: Tenant, post: Post
):
    post.at_data = ["451 4.3.0 Try again", "452 4.2.2 Full"]
    await tell(database, tenant, "viewer")
    async with consuming(urls, database):
        await until(in_state(admin, tenant, "succeeded"))
    assert len(post.mails) == 1
    assert (await the_job(admin, tenant))["attempts"] == 3


@pytest.mark.usefixtures("quick")
async def test_a_server_that_is_away_comes_back(urls: Urls, database: Database, admin, tenant: Tenant, monkeypatch):
    monkeypatch.setattr(mailing, "POLICY", Policy(attempts=500, shortest=0.05, longest=0.1))
    async with Post().open() as gone:
        port = gone.port
    use_mail(gone.server())
    await tell(database, tenant, "viewer")
    async with consuming(urls, database):
        await until(in_state(admin, tenant, "failed"))
        assert (await the_job(admin, tenant))["last_error"].startswith("The mail server could not be used")
        async with gone.open(port):
            await until(in_state(admin, tenant, "succeeded"))
    use_mail(None)
    assert len(gone.mails) == 1


@pytest.mark.usefixtures("quick")
async def test_a_server_that_stays_away_ends_in_a_dead_letter(urls: Urls, database: Database, admin, tenant: Tenant):
    async with Post().open() as gone:
        pass
    use_mail(gone.server())
    await tell(database, tenant, "viewer")
    async with consuming(urls, database):
        await until(in_state(admin, tenant, "dead"))
    use_mail(None)
    assert (await the_job(admin, tenant))["attempts"] == QUICK.attempts


async def test_who_left_or_lost_the_plant_meanwhile_gets_no_mail(
    urls: Urls, database: Database, admin: asyncpg.Connection, tenant: Tenant, post: Post
):
    async with database.write(tenant.actor("operator")) as tx:
        users = [tenant.users[role] for role in ("viewer", "planner", "supervisor")]
        await notify(tx, DOWN, FACTS, to=users, plant_id=tenant.plants[0])
    await admin.execute("update app.users set archived_at = now() where id = $1", tenant.users["viewer"])
    await admin.execute("update app.users set all_plants = false where id = $1", tenant.users["planner"])
    async with consuming(urls, database):
        await until(lambda: _none_left(admin))
    assert [to for _, (to,) in post.envelopes] == [f"supervisor@{tenant.code}.example"]


async def _none_left(admin: asyncpg.Connection) -> bool:
    return await admin.fetchval("select count(*) from pgmq.q_email_notifications") == 0


async def test_killed_between_the_servers_yes_and_the_acknowledgement_it_is_the_same_mail_again(
    urls: Urls, database: Database, admin: asyncpg.Connection, tenant: Tenant, post: Post
):
    await tell(database, tenant, "viewer")
    whose = f"viewer@{tenant.code}.example"  # the worker also sends what other tests left behind
    async with worker(urls, post.server()) as process:
        post.taken = lambda: os.kill(process.pid, signal.SIGKILL) if post.to(whose) else None
        assert await asyncio.to_thread(process.wait, 30) == -signal.SIGKILL
    post.taken = lambda: None
    assert len(post.to(whose)) == 1
    assert (await the_job(admin, tenant))["status"] == "running"
    await admin.execute(
        "update pgmq.q_email_notifications set vt = clock_timestamp()"
    )  # what the dead held is free in time
    async with worker(urls, post.server()):
        await until(in_state(admin, tenant, "succeeded"), 30)
    first, second = post.to(whose)
    assert (first["Message-ID"], first["Date"]) == (second["Message-ID"], second["Date"])


async def test_administrators_are_told_of_a_dead_letter_once(
    urls: Urls, database: Database, admin: asyncpg.Connection, tenant: Tenant, house: House, post: Post
):
    async with database.write(tenant.actor("operator")) as tx:
        for _ in range(3):
            await enqueue(tx, Queue.BACKGROUND_JOBS, "test.hopeless", {})
    async with queues.consuming(urls, database):
        await until(lambda: _all_dead(admin, tenant))
        await until(lambda: _told(admin, tenant))
    document = "{ notifications { nodes { kind title body entityType } } }"
    (node,) = (await house.data(tenant.actor(), document))["notifications"]["nodes"]
    assert (node["kind"], node["title"], node["entityType"]) == (
        "platform.job_dead", "Work was given up: test.hopeless", "Job",
    )  # fmt: skip
    assert "The receiver is gone for good" in node["body"]
    assert (await house.data(tenant.actor("viewer"), document))["notifications"]["nodes"] == []


async def _all_dead(admin: asyncpg.Connection, tenant: Tenant) -> bool:
    return (
        await admin.fetchval(
            "select count(*) from app.jobs where organization_id = $1 and status = 'dead'", tenant.organization_id
        )
        == 3
    )


async def _told(admin: asyncpg.Connection, tenant: Tenant) -> bool:
    return await admin.fetchval(
        "select exists(select from app.notifications where organization_id = $1)", tenant.organization_id
    )

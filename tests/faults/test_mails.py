"""Mail while everything breaks: of every notification that was committed there is a mail, and no second one that is another."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter, defaultdict
from contextlib import AsyncExitStack, suppress

import asyncpg

from db.session import Database
from modules.platform.public import notify, use_mail
from tests.conftest import Urls
from tests.faults.conftest import Killable
from tests.post import HOST, SENDER, Post
from tests.support import Tenant

SECONDS = float(os.environ.get("CHAOS_SECONDS", "6"))
FAULTS = ("away", "later", "killed at a mail")
TOLD = {"name": "Press", "location": None, "notes": None, "since": "now", "reason": "Jam"}


class Flaky:
    """A mail server that is away from time to time, and in a bad mood at others."""

    def __init__(self) -> None:
        self.post = Post()
        self._port = 0
        self._open = AsyncExitStack()

    async def up(self) -> None:
        await self._open.enter_async_context(self.post.open(self._port))
        self._port = self.post.port

    async def down(self) -> None:
        await self._open.aclose()
        self._open = AsyncExitStack()


async def hurry(admin: asyncpg.Connection) -> None:
    """What waits for its next attempt, or for a killed worker's time to be over, is due."""
    await admin.execute("update pgmq.q_email_notifications set vt = clock_timestamp() where vt > clock_timestamp()")


async def write(
    database: Database, tenant: Tenant, broken: asyncio.Event, committed: list[str], lost: Counter[str]
) -> None:
    number = 0
    while not broken.is_set():
        number += 1
        code = f"M{number}"
        try:
            async with database.write(tenant.actor("operator")) as tx:
                users = [tenant.users["supervisor"]]
                assert await notify(tx, "equipment.machine_down", {**TOLD, "code": code}, to=users) == 1
                if random.random() < 0.2:
                    raise ArithmeticError
            committed.append(code)
        except ArithmeticError:
            lost["rolled back"] += 1
        await asyncio.sleep(0.02)


async def break_things(server: Flaky, worker: Killable, broken: asyncio.Event, faults: Counter[str]) -> None:
    """For as long as was asked, and everything at least once."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until or len(faults) < len(FAULTS):
        await asyncio.sleep(random.uniform(0.5, 1.0))
        what = FAULTS[sum(faults.values()) % len(FAULTS)]
        faults[what] += 1
        if what == "away":
            await server.down()
            await asyncio.sleep(0.5)
            await server.up()
        elif what == "later":
            server.post.at_data = ["451 4.3.0 Later"] * 3
        else:
            taken = asyncio.Event()
            server.post.taken = taken.set  # in the middle of handing one over
            with suppress(TimeoutError):  # what there is waits for its next attempt
                await asyncio.wait_for(taken.wait(), 5)
            await worker.kill()
            server.post.taken = lambda: None
            await worker.start()
    broken.set()


async def test_every_mail_at_least_once_and_always_the_same(broken: Urls, victim: Tenant) -> None:
    server, faults, lost = Flaky(), Counter[str](), Counter[str]()
    committed: list[str] = []
    await server.up()
    worker = Killable(
        broken, "worker", SMTP_HOST=HOST, SMTP_PORT=str(server.post.port), SMTP_TLS="none", SMTP_FROM=SENDER,
    )  # fmt: skip
    use_mail(server.post.server())
    database = Database.connect(broken.app)
    admin = await asyncpg.connect(broken.admin)
    await worker.start()
    try:
        broken_enough = asyncio.Event()
        await asyncio.gather(
            write(database, victim, broken_enough, committed, lost),
            break_things(server, worker, broken_enough, faults),
        )
        server.post.at_data = []
        async with asyncio.timeout(60 + SECONDS):
            while await admin.fetchval("select count(*) from pgmq.q_email_notifications"):
                await hurry(admin)
                await asyncio.sleep(2)
    finally:
        use_mail(None)
        await worker.stop()
        await server.down()
        await database.close()
    mails: defaultdict[str, list[str]] = defaultdict(list)
    for mail in server.post.to(f"supervisor@{victim.code}.example"):
        mails[str(mail["Subject"]).partition(" ")[0]].append(str(mail["Message-ID"]))
    twice = sum(len(ids) > 1 for ids in mails.values())
    states = await admin.fetch(
        "select status, count(*) as n from app.jobs where organization_id = $1 and kind = 'platform.mail' group by 1",
        victim.organization_id,
    )
    await admin.close()
    print(
        f"\n{SECONDS:g} s: {len(committed)} told, {dict(lost)}; faults {dict(faults)}; {len(mails)} mails, {twice} of them"
        " more than once"
    )
    assert set(mails) == set(committed), "a mail for every one that was committed, and for no other"
    assert all(len(set(ids)) == 1 for ids in mails.values()), "a second copy is the same mail"
    assert [(row["status"], row["n"]) for row in states] == [("succeeded", len(committed))]

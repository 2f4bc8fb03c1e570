"""Mails for a new password: sent by the worker, once each, with a token that is nowhere else."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from db.session import Database
from modules.identity.sessions import resets
from modules.identity.sessions.tokens import RESET_PREFIX
from tests.conftest import Urls
from tests.post import Post
from tests.support import Tenant
from tests.worker.mailing import worker
from tests.worker.test_relay import until
from worker.mails import ATTEMPTS, keep_mailing, send_one

pytestmark = pytest.mark.usefixtures("nothing_asked")


async def ask(database: Database, tenant: Tenant, role: str = "viewer") -> None:
    async with database.anonymous() as tx:
        email = f"{role}@{tenant.code}.example"
        await resets.request(tx, organization=tenant.code, email=email, now=datetime.now(UTC))


def token_in(mail: Any) -> str:
    text = mail.get_body(("plain",)).get_content()
    return next(line for line in text.split() if line.startswith(RESET_PREFIX))


@pytest.fixture
async def nothing_asked(admin: asyncpg.Connection) -> None:
    await admin.execute("truncate auth.password_resets")


async def everything(admin: asyncpg.Connection) -> str:
    """Every row of every table, as text."""
    tables = await admin.fetch(
        "select c.oid::regclass::text from pg_class c where c.relkind = 'r'"
        " and c.relnamespace::regnamespace::text in ('app', 'auth', 'ev', 'tsdata', 'pgmq', 'meta')"
    )
    return "\n".join(
        [await admin.fetchval(f"select coalesce(string_agg(t::text, chr(10)), '') from {row[0]} t") for row in tables]
    )


async def test_a_new_password_by_mail_and_the_token_nowhere_else(
    urls: Urls, database: Database, admin: asyncpg.Connection, tenant: Tenant, post: Post
):
    await ask(database, tenant)
    async with worker(urls, post.server()) as process:
        await until(lambda: len(post.mails) == 1, 30)
        await until(lambda: _asked(admin, "sent_at is not null and token_hash is not null"))
        process.terminate()
        out, err = await asyncio.to_thread(process.communicate)
    (mail,) = post.to(f"viewer@{tenant.code}.example")
    token = token_in(mail)
    assert mail["From"].addresses[0].display_name == f"Org {tenant.code}"
    kept = await everything(admin)
    assert tenant.code in kept
    assert token not in kept + out.decode() + err.decode()
    async with database.anonymous() as tx:
        assert await resets.use(tx, token=token, new="a new long password", now=datetime.now(UTC)) is None


async def _asked(admin: asyncpg.Connection, condition: str) -> bool:
    return await admin.fetchval(f"select exists(select from auth.password_resets where {condition})")


async def test_a_mail_that_waits_holds_up_no_other(database: Database, admin, tenant: Tenant, post: Post):
    post.at_recipient = lambda address: "451 4.7.1 Later" if address.startswith("viewer@") else None
    await ask(database, tenant, "viewer")
    await ask(database, tenant, "planner")
    with capture_logs() as logged:
        assert [await send_one(database, post.server()) for _ in range(3)] == [True, True, False]
    assert [to for _, (to,) in post.envelopes] == [f"planner@{tenant.code}.example"]
    assert await _asked(admin, "attempts = 1 and next_attempt_at > now() and sent_at is null and token_hash is null")
    assert [line["reason"] for line in logged] == ["The mail server did not take it: 451 4.7.1 Later"]
    assert RESET_PREFIX not in str(logged)
    post.at_recipient = lambda _address: None
    await admin.execute("update auth.password_resets set next_attempt_at = now()")
    assert [await send_one(database, post.server()) for _ in range(2)] == [True, False]
    assert len(post.to(f"viewer@{tenant.code}.example")) == 1


async def test_a_mail_is_given_up_when_refused_or_tried_too_often(
    database: Database, admin, tenant: Tenant, post: Post
):
    post.at_recipient = lambda address: "550 5.1.1 No" if address.startswith("viewer@") else "451 4.7.1 Later"
    await ask(database, tenant, "viewer")
    assert [await send_one(database, post.server()) for _ in range(2)] == [True, False]
    assert await _asked(admin, "sent_at is not null and token_hash is null and attempts = 1")
    await ask(database, tenant, "planner")
    for _ in range(ATTEMPTS):
        assert await send_one(database, post.server())
        await admin.execute("update auth.password_resets set next_attempt_at = now()")
    assert not await send_one(database, post.server())
    assert not await _asked(admin, "sent_at is null")
    assert post.mails == []


async def test_two_mailers_send_each_mail_once_and_old_requests_are_left(database: Database, admin, tenant, post: Post):
    roles = ["admin", "viewer", "planner", "supervisor", "operator", "warehouse"]
    for role in roles:
        await ask(database, tenant, role)
    await admin.execute(
        "update auth.password_resets set requested_at = now() - interval '25 hours' where user_id = $1",
        tenant.users["admin"],
    )
    mailers = [asyncio.create_task(keep_mailing(database, post.server(), every=0.05)) for _ in range(2)]
    await until(lambda: len(post.mails) >= 5)
    await asyncio.sleep(0.3)
    for mailer in mailers:
        mailer.cancel()
    await asyncio.gather(*mailers, return_exceptions=True)
    assert sorted(to for _, (to,) in post.envelopes) == sorted(f"{role}@{tenant.code}.example" for role in roles[1:])

"""Queues are one per server: each test starts with them empty."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from db.queue import Queue
from modules.platform.public import use_mail
from tests.post import Post
from tests.worker.queues import EFFECTS


@pytest.fixture
async def empty(admin: asyncpg.Connection) -> AsyncIterator[None]:
    await admin.execute(EFFECTS)
    for queue in Queue:
        await admin.execute(f"truncate pgmq.q_{queue}, pgmq.q_{queue}_dlq, pgmq.a_{queue}")
    yield
    await admin.execute("drop table app.test_effects")


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    async with Post().open() as post:
        use_mail(post.server())
        yield post
        use_mail(None)

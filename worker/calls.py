"""The functions of schema ev the consumers call: they reach every organization's messages, and no row of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from worker.messages import Message


async def connect_pool(url: str, size: int = 4) -> asyncpg.Pool[Any]:
    return await asyncpg.create_pool(
        url, min_size=0, max_size=size, command_timeout=30, timeout=10,
        server_settings={
            "application_name": "unison worker", "jit": "off",
            "synchronous_commit": "off",  # a crash of the server that undoes these calls brings messages back, no more
        },
    )  # fmt: skip


class Calls:
    def __init__(self, pool: asyncpg.Pool[Any], queue: str) -> None:
        self._pool = pool
        self._queue = queue

    async def take(
        self, *, seconds: int, organizations: int, size: int, together: list[str], after: str, skip: list[str]
    ) -> list[Any]:
        rows: list[Any] = await self._pool.fetch(
            "select * from ev.take_jobs($1, $2, $3, $4, $5, $6, $7)",
            self._queue, seconds, organizations, size, together, after, skip,
        )  # fmt: skip
        return rows

    async def hold(self, messages: Sequence[Message], seconds: int) -> set[int]:
        return set(
            await self._pool.fetchval(
                "select ev.hold_jobs($1, $2, $3, $4)", self._queue, _ids(messages), _reads(messages), seconds
            )
        )

    async def release(self, messages: Sequence[Message]) -> None:
        await self._pool.execute("select ev.release_jobs($1, $2, $3)", self._queue, _ids(messages), _reads(messages))

    async def started(self, message: Message) -> None:
        await self._pool.execute("select ev.job_started($1, $2, $3)", message.org, message.job.id, message.read)

    async def failed(self, id: int, read: int, error: str, delay: float | None) -> bool:
        """A delay of None buries the message."""
        return bool(
            await self._pool.fetchval("select ev.job_failed($1, $2, $3, $4, $5)", self._queue, id, read, error, delay)
        )


def _ids(messages: Sequence[Message]) -> list[int]:
    return [message.id for message in messages]


def _reads(messages: Sequence[Message]) -> list[int]:
    return [message.read for message in messages]

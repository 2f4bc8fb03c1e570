"""The pool: connections stay open, so that taking one is a list's `pop`."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import asyncpg

Held: TypeAlias = Any
"""An open connection of the driver, for one transaction at a time."""


CONNECT_SECONDS = 5.0
CLOSE_SECONDS = 2.0


class PoolTimeout(Exception):
    """No connection became free in time."""


async def connect(url: str, *, statement_timeout_ms: int) -> Held:
    """The driver reads the URL itself: sslmode and the like are its own."""
    settings = {
        "timezone": "UTC", "jit": "off", "statement_timeout": str(int(statement_timeout_ms)),
        "client_connection_check_interval": "1000",  # a process that is killed leaves no statement running
    }  # fmt: skip
    async with asyncio.timeout(CONNECT_SECONDS):
        connection = await asyncpg.connect(
            url, server_settings=settings, statement_cache_size=200, max_cached_statement_lifetime=0
        )
        try:
            for name in ("json", "jsonb"):  # values go in as text that is JSON already, and come out as Python's
                await connection.set_type_codec(name, schema="pg_catalog", encoder=str, decoder=json.loads)
        except BaseException:
            connection.terminate()
            raise
    return connection


class Connections:
    """At most `size` of them. Who finds none waits for its turn, not longer than `timeout` seconds."""

    def __init__(self, connect: Callable[[], Awaitable[Held]], *, size: int, timeout: float) -> None:
        self.connect = connect
        self._size = size
        self._timeout = timeout
        self._made = 0
        self._free: list[Held] = []
        self._waiting: deque[asyncio.Future[Held | None]] = deque()
        self._closed = False

    @property
    def taken(self) -> int:
        return self._made - len(self._free)

    @property
    def idle(self) -> int:
        return len(self._free)

    async def take(self) -> Held:
        if self._closed:
            raise PoolTimeout("the pool is closed")
        if self._free:
            return self._free.pop()
        if self._made < self._size:
            return await self._make()
        turn: asyncio.Future[Held | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._timeout):
                held = await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._pass_on(turn.result())
            else:
                turn.cancel()
            if isinstance(error, TimeoutError):
                raise PoolTimeout(f"no connection of {self._size} was free for {self._timeout:g} seconds") from None
            raise
        return held or await self._make(counted=True)

    def give(self, held: Held) -> None:
        self._pass_on(held)

    def drop(self, held: Held) -> None:
        """Throw a connection away, so that nothing of its transaction outlives it."""
        held.terminate()
        self._pass_on(None)

    async def replaced(self, held: Held) -> Held:
        """A new connection in the place of one that has died."""
        held.terminate()
        return await self._make(counted=True)

    async def close(self) -> None:
        """Close what is free now, and the rest when it comes back."""
        self._closed = True
        free, self._free = self._free, []
        self._made -= len(free)
        for held in free:
            try:
                await held.close(timeout=CLOSE_SECONDS)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                held.terminate()

    def _pass_on(self, held: Held | None) -> None:
        """A connection, or the place of one, to who waits longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(held)
                return
        if held is None:
            self._made -= 1
        elif self._closed:
            self._made -= 1
            held.terminate()
        else:
            self._free.append(held)

    async def _make(self, *, counted: bool = False) -> Held:
        self._made += not counted
        try:
            return await self.connect()
        except BaseException:
            self._pass_on(None)
            raise

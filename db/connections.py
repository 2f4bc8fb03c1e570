"""The pool: connections stay open with what SQLAlchemy keeps around them, so that taking one is a list's `pop`.

SQLAlchemy's own asynchronous pool goes through a greenlet at every turn, which costs more than a small statement does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession


class Held:
    """An open connection, for one transaction at a time."""

    __slots__ = ("_session", "connection", "driver")

    def __init__(self, connection: AsyncConnection, driver: Any) -> None:
        self.connection = connection
        self.driver = driver
        """asyncpg's connection."""
        self._session: AsyncSession | None = None

    @property
    def session(self) -> AsyncSession:
        """Made when a transaction first asks for it: many never do."""
        if self._session is None:
            self._session = AsyncSession(self.connection, expire_on_commit=False)
        return self._session

    async def flush(self) -> None:
        if self._session is not None:
            await self._session.flush()

    async def close_session(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()


class Connections:
    """At most `size` of them. Who finds none waits for its turn, not longer than `timeout` seconds."""

    def __init__(self, engine: AsyncEngine, *, size: int, timeout: float) -> None:
        self._engine = engine
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

    async def drop(self, held: Held) -> None:
        """Throw a connection away, so that nothing of its transaction outlives it."""
        held._session = None
        self._pass_on(None)
        await held.connection.invalidate()
        await held.connection.close()

    async def replaced(self, held: Held) -> Held:
        """A new connection in the place of one that has died."""
        try:
            await held.connection.invalidate()
            await held.connection.close()
        except BaseException:
            self._pass_on(None)
            raise
        return await self._make(counted=True)

    async def close(self) -> None:
        """Close what is free now, and the rest when it comes back."""
        self._closed = True
        free, self._free = self._free, []
        self._made -= len(free)
        for held in free:
            await held.connection.close()
        await self._engine.dispose()

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
            held.driver.terminate()
        else:
            self._free.append(held)

    async def _make(self, *, counted: bool = False) -> Held:
        self._made += not counted
        try:
            connection = await self._engine.connect()
            driver = (await connection.get_raw_connection()).driver_connection
        except BaseException:
            self._pass_on(None)
            raise
        return Held(connection, driver)

"""The relay of the event log: one process at a time gives committed events their position and wakes the readers."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from typing import Any

import asyncpg

from api import metrics
from api.logs import log

BATCH = 500
POLL_SECONDS = 0.05  # what a lost wake-up costs at most
BUSY_POLL_SECONDS = 0.02
BUSY_FOR_SECONDS = 1.0
"""Where something has just happened, more is likely to: it is looked more often for so long after the latest event."""
STANDBY_SECONDS = 1.0  # how soon another process notices that the leader is gone
SHORTEST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
STATEMENT_SECONDS = 30
LEADER = 0x72656C6179  # key of the advisory lock
POKE = "ev_poke"

# InternalClientError: what the driver makes of a server that stops between two messages
LOST = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)

logger = log("worker.relay")


class Relay:
    """Runs until it is stopped, through restarts of the server, on a connection of its own: an advisory lock and LISTEN
    both belong to one connection and do not pass a pooler."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._poked = asyncio.Event()
        self._stopping = asyncio.Event()
        self.leading = asyncio.Event()

    def stop(self) -> None:
        """End after the batch at hand."""
        self._stopping.set()
        self._poked.set()

    async def run(self) -> None:
        pause = SHORTEST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                await self._session()
            except LOST as error:
                if time.monotonic() - began > LONGEST_PAUSE:
                    pause = SHORTEST_PAUSE
                logger.warning("relay interrupted", error=str(error) or type(error).__name__, again_in_seconds=pause)
                await self._sleep(pause * random.uniform(0.5, 1.5))
                pause = min(pause * 2, LONGEST_PAUSE)
            finally:
                self.leading.clear()

    async def _session(self) -> None:
        """One connection's life: wait to lead, then move batches."""
        connection: asyncpg.Connection[Any] = await asyncpg.connect(
            self._url,
            timeout=10,
            command_timeout=STATEMENT_SECONDS,
            server_settings={"application_name": "unison relay"},
        )
        try:
            while not await connection.fetchval("select pg_try_advisory_lock($1)", LEADER):
                await self._sleep(STANDBY_SECONDS)
                if self._stopping.is_set():
                    return
            await connection.add_listener(POKE, lambda *_: self._poked.set())
            logger.info("relay leads")
            self.leading.set()
            latest = 0.0
            while not self._stopping.is_set():
                self._poked.clear()
                moved = await connection.fetchval("select ev.relay($1)", BATCH)
                metrics.relayed.inc(moved)
                if moved:  # look again at once: more may have come meanwhile
                    latest = time.monotonic()
                    continue
                busy = time.monotonic() - latest < BUSY_FOR_SECONDS
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._poked.wait(), BUSY_POLL_SECONDS if busy else POLL_SECONDS)
        finally:
            await _close(connection)

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


async def _close(connection: asyncpg.Connection[Any]) -> None:
    try:
        await connection.close(timeout=2)
    except LOST:
        connection.terminate()

"""Consumers: each takes messages of one queue, organizations in turn, runs them, and gives back what it cannot finish."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import asyncpg

from api import metrics
from api.logs import log
from db.connections import PoolTimeout
from db.session import Database
from schema.work import Handler
from worker.calls import Calls
from worker.messages import Message, Poison, decoded
from worker.runs import Runner

SLOTS = 4  # units of work of one queue that run at once
BATCH = 500  # jobs of one organization taken at once
HOLD_SECONDS = 30  # how long a killed worker keeps its messages from the others
IDLE_SECONDS = 0.25
PAUSE_SECONDS = 2.0

LOST = (
    asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, PoolTimeout, OSError, TimeoutError,
)  # fmt: skip

logger = log("worker.consumer")


class Consumer:
    """Runs until it is stopped; what runs then is finished, what only waits is given back."""

    def __init__(self, queue: str, database: Database, pool: asyncpg.Pool[Any], handlers: Mapping[str, Handler],
                 permissions: Sequence[str] = (), *, slots: int = SLOTS, hold_seconds: int = HOLD_SECONDS) -> None:  # fmt: skip
        self.queue = queue
        self._calls = Calls(pool, queue)
        self._runner = Runner(queue, database, self._calls, handlers, permissions)
        self._slots = asyncio.Semaphore(slots)
        self._most = slots
        self._hold_seconds = hold_seconds
        self._share = max(slots // 2, 1)  # of the slots, for one organization: the next one to come finds one free
        self._stopping = asyncio.Event()
        self._freed = asyncio.Event()
        self._units: dict[asyncio.Task[None], int] = {}
        self._held: dict[int, tuple[Message, asyncio.Task[None]]] = {}
        self._after = ""

    def stop(self) -> None:
        self._stopping.set()
        self._freed.set()

    async def run(self) -> None:
        beat = asyncio.create_task(self._beat())
        try:
            while not self._stopping.is_set():
                self._freed.clear()
                try:
                    if not await self._round():  # an organization at its share has more as soon as a slot is free
                        await self._wait(self._freed, IDLE_SECONDS)
                except LOST as error:
                    logger.warning("queue interrupted", queue=self.queue, error=type(error).__name__)
                    await self._wait(self._stopping, PAUSE_SECONDS)
            if self._units:
                await asyncio.wait(list(self._units))
        finally:
            for unit in self._units:
                unit.cancel()
            beat.cancel()
            await asyncio.gather(beat, *self._units, return_exceptions=True)

    async def _round(self) -> bool:
        """Take for the free slots; false where there was nothing."""
        free = self._most - len(self._units)
        if free <= 0:
            self._freed.clear()
            await self._wait(self._freed, 1.0)
            return True
        busy = Counter(self._units.values())
        rows = await self._calls.take(
            seconds=self._hold_seconds, organizations=free, size=BATCH, together=self._runner.together(),
            after=self._after, skip=[str(org) for org, units in busy.items() if units >= self._share],
        )  # fmt: skip
        if rows:
            orgs = {row["org"] for row in rows}
            self._after = max((org for org in orgs if org <= self._after), default=max(orgs))
        taken: dict[tuple[int, bool], list[Message]] = {}
        for row in sorted(rows, key=lambda row: row["msg_id"]):
            try:
                message = decoded(row)
            except Poison as poison:
                metrics.jobs.labels(self.queue, "dead").inc()
                await self._calls.failed(row["msg_id"], row["read_ct"], str(poison), None)
                continue
            together = message.read == 1 and message.job.kind in self._runner.together()
            taken.setdefault((message.org, together), []).append(message)
        for (org, together), messages in taken.items():
            self._begin(org, messages, together=together)
        return bool(rows)

    def _begin(self, org: int, messages: list[Message], *, together: bool) -> None:
        unit = asyncio.create_task(self._unit(messages, together=together))
        self._units[unit] = org
        for message in messages:
            self._held[message.id] = (message, unit)
        unit.add_done_callback(self._ended)

    def _ended(self, unit: asyncio.Task[None]) -> None:
        self._units.pop(unit, None)
        self._held = {id: held for id, held in self._held.items() if held[1] is not unit}
        self._freed.set()
        if not unit.cancelled() and (error := unit.exception()) is not None:
            logger.error("work interrupted", queue=self.queue, exc_info=error)

    async def _unit(self, messages: list[Message], *, together: bool) -> None:
        async with self._slots:
            if not together:
                await self._each(messages)
                return
            while messages:
                if self._stopping.is_set():
                    await self._calls.release(messages)
                    return
                try:
                    rest = await self._runner.group(messages)
                except Exception:  # one of them failed: alone, each meets its own fate
                    await self._each(messages)
                    return
                for message in messages[: len(messages) - len(rest)]:
                    self._held.pop(message.id, None)
                messages = rest

    async def _each(self, messages: list[Message]) -> None:
        for n, message in enumerate(messages):
            if self._stopping.is_set():
                await self._calls.release(messages[n:])
                return
            await self._alone(message)

    async def _alone(self, message: Message) -> None:
        try:
            await self._runner.alone(message)
        except LOST as error:  # the failure itself could not be kept: the message comes back when its time is over
            logger.warning("a job was interrupted", queue=self.queue, job=message.job.id, error=type(error).__name__)
        self._held.pop(message.id, None)

    async def _beat(self) -> None:
        """Hold what runs for longer; a job that is no longer ours is stopped."""
        while True:
            await asyncio.sleep(self._hold_seconds / 3)
            held = dict(self._held)
            if not held:
                continue
            try:
                kept = await self._calls.hold([message for message, _ in held.values()], self._hold_seconds)
            except LOST as error:
                logger.warning("heartbeat failed", queue=self.queue, error=type(error).__name__)
                continue
            for id, (message, unit) in held.items():
                if id not in kept and id in self._held and len(self._of(unit)) == 1:
                    logger.warning("a job is no longer ours", queue=self.queue, job=message.job.id)
                    unit.cancel()

    def _of(self, unit: asyncio.Task[None]) -> list[int]:
        return [id for id, held in self._held.items() if held[1] is unit]

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), seconds)

"""Webhooks in the worker: events become deliveries, and deliveries become requests."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import asyncpg
from graphql import GraphQLSchema

from api import metrics
from api.logs import log
from db.actor import Actor
from db.connections import PoolTimeout
from db.session import Database
from modules.platform.public import webhook_deliveries, webhook_rules, webhook_sending
from schema.work import Handler, Outside, Policy, Postpone, Work
from worker.outbound import Outbound

SLOTS = 32
"""Deliveries at once, half of them of one organization: most of their time they wait for somebody else's server."""
EACH = 4
"""Requests to one endpoint at once; one while it fails."""
TURN_SECONDS = 1.0
PARKED_SECONDS = (5.0, 15.0)
POLICY = Policy(attempts=100_000, shortest=5.0, longest=600.0, seconds=60.0)
"""A delivery counts its attempts itself; a job also comes back because others of its endpoint were at it."""

POLL_SECONDS = 1.0
LEAST_SECONDS = 0.05
PAUSE_SECONDS = (0.5, 5.0)
MOST_DUE = 10_000
TOGETHER = 4
WAKE = "ev"

Moved = webhook_deliveries.Moved
LOST = (
    asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, PoolTimeout, OSError, TimeoutError,
)  # fmt: skip

logger = log("worker.webhooks")


class Dispatcher:
    """Runs until it is stopped. Every worker has one: a row lock decides who moves an endpoint on."""

    def __init__(self, url: str, database: Database) -> None:
        self._url = url
        self._database = database
        self._stopping = asyncio.Event()
        self._woken = asyncio.Event()
        self._full: dict[int, float] = {}
        """Endpoints with too much open, and when to look again: not at every event of the house."""

    def stop(self) -> None:
        self._stopping.set()
        self._woken.set()

    async def run(self) -> None:
        pause, longest = PAUSE_SECONDS
        while not self._stopping.is_set():
            try:
                await self._session()
                pause = PAUSE_SECONDS[0]
            except LOST as error:
                logger.warning("webhooks interrupted", error=type(error).__name__, again_in_seconds=pause)
                await _wait(self._stopping, pause * random.uniform(0.5, 1.5))
                pause = min(pause * 2, longest)

    async def _session(self) -> None:
        connection: asyncpg.Connection[Any] = await asyncpg.connect(
            self._url, timeout=10, command_timeout=60, server_settings={"application_name": "unison webhooks"}
        )
        try:
            await connection.add_listener(WAKE, lambda *_: self._woken.set())
            while not self._stopping.is_set():
                self._woken.clear()
                if not await self.round(connection):
                    await _wait(self._woken, POLL_SECONDS)
                    await _wait(self._stopping, LEAST_SECONDS)
        finally:
            try:
                await connection.close(timeout=2)
            except LOST:
                connection.terminate()

    async def round(self, connection: asyncpg.Connection[Any]) -> bool:
        """Move every endpoint on that has something to be told; true where there may be more right away."""
        due = await connection.fetch("select * from ev.webhooks_due($1)", MOST_DUE)
        began, turns = time.monotonic(), asyncio.Semaphore(TOGETHER)
        self._full = {endpoint: until for endpoint, until in self._full.items() if until > began}

        async def moved(org: int, endpoint: int) -> bool:
            async with turns:
                try:
                    async with self._database.write(_organization(org)) as tx:
                        how = await webhook_deliveries.advance(tx, endpoint, now=datetime.now(UTC))
                except LOST as error:
                    logger.warning("an endpoint was not moved on", endpoint=endpoint, error=type(error).__name__)
                    return False
            if how is Moved.NOTHING:
                self._full[endpoint] = began + POLL_SECONDS
            return how is Moved.SOME

        wanted = [row for row in due if row["id"] not in self._full]
        return any(await asyncio.gather(*(moved(row["organization_id"], row["id"]) for row in wanted)))


class Deliverer:
    """The handler of the queue `webhooks`."""

    def __init__(
        self, schema: GraphQLSchema, outbound: Outbound, *, delays: tuple[float, ...] = webhook_rules.DELAYS
    ) -> None:
        self._schema = schema
        self._outbound = outbound
        self._delays = delays
        self._busy: Counter[int] = Counter()
        self._waiting: Counter[int] = Counter()
        self._freed = asyncio.Condition()

    @property
    def handlers(self) -> Mapping[str, Handler]:
        return {webhook_deliveries.KIND: Outside(self.deliver, POLICY)}

    async def deliver(self, work: Work) -> None:
        """Send the oldest open delivery of a key. Killed in between, it is sent again under the same id."""
        endpoint, key = int(work.job.payload["endpoint"]), str(work.job.payload["key"])
        async with work.write() as tx:
            sending = await webhook_sending.next_open(tx, endpoint, key, now=datetime.now(UTC))
        if sending is None:
            return
        async with self._turn(endpoint, failing=sending.failing):
            outcome = await self._sent(work, sending)
        async with work.write() as tx:
            if outcome is None:
                await webhook_sending.skip(tx, sending.delivery, now=datetime.now(UTC))
                return
            again = await webhook_sending.keep(
                tx, sending.delivery, outcome, now=datetime.now(UTC), jitter=random.random(), delays=self._delays
            )
        metrics.webhook_attempts.labels("good" if outcome.good else "failed").inc()
        if again is not None:
            raise Postpone(outcome.error or "", again)

    async def _sent(self, work: Work, sending: webhook_sending.Sending) -> webhook_sending.Outcome | None:
        try:
            body = await webhook_sending.body_of(sending, self._schema, work.database)
        except Exception as error:
            logger.error("the payload of a delivery failed", delivery=sending.delivery.id, exc_info=error)
            return webhook_sending.Outcome(0, error="Its payload could not be made; the log has the reason", ours=True)
        if body is None:
            return None
        id, timestamp = sending.delivery.message_id, int(datetime.now(UTC).timestamp())
        headers = {
            "content-type": "application/json",
            "user-agent": "Unison-Webhooks/1",
            "webhook-id": id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": webhook_rules.signatures(sending.secrets, id, timestamp, body),
        }
        return await self._outbound.post(sending.url, headers, body)

    @asynccontextmanager
    async def _turn(self, endpoint: int, *, failing: bool) -> AsyncIterator[None]:
        """Some at an endpoint at once, some in line for a moment; the others come back later, so that one slow endpoint
        does not hold the slots of all."""
        most = 1 if failing else EACH
        async with self._freed:
            if self._busy[endpoint] >= most:
                await self._stand_in_line(endpoint, most, failing)
            self._busy[endpoint] += 1
        try:
            yield
        finally:
            async with self._freed:
                self._busy[endpoint] -= 1
                self._freed.notify_all()

    async def _stand_in_line(self, endpoint: int, most: int, failing: bool) -> None:
        parked = Postpone("Others for this endpoint come first", random.uniform(*PARKED_SECONDS))
        if failing or self._waiting[endpoint] >= EACH:
            raise parked
        self._waiting[endpoint] += 1
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self._freed.wait_for(lambda: self._busy[endpoint] < most)
        except TimeoutError:
            raise parked from None
        finally:
            self._waiting[endpoint] -= 1


def _organization(org: int) -> Actor:
    """Nobody in particular, everywhere in an organization; what an endpoint may be told is asked of its key."""
    return Actor(org, readable=None, writable=None, deletable=None)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)

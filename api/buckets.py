"""Token buckets: what one caller may spend. The bucket is a row in PostgreSQL that all processes share; a process takes
part of it at a time and spends that without asking again.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

import structlog

from api.client_ip import counted
from api.throttle import make_room
from db.actor import Actor

log = structlog.stdlib.get_logger("api.buckets")

PART = 0.05
"""A process takes this part of a bucket at a time; so much of it may lie unused in each process."""
TOLD_SECONDS = 10.0
"""After this a bucket in use is asked again although enough is left, whatever becomes of the request: its settings may have
changed."""
STALE_SECONDS = 60.0
"""After this it is asked before the request is judged: nobody knows any more what holds."""
DRY_SECONDS = 0.05
"""An empty bucket is asked no more often."""
ANONYMOUS_PART = 0.1
"""Of the server's values, for everybody who comes from one address and has not signed in."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one caller may spend."""

    operation_cost: int
    """On one operation."""
    bucket: int
    """At once."""
    restore_per_second: int

    @property
    def limit(self) -> int:
        return min(self.operation_cost, self.bucket)


class Limited(Exception):
    """The bucket is empty."""

    def __init__(self, seconds: int) -> None:
        super().__init__()
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Lease:
    """What was taken from the shared bucket, and what was left in it."""

    allowance: Allowance
    granted: float
    left: float


class Lender(Protocol):
    async def lease(self, organization_id: int, principal: str, part: float, least: float) -> Lease:
        """Take `part` of the bucket, `least` at the least, as far as there is so much."""
        ...


class Purse:
    """What this process holds of one caller's bucket, and what it last knew of the rest."""

    __slots__ = ("actor", "allowance", "asked", "asking", "shared", "tokens")

    def __init__(self, actor: Actor | None, allowance: Allowance) -> None:
        self.actor = actor
        """Whose row it is; None where there is no row, because nobody has signed in."""
        self.allowance = allowance
        self.tokens = 0.0
        self.shared = 0.0
        self.asked = -math.inf
        self.asking: asyncio.Task[None] | None = None

    def available(self, now: float) -> float:
        """What the caller could spend now, as far as is known here."""
        known = self.tokens + self.shared + self.allowance.restore_per_second * (now - self.asked)
        return min(float(self.allowance.bucket), known)

    def owes(self, now: float) -> bool:
        """Has more been spent than there was, and not come back yet."""
        return self.tokens < 0 if self.actor is not None else self.available(now) < 0

    def shown(self, requested: int) -> dict[str, Any]:
        """`extensions.cost` of an answer."""
        allowance = self.allowance
        return {
            "requested": requested,
            "limit": allowance.limit,
            "bucket": {
                "max": allowance.bucket,
                "available": max(0, int(self.available(monotonic()))),
                "restorePerSecond": allowance.restore_per_second,
            },
        }


class Buckets:
    """The purses of a process. Forgets those it has not seen longest, whose buckets have filled up again, and those who owe
    after all others. Who has not signed in can have as many addresses as they like: they displace each other only."""

    def __init__(
        self, lender: Lender, allowance: Allowance, *, size: int = 10_000, clock: Callable[[], float] = monotonic
    ) -> None:
        self._lender = lender
        self._allowance = allowance
        self._unknown = Allowance(
            allowance.operation_cost,
            max(1, int(allowance.bucket * ANONYMOUS_PART)),
            max(1, int(allowance.restore_per_second * ANONYMOUS_PART)),
        )
        self._size = size
        self._clock = clock
        self._purses: OrderedDict[tuple[int | None, str], Purse] = OrderedDict()
        self._strangers: OrderedDict[tuple[int | None, str], Purse] = OrderedDict()

    async def purse(self, actor: Actor) -> Purse:
        """The caller's purse, with the allowance known, and with it what the organization has set."""
        purses = self._purses if actor.signed_in else self._strangers
        key = (actor.organization_id, actor.principal if actor.signed_in else counted(actor.client_ip))
        purse = purses.get(key)
        if purse is None:
            purse = purses[key] = self._new(actor)
            now = self._clock()
            make_room(purses, self._size, lambda one: one.asking is not None or one.owes(now))
        else:
            purses.move_to_end(key)
        if (since := self._clock() - purse.asked) > TOLD_SECONDS and purse.actor is not None:
            if since > STALE_SECONDS:
                await self._ask(purse, 0)
            elif purse.asking is None:
                self._begin(purse, 0)
        return purse

    async def settle(self, purse: Purse) -> None:
        """Limited, where the caller owes more than there is."""
        if purse.tokens < 0:
            await self._enough(purse, 0)

    async def pay(self, purse: Purse, price: float) -> None:
        """Spend, or Limited with the time after which there will be enough. The price is within the limit."""
        if purse.tokens < price:
            await self._enough(purse, price)
        purse.tokens -= price
        if purse.actor is not None and purse.asking is None:
            low = purse.tokens < purse.allowance.bucket * PART / 2
            if low and self._worth_asking(purse, 1, self._clock()):
                self._begin(purse, 0)

    def owe(self, purse: Purse, price: float) -> None:
        """Spend without asking whether there is enough."""
        purse.tokens = max(purse.tokens - price, -float(purse.allowance.bucket))

    def give_back(self, purse: Purse, units: float) -> None:
        """What was paid for and did not happen; never more than the bucket holds."""
        purse.tokens = min(purse.tokens + units, float(purse.allowance.bucket))

    async def close(self) -> None:
        asking = [purse.asking for purse in self._purses.values() if purse.asking is not None]
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    def _new(self, actor: Actor) -> Purse:
        if actor.signed_in:
            return Purse(actor, self._allowance)
        purse = Purse(None, self._unknown)
        purse.asked, purse.tokens = self._clock(), float(purse.allowance.bucket)
        return purse

    async def _enough(self, purse: Purse, price: float) -> None:
        while purse.tokens < price:
            now = self._clock()
            if purse.actor is None:
                purse.tokens, purse.asked = purse.available(now), now
                if purse.tokens >= price:
                    return
            elif purse.asking is None and self._worth_asking(purse, price - purse.tokens, now):
                self._begin(purse, price - purse.tokens)
            if purse.asking is None:
                missing = price - purse.available(now)
                raise Limited(max(1, math.ceil(missing / purse.allowance.restore_per_second)))
            await self._ask(purse, price - purse.tokens)

    def _worth_asking(self, purse: Purse, missing: float, now: float) -> bool:
        """There was so much when it was last asked, or so much can have come since."""
        came = purse.allowance.restore_per_second * (now - purse.asked)
        return purse.shared >= missing or (purse.shared + came >= missing and now - purse.asked >= DRY_SECONDS)

    async def _ask(self, purse: Purse, least: float) -> None:
        """Wait for the answer under way, or begin asking. One that waits may leave; the others still get it."""
        await asyncio.shield(purse.asking or self._begin(purse, least))

    def _begin(self, purse: Purse, least: float) -> asyncio.Task[None]:
        task = purse.asking = asyncio.create_task(self._borrow(purse, least))
        task.add_done_callback(_seen)
        return task

    async def _borrow(self, purse: Purse, least: float) -> None:
        actor = purse.actor
        assert actor is not None
        assert actor.organization_id is not None
        try:
            holds = max(0.0, purse.tokens / purse.allowance.bucket)
            part = max(0.0, PART - holds)
            lease = await self._lender.lease(actor.organization_id, actor.principal, part, least)
            purse.tokens = min(purse.tokens + lease.granted, float(lease.allowance.bucket))
            purse.allowance, purse.shared, purse.asked = lease.allowance, lease.left, self._clock()
        finally:
            purse.asking = None


def _seen(task: asyncio.Task[None]) -> None:
    """Nobody may be waiting for what went wrong."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("bucket not reached", error=type(error).__name__)

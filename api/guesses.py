"""Credentials that prove false, by the address they come from: after so many, further ones from there are not looked up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api import metrics
from api.client_ip import counted
from api.errors import Rejected
from api.recent import Recent
from api.throttle import Throttle

PROVEN_SECONDS = 3_600.0
"""So long after it was last good a secret is looked up whatever its neighbours at the same address have tried."""
AT_ONCE = 3
"""Secrets that may be anything are looked up, so that not many more are than may fail."""


class Guesses:
    def __init__(self, per_minute: int) -> None:
        self._failed = Throttle(per_minute=per_minute, burst=per_minute)
        self._proven: Recent[bool] = Recent(20_000)
        self._turns = asyncio.Semaphore(AT_ONCE)

    @asynccontextmanager
    async def looking(self, secret: str, address: str | None, *, genuine: bool = False) -> AsyncIterator[None]:
        """Around the look-up of a secret; it is false where that raises Rejected. Rejected before, as RATE_LIMITED, where too
        many were. `genuine` is what nobody can make up, though it may have ended: it is good until it was false once."""
        known = self._proven.get(secret)
        try:
            if genuine if known is None else known:
                yield
            else:
                self._check(address)
                async with self._turns:
                    self._check(address)  # others may have failed meanwhile
                    yield
        except Rejected as rejected:
            if rejected.status != 429:
                self._count(address)
                if genuine or known:
                    self._proven.keep(secret, False, PROVEN_SECONDS)
            raise
        self._proven.keep(secret, True, PROVEN_SECONDS)

    def made_up(self, address: str | None) -> None:
        """What needed no look-up to be found false. Rejected, as RATE_LIMITED, where too many were."""
        self._check(address)
        self._count(address)

    def _count(self, address: str | None) -> None:
        self._failed.wait(counted(address))
        metrics.false_credentials.inc()

    def _check(self, address: str | None) -> None:
        if wait := self._failed.wait(counted(address), cost=0):
            metrics.rate_limited.inc()
            said = "Too many tokens or keys from this address were not good; wait a little"
            raise Rejected.because("RATE_LIMITED", said, status=429, retryAfter=wait)

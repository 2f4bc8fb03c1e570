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
FAILED_SECONDS = 60.0
"""So long what proved false is answered from memory: who repeats it guesses nothing. What has become good since waits as long."""
AT_ONCE = 3
"""Secrets that may be anything are looked up, so that not many more are than may fail."""


class Ended(Rejected):
    """What was presented was good once: nobody guesses with it."""


class Guesses:
    """Secrets are known here by what stands for them and is short, such as a digest."""

    def __init__(self, per_minute: int) -> None:
        self._allowance = Throttle(per_minute=per_minute, burst=per_minute)
        self._proven: Recent[bool] = Recent(20_000)
        self._failed: Recent[str] = Recent(10_000)
        """What was said of it."""
        self._turns = asyncio.Semaphore(AT_ONCE)

    def recall(self, secret: str) -> None:
        """Rejected, as it was then, where the secret proved false moments ago: that asks nobody and counts no second time."""
        if (said := self._failed.get(secret)) is not None:
            raise Rejected.because("UNAUTHENTICATED", said)

    @asynccontextmanager
    async def looking(self, secret: str, address: str | None, *, genuine: bool = False) -> AsyncIterator[None]:
        """Around the look-up of a secret; it is false where that raises Rejected. Rejected before, as RATE_LIMITED, where too
        many were. `genuine` is what nobody can make up, though it may have ended; what was good lately is no guess either:
        both are looked up whatever the others at the address have tried, and count nothing."""
        self.recall(secret)
        vouched = genuine or self._proven.get(secret) is not None
        try:
            if vouched:
                yield
            else:
                self._check(address)
                async with self._turns:
                    self.recall(secret)  # others may have failed meanwhile, with the same or with others
                    self._check(address)
                    yield
        except Rejected as rejected:
            if rejected.status != 429 and self._failed.get(secret) is None:
                if not vouched and not isinstance(rejected, Ended):
                    self._count(address)
                self._failed.keep(secret, str(rejected), FAILED_SECONDS)
                if vouched and not genuine:
                    self._proven.keep(secret, True, PROVEN_SECONDS)
            raise
        if not genuine:
            self._proven.keep(secret, True, PROVEN_SECONDS)

    def made_up(self, secret: str, address: str | None, said: str, seconds: float = FAILED_SECONDS) -> None:
        """What needed no look-up to be found false. Rejected, as RATE_LIMITED, where too many were."""
        self._check(address)
        self._count(address)
        self._failed.keep(secret, said, seconds)

    def _count(self, address: str | None) -> None:
        self._allowance.wait(counted(address))
        metrics.false_credentials.inc()

    def _check(self, address: str | None) -> None:
        if wait := self._allowance.wait(counted(address), cost=0):
            metrics.rate_limited.inc()
            said = "Too many tokens or keys from this address were not good; wait a little"
            raise Rejected.because("RATE_LIMITED", said, status=429, retryAfter=wait)

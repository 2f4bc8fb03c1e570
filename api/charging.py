"""What a request is charged: its price is compared with the limit, paid from the caller's bucket, and told in the answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from api import metrics
from api.buckets import Buckets, Limited, Purse
from api.errors import Rejected
from api.limits import too_complex
from db.actor import Actor

CHARACTERS = 4
"""So many characters of a document cost one unit to read."""
LEAST = 20
LOOKED_AT = 1
"""For an event a subscriber has missed, whether it is shown or not: it is read from the log, and its object is read again."""


@dataclass(slots=True)
class Bill:
    """A request's price, once it is known."""

    price: int = 0
    purse: Purse | None = None
    buckets: Buckets | None = None
    """Where it was paid; None while it is not."""

    @property
    def extensions(self) -> dict[str, Any]:
        return {} if self.purse is None else {"cost": self.purse.shown(self.price)}

    def refund(self) -> None:
        """The operation was let in, and sent away before it ran: what was paid for it goes back, once."""
        if self.purse is not None and self.buckets is not None:
            self.buckets.give_back(self.purse, self.price)
            self.buckets = None

    async def catch_up(self, *, looked: int = 0, shown: int = 0) -> None:
        """A subscription looks at events that were missed, and shows objects because it was asked to, not because something
        happened: each costs its price again. It is not refused for that but waits, however long it takes."""
        if self.purse is None or self.buckets is None:
            return
        units = looked * LOOKED_AT + shown * self.price
        while True:
            try:
                await self.buckets.pay(self.purse, min(units, self.purse.allowance.bucket))
            except Limited as limited:
                await asyncio.sleep(limited.seconds)
            else:
                metrics.spent.counts[metrics.ALL] += units
                return


class Charging:
    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets
        self.purse = buckets.purse

    async def charge(self, bill: Bill, price: int, purse: Purse) -> None:
        """Let the operation in, or Rejected: it is too much at once, or too much by now."""
        bill.price, bill.purse = price, purse
        if price > (limit := purse.allowance.limit):
            raise too_complex("Price of the operation", price, limit, **bill.extensions)
        try:
            await self._buckets.pay(purse, price)
        except Limited as limited:
            raise _limited(limited, **bill.extensions) from None
        bill.buckets = self._buckets
        metrics.spent.counts[metrics.ALL] += price

    async def reading(self, actor: Actor, length: int) -> None:
        """For a document this process does not know. It is read on credit, but by nobody who owes for others."""
        purse = await self._buckets.purse(actor)
        try:
            await self._buckets.settle(purse)
        except Limited as limited:
            raise _limited(limited) from None
        self._buckets.owe(purse, max(LEAST, length / CHARACTERS))


def _limited(limited: Limited, **details: Any) -> Rejected:
    metrics.rate_limited.inc()
    said = f"More was asked for than there is just now; try again in {limited.seconds} s"
    return Rejected.because("RATE_LIMITED", said, status=429, retryAfter=limited.seconds, **details)

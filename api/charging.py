"""What a request is charged: its price is compared with the limit, paid from the caller's bucket, and told in the answer."""

from __future__ import annotations

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


@dataclass(slots=True)
class Bill:
    """A request's price, once it is known."""

    price: int = 0
    purse: Purse | None = None

    @property
    def extensions(self) -> dict[str, Any]:
        return {} if self.purse is None else {"cost": self.purse.shown(self.price)}


class Charging:
    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    async def charge(self, bill: Bill, price: int, actor: Actor) -> None:
        """Let the operation in, or Rejected: it is too much at once, or too much by now."""
        purse = await self._buckets.purse(actor)
        bill.price, bill.purse = price, purse
        if price > (limit := purse.allowance.limit):
            raise too_complex("Price of the operation", price, limit, **bill.extensions)
        try:
            await self._buckets.pay(purse, price)
        except Limited as limited:
            raise _limited(limited, **bill.extensions) from None
        metrics.spent.inc(price)

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

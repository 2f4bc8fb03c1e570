"""Takes from the shared buckets in PostgreSQL, on other connections than the operations'."""

from __future__ import annotations

from time import monotonic

from sqlalchemy import text

from api.buckets import Allowance, Lease
from db.actor import Actor
from db.session import Database, ReadTx
from modules.platform.public import own_limits

SETTINGS_SECONDS = 5.0
MOST_TIMES = 10
"""An organization may give its callers this much more than the server does, not more."""

_TAKE = text("select granted, remaining from app.take_tokens(:principal, :wanted, :bucket, :restored)")


class Leases:
    def __init__(self, database: Database, allowance: Allowance) -> None:
        self._database = database
        self._allowance = allowance
        self._known: dict[int, tuple[float, Allowance]] = {}

    async def lease(self, organization_id: int, principal: str, part: float, least: float) -> Lease:
        async with self._database.write(Actor(organization_id)) as tx:
            allowance = await self._of(tx)
            wanted = max(part * allowance.bucket, least)
            given = {"bucket": allowance.bucket, "restored": allowance.restored}
            taken = (await tx.rows(_TAKE, {"principal": principal, "wanted": wanted, **given}))[0]
            return Lease(allowance, taken.granted, taken.remaining)

    async def _of(self, tx: ReadTx) -> Allowance:
        """The organization's own values, as they were some seconds ago, else the server's."""
        until, allowance = self._known.get(tx.org, (0.0, self._allowance))
        if until <= monotonic():
            own, server = await own_limits(tx), self._allowance
            allowance = Allowance(
                _within(own.operation, server.operation),
                _within(own.bucket, server.bucket),
                _within(own.restored, server.restored),
            )
            self._known[tx.org] = (monotonic() + SETTINGS_SECONDS, allowance)
        return allowance


def _within(own: int | None, server: int) -> int:
    return server if own is None else min(own, server * MOST_TIMES)

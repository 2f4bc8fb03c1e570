"""Takes from the shared buckets in PostgreSQL, on other connections than the operations'."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import fields, replace
from time import monotonic
from typing import TypeVar

from sqlalchemy import text

from api.buckets import Allowance, Lease
from api.limits import Limits
from db.actor import Actor
from db.session import Database, ReadTx
from modules.platform.public import LIMITS, own_limits

T = TypeVar("T", Allowance, Limits)

SETTINGS_SECONDS = 5.0

_TAKE = text("select granted, remaining from app.take_tokens(:principal, :wanted, :bucket, :restored)")


class Leases:
    """With each lease comes what the organization has set, no further round trip: of what it may spend, in the lease; of all
    else, in `own`, where those who hold callers to it look."""

    def __init__(
        self, database: Database, allowance: Allowance, limits: Limits, own: MutableMapping[int | None, Limits]
    ) -> None:
        self._database = database
        self._allowance = allowance
        self._limits = limits
        self._own = own
        self._known: dict[int, tuple[float, Allowance]] = {}

    async def lease(self, organization_id: int, principal: str, part: float, least: float) -> Lease:
        async with self._database.write(Actor(organization_id)) as tx:
            allowance = await self._of(tx)
            wanted = max(part * allowance.bucket, least)
            given = {"bucket": allowance.bucket, "restored": allowance.restore_per_second}
            taken = (await tx.rows(_TAKE, {"principal": principal, "wanted": wanted, **given}))[0]
            return Lease(allowance, taken.granted, taken.remaining)

    async def _of(self, tx: ReadTx) -> Allowance:
        """The organization's own values, as they were some seconds ago, else the server's."""
        until, allowance = self._known.get(tx.org, (0.0, self._allowance))
        if until <= monotonic():
            own = await own_limits(tx)
            allowance = within(self._allowance, own)
            self._known[tx.org] = (monotonic() + SETTINGS_SECONDS, allowance)
            self._keep(tx.org, within(self._limits, own))
        return allowance

    def _keep(self, organization: int, limits: Limits) -> None:
        if limits == self._limits:
            self._own.pop(organization, None)
        else:
            self._own[organization] = limits


def within(server: T, own: Mapping[str, int]) -> T:
    """The server's values, in their place the organization's own, as far as the server lets it."""
    mine = {field.name for field in fields(server)} & own.keys()
    return replace(server, **{name: min(own[name], getattr(server, name) * LIMITS[name].times) for name in mine})

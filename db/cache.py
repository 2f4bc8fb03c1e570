"""The cache: answers kept in an unlogged table of PostgreSQL until they expire or something they are made of changes.

An entry remembers the position of the event log it was computed at. It holds as long as no event of its topics came
after, in the log or still in the inbox, which is written in the very transaction of the change: a reader who sees a
change never sees an entry older than it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

from sqlalchemy import ARRAY, Interval, Text, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from db.actor import Actor, Scope
from db.session import Database, ReadTx, WriteTx

Compute: TypeAlias = Callable[[ReadTx], Awaitable[Any]]

_CACHED = text("select usable, value, position from app.cached(:key, :topics)").bindparams(
    bindparam("topics", type_=ARRAY(Text))
)
_UNCHANGED = text("select app.unchanged_since(:position, :topics)").bindparams(bindparam("topics", type_=ARRAY(Text)))
_POSITION = text("select app.events_position()")
_KEEP = text(
    "insert into app.cache (organization_id, key, value, position, expires_at)"
    " values (:org, :key, :value, :position, clock_timestamp() + :ttl)"
    " on conflict (organization_id, key) do update set value = excluded.value, position = excluded.position,"
    " expires_at = excluded.expires_at, created_at = excluded.created_at"
).bindparams(bindparam("value", type_=JSONB), bindparam("ttl", type_=Interval))


@dataclass(frozen=True, slots=True)
class Entry:
    """A kept value, and the position of the event log it was computed at."""

    value: Any
    position: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of the cache: for whom, under which name, and what makes it stale."""

    actor: Actor
    scope: Scope
    key: str
    ttl: timedelta
    topics: tuple[str, ...]

    @property
    def flight(self) -> tuple[int | None, str]:
        return self.actor.organization_id, self.key


def wanted(
    actor: Actor, permission: str | None, name: str, parts: Sequence[object], *, ttl: timedelta, topics: Sequence[str]
) -> Wanted:
    """The key holds where the caller sees, so that nobody is told what only others may count."""
    scope = actor.read_scope(permission)
    sees = [sorted(ids) if ids is not None else "all" for ids in (scope.plants, scope.whole_plants, scope.departments)]
    digest = hashlib.sha256(repr((sees, *parts)).encode()).hexdigest()
    return Wanted(actor, scope, f"{name}:{digest}", ttl, tuple(topics))


async def look(tx: ReadTx, want: Wanted) -> tuple[bool, Entry | None]:
    """Can the cache be used here, and what it holds that is true in this transaction."""
    row = await tx.first(_CACHED, {"key": want.key, "topics": list(want.topics)})
    assert row is not None
    return row.usable, None if row.position is None else Entry(row.value, row.position)


async def still_holds(tx: ReadTx, want: Wanted, entry: Entry) -> bool:
    return bool(await tx.scalar(_UNCHANGED, {"position": entry.position, "topics": list(want.topics)}))


class Cache:
    """Computes what is missing: one computation per key at a time, in this process and among all of them.

    It has connections of its own, for those who wait hold one each: they must not wait for each other's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._flights: dict[tuple[int | None, str], asyncio.Task[Entry]] = {}

    async def close(self) -> None:
        for flight in list(self._flights.values()):
            flight.cancel()
        await asyncio.gather(*self._flights.values(), return_exceptions=True)
        await self._database.close()

    async def filled(self, want: Wanted, compute: Compute) -> tuple[Entry, bool]:
        """The entry, computed now unless somebody is at it already; the second value says whether it was begun before."""
        joined = (flight := self._flights.get(want.flight)) is not None
        if flight is None:
            flight = self._flights[want.flight] = asyncio.create_task(self._fill(want, compute))
            flight.add_done_callback(lambda done: self._landed(want, done))
        return await asyncio.shield(flight), joined  # one who gives up does not take the answer from the others

    def _landed(self, want: Wanted, flight: asyncio.Task[Entry]) -> None:
        self._flights.pop(want.flight, None)
        if not flight.cancelled():
            flight.exception()  # those who waited were told; if all have left, nobody has to be

    async def _fill(self, want: Wanted, compute: Compute) -> Entry:
        async with self._database.write(want.actor) as tx:
            await tx.use_scope(want.scope)
            await tx.key_lock("cache", want.key)
            _, entry = await look(tx, want)  # another process may have been faster
            if entry is None:
                entry = await self._computed(tx, want, compute)
            return entry

    async def _computed(self, tx: WriteTx, want: Wanted, compute: Compute) -> Entry:
        """The position is read first: what happens meanwhile makes the entry stale, never wrong."""
        position = int(await tx.scalar(_POSITION))
        entry = Entry(await compute(tx), position)
        await tx.execute(
            _KEEP,
            {"org": tx.org, "key": want.key, "value": entry.value, "position": position, "ttl": want.ttl},
        )
        return entry

"""What every resolver is given: who asks, one read transaction, the loaders, and the way to write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Protocol, TypeAlias

import asyncpg
import strawberry

from db.actor import Access, Actor
from db.cache import Cache, Compute, look, still_holds, wanted
from db.session import Database, ReadTx, WriteTx
from schema.faults import unstorable
from schema.loaders import Loaders


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to one object; what it looks like now is read again by each subscriber."""

    pos: int
    topic: str
    entity_id: int
    operation: str
    changed_fields: tuple[str, ...]
    from_status: str | None
    to_status: str | None
    occurred_at: datetime
    plant_id: int | None = None
    department_id: int | None = None
    recipient_user_id: int | None = None
    """The only person who may be told; None where rights decide."""
    resync_required: bool = False
    """Events before this one are missing: read everything again."""


class Feed(Protocol):
    """Events as they come, from the position the feed began at."""

    since: int

    def __aiter__(self) -> AsyncIterator[Event]: ...

    async def batch(self) -> list[Event]:
        """All that wait, at least one."""
        ...

    def begin_after(self, pos: int) -> None:
        """Leave out what lies up to a position: it is known already."""
        ...

    async def aclose(self) -> None: ...


class Hub(Protocol):
    """Where a subscription gets its events from."""

    async def position(self) -> int:
        """Up to where events have been handed out in this process; waits for the first connection."""
        ...

    def listen(self, actor: Actor, topic: str, permission: str | None, *, divided: bool = False) -> Feed:
        """Events of the actor's organization and of the plants the permission holds in, from now on; of a divided topic
        those of the departments it holds in."""
        ...

    def poke(self) -> None:
        """Something was committed: have it published soon."""
        ...


class Tokens(Protocol):
    """Issues access tokens at sign-in."""

    def issue(self, *, organization_id: int, user_id: int, session_id: str, now: datetime) -> tuple[str, datetime]: ...


class Storage(Protocol):
    """Where the bytes of files are; PostgreSQL has what is known of them."""

    def download_url(self, key: str, lifetime: timedelta, *, filename: str, content_type: str) -> str: ...


class Context:
    """One operation's view of the house. A subscription renews it for every event."""

    posted: Mapping[str | int, Any] = {}
    """What mutations have posted already, by their key in the answer: to answer is all that is left to do of them."""
    deadline: float | None = None
    """When the operation is stopped, by `time.monotonic`."""
    _tx: ReadTx | None = None
    _closed = False

    def __init__(
        self,
        actor: Actor,
        database: Database,
        hub: Hub,
        tokens: Tokens,
        *,
        storage: Storage | None = None,
        cache: Cache | None = None,
        idempotency_key: str | None = None,
        last_event_id: str | None = None,
        turns: asyncio.Semaphore | None = None,
        together: bool = False,
    ) -> None:
        self.actor = actor
        self.database = database
        self.hub = hub
        self.tokens = tokens
        self.storage = storage
        self.cache = cache
        self.idempotency_key = idempotency_key
        self.last_event_id = last_event_id
        """The cursor a subscription's transport saw last: it goes on from there, whatever its document says."""
        self.together = together
        """The subscription is executed for a group: it begins now, and yields what was read together at once."""
        self.loaders = Loaders(self)
        self.extensions: dict[str, Any] = {}
        """Goes out as the answer's `extensions`."""
        self._afterwards: list[Callable[[], Awaitable[None]]] = []
        self._turns = turns
        """Waited for before a transaction is begun: a subscription queues here, where a request would be refused."""

    @cached_property
    def _lock(self) -> asyncio.Lock:
        """Made when something is read or written: a lone statement needs none of this."""
        return asyncio.Lock()

    @cached_property
    def _stack(self) -> AsyncExitStack:
        return AsyncExitStack()

    @property
    def fresh(self) -> bool:
        """Nothing has been read yet, so that a lone statement sees the same state as a transaction would."""
        return self._tx is None and self._turns is None

    @asynccontextmanager
    async def read(self, permission: str | None) -> AsyncIterator[ReadTx]:
        """The operation's read transaction, showing the plants the permission holds in. Resolvers run at once; it
        serves one at a time."""
        async with self._lock:
            if self._closed:  # a batch of loads outlives the operation it was made for
                raise RuntimeError("the operation has ended")
            try:
                if self._tx is None:
                    if self._turns is not None:
                        await self._stack.enter_async_context(self._turns)
                    self._tx = await self._stack.enter_async_context(self.database.read(self.actor, permission))
                await self._tx.use_scope(self.actor.read_scope(permission))
                yield self._tx
            except BaseException as error:
                await self._end(error)  # a failed statement leaves the transaction unusable for the fields beside
                if isinstance(error, asyncpg.DataError):
                    raise unstorable(error) from error
                raise

    @asynccontextmanager
    async def write(self, permission: str | None, access: Access = "write") -> AsyncIterator[WriteTx]:
        """One mutation, one transaction. The read transaction ends first: an operation never holds two connections,
        so a full pool cannot wait on itself."""
        await self.renew()
        self._afterwards.clear()
        async with self.database.write(self.actor, permission, access) as tx:
            yield tx
        self.loaders.forget()
        self.hub.poke()
        for work in self._afterwards:
            await work()

    def afterwards(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do this once the mutation is committed, never if it is not. It is a courtesy: it raises nothing, and something
        else makes up for it should the process end in between."""
        self._afterwards.append(work)

    async def cached(
        self, permission: str | None, name: str, parts: Sequence[object], compute: Compute, *, ttl: timedelta,
        topics: Sequence[str],
    ) -> Any:  # fmt: skip
        """A JSON value that depends on the plants the permission shows, on `parts`, and on rows whose changes are events
        of `topics`: kept for `ttl`, and never older than the operation."""
        want = wanted(self.actor, permission, name, parts, ttl=ttl, topics=topics)
        async with self.read(permission) as tx:
            usable, entry = (False, None) if self.cache is None else await look(tx, want)
            if not usable:
                return await compute(tx)
        if entry is None:
            assert self.cache is not None
            entry, joined = await self.cache.filled(want, compute)
            if joined:  # it was begun before we looked: something may have changed in between
                async with self.read(permission) as tx:
                    holds = await still_holds(tx, want, entry)
                if not holds:
                    entry, _ = await self.cache.filled(want, compute)
        return entry.value

    async def renew(self) -> None:
        """End the read transaction and forget what was loaded."""
        if "_lock" in self.__dict__:  # something was read
            self.loaders.stop()
            async with self._lock:
                await self._end()
        self.loaders.forget()

    async def close(self) -> None:
        """End the operation; what is still asked of it is refused, for nobody would end another transaction."""
        self._closed = True
        if "_lock" in self.__dict__:  # a lone statement leaves nothing
            await self.renew()

    async def _end(self, error: BaseException | None = None) -> None:
        stack, self._stack, self._tx = self._stack, AsyncExitStack(), None
        await stack.__aexit__(None if error is None else type(error), error, None)


Info: TypeAlias = strawberry.Info[Context, None]

"""The only doors to PostgreSQL: transactions that carry the caller's tenant, plants and name to the server.

`Database.read(actor)` gives a transaction PostgreSQL itself holds to reading; `Database.write(actor, permission)` one
that commits when its block ends and rolls back when it raises. Nothing else in the house begins or ends a transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import asyncpg

from db.actor import ANONYMOUS, NOWHERE, Access, Actor, Scope
from db.connections import Connections, Held, connect
from db.context import CONTEXT, CONTEXT_SETTINGS, settings_of, settings_statement
from db.transaction import ReadTx, WriteTx

STOP = "select"
"""Sent after a statement that nobody waits for any more: the driver waits until that one is cancelled."""
STOP_SECONDS = 5.0


class TookTooLong(TimeoutError):
    """A statement ran as long as it may, and was stopped: the same may be tried again, as after any TimeoutError."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"a statement took longer than {seconds:g} seconds")
        self.seconds = seconds


class Bounded(Protocol):
    """What an organization has of its own instead of what holds for all."""

    @property
    def statement_milliseconds(self) -> int: ...


class Database:
    """The pool of the application role's connections. `url` is postgresql://…; a connection found dead at BEGIN is
    replaced, so a restarted server is survived."""

    def __init__(
        self, url: str, *, pool_size: int = 10, statement_timeout_ms: int = 10_000, pool_timeout: float = 5.0,
        own: Mapping[int | None, Bounded] | None = None,
    ) -> None:  # fmt: skip
        self.connections = Connections(
            lambda: connect(url, statement_timeout_ms=statement_timeout_ms), size=pool_size, timeout=pool_timeout
        )
        self._statement_timeout_ms = statement_timeout_ms
        self._own: Mapping[int | None, Bounded] = {} if own is None else own

    @classmethod
    def connect(cls, url: str, **given: Any) -> Database:
        return cls(url, **given)

    async def close(self) -> None:
        await self.connections.close()

    @asynccontextmanager
    async def read(self, actor: Actor, permission: str | None = None) -> AsyncIterator[ReadTx]:
        """One state of the shop floor, seen by one caller."""
        scope = actor.read_scope(permission)
        async with self._begin(actor, scope, NOWHERE, read_only=True) as held:
            yield ReadTx(actor, held, scope)

    @asynccontextmanager
    async def write(
        self, actor: Actor, permission: str | None = None, access: Access = "write"
    ) -> AsyncIterator[WriteTx]:
        """Commit when the block ends, roll back when it raises. Plants the permission does not hold in stay shut."""
        reads = actor.read_scope(None)
        async with self._begin(actor, reads, actor.write_scope(permission, access), read_only=False) as held:
            tx = WriteTx(actor, held, reads)
            yield tx
            await tx.flush()

    @asynccontextmanager
    async def anonymous(self) -> AsyncIterator[WriteTx]:
        """For what happens before sign-in: no tenant, so no row of any table; only functions made for it."""
        async with self.write(ANONYMOUS) as tx:
            yield tx

    async def fetchrow(self, actor: Actor, scope: Scope, statement: str, values: Sequence[Any]) -> Any:
        """The row of a statement that begins with `CONTEXT`: one round trip, in a transaction of its own. What
        `settings_of` says of the caller are its first parameters."""
        given = (*settings_of(actor, scope), *values)
        seconds = None
        if self._own and (own := self._own.get(actor.organization_id)) is not None:
            # PostgreSQL begins to count before the statement could tell it: the organization's own time is kept by the driver.
            seconds = own.statement_milliseconds / 1_000
        held = await self.connections.take()
        fresh = False
        while True:
            try:
                row = await held.fetchrow(statement, *given, timeout=seconds)
            except BaseException as error:
                if isinstance(error, asyncpg.PostgresError) and not held.is_closed():
                    self.connections.give(held)  # the failed statement was its own transaction
                    if isinstance(error, asyncpg.QueryCanceledError):
                        raise TookTooLong(self._statement_timeout_ms / 1_000) from error
                    raise
                if seconds is not None and isinstance(error, TimeoutError) and not held.is_closed():
                    await self._end(held, STOP)
                    raise TookTooLong(seconds) from error
                if not isinstance(error, Exception):
                    await self._end(held, STOP)
                    raise
                if fresh:
                    self.connections.drop(held)
                    raise
                held, fresh = await self.connections.replaced(held), True
            else:
                self.connections.give(held)
                return row

    @asynccontextmanager
    async def _begin(self, actor: Actor, reads: Scope, writes: Scope, *, read_only: bool) -> AsyncIterator[Held]:
        begin = "begin isolation level repeatable read read only" if read_only else "begin"
        milliseconds = self._statement_timeout_ms
        if self._own and (own := self._own.get(actor.organization_id)) is not None:
            milliseconds = own.statement_milliseconds
        # One simple query: text made here from integers and plain names only, never from a request's values.
        held = await self._started(f"{begin}; {settings_statement(actor, reads, writes, milliseconds)}")
        try:
            yield held
        except BaseException as error:
            await self._end(held, "rollback")
            if isinstance(error, asyncpg.QueryCanceledError):
                raise TookTooLong(milliseconds / 1_000) from error
            raise
        done = await self._end(held, "commit")
        if done != "COMMIT" and not read_only:
            raise RuntimeError("a statement failed and was passed over: the transaction was rolled back")

    async def _started(self, begin: str) -> Held:
        """A connection with the transaction begun; a pooled one that died meanwhile is replaced once."""
        held = await self.connections.take()
        try:
            await held.execute(begin)
            return held
        except Exception:  # whatever a dying connection makes of it; a living one does not refuse BEGIN
            held = await self.connections.replaced(held)
        except BaseException:
            self.connections.drop(held)  # half begun: never back into the pool
            raise
        try:
            await held.execute(begin)
        except BaseException:
            self.connections.drop(held)
            raise
        return held

    async def _end(self, held: Held, how: str) -> str:
        """End the transaction; a connection that cannot is thrown away, so that no context outlives its transaction.
        Answers what PostgreSQL did: a transaction with a failed statement is rolled back by COMMIT. What was running for a
        caller who has left is stopped first: nothing is given back, turn or connection, while PostgreSQL works on."""
        try:
            if how == "commit":
                done = str(await held.execute(how))
            else:
                async with asyncio.timeout(STOP_SECONDS):
                    done = str(await held.execute(how))
        except BaseException as error:
            self.connections.drop(held)
            if how == "commit" or not isinstance(error, Exception):
                raise
            return "LOST"
        self.connections.give(held)
        return done


__all__ = ["CONTEXT", "CONTEXT_SETTINGS", "Database", "ReadTx", "WriteTx"]

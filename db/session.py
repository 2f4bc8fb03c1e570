"""The only doors to PostgreSQL: transactions that carry the caller's tenant, plants and name to the server.

`Database.read(actor)` gives a transaction PostgreSQL itself holds to reading; `Database.write(actor, permission)` one
that commits when its block ends and rolls back when it raises. Nothing else in the house begins or ends a transaction.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import asyncpg
from sqlalchemy import Row, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.sql import Executable

from db.actor import ANONYMOUS, NOWHERE, Access, Actor, Scope
from db.base import LedgerTable, TenantTable
from db.connections import Connections, Held
from db.context import CONTEXT, CONTEXT_SETTINGS, scope_statement, settings_of, settings_statement
from db.refusal import AlreadyExists, NotFound, NotPermitted, VersionConflict

L = TypeVar("L", bound=LedgerTable)
Unique = Mapping[str, tuple[str, ...]]
"""Names of unique constraints, each with the input path its violation is reported at."""


class ReadTx:
    """A transaction of one caller. Every statement passes the organization besides what row-level security adds."""

    def __init__(self, actor: Actor, held: Held, scope: Scope) -> None:
        self.actor = actor
        self._held = held
        self._scope = scope

    @property
    def session(self) -> AsyncSession:
        return self._held.session

    @property
    def org(self) -> int:
        assert self.actor.organization_id is not None, "a caller who is signed in"
        return self.actor.organization_id

    async def rows(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Sequence[Row[Any]]:
        return (await self.session.execute(statement, params)).all()

    async def first(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Row[Any] | None:
        return (await self.session.execute(statement, params)).first()

    async def scalar(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Any:
        return (await self.session.execute(statement, params)).scalar()

    async def scalars(self, statement: Executable, params: Mapping[str, Any] | None = None) -> list[Any]:
        return list((await self.session.execute(statement, params)).scalars().all())

    async def fetchrow(self, statement: str, values: Sequence[Any]) -> Any:
        """The first row of a statement that is text already: past SQLAlchemy, which costs more than small statements do.
        Raises the driver's own errors."""
        return await self._held.driver.fetchrow(statement, *values)

    async def get(self, model: type[L], id: int) -> L | None:
        """A row of the caller's organization that the caller may see."""
        return (await self.session.execute(_by_id(model, self.org, id))).scalar_one_or_none()

    async def found(self, model: type[L], id: int, *, path: tuple[str | int, ...] = ("id",)) -> L:
        row = await self.get(model, id)
        if row is None:
            raise _unknown(model, path)
        return row

    async def use_scope(self, scope: Scope) -> None:
        """Show the rows of other plants from here on: a permission may hold in fewer plants than the last one did."""
        if scope != self._scope:
            await self.session.execute(text(scope_statement(scope)))
            self._scope = scope


class WriteTx(ReadTx):
    """A transaction that may write. Every WriteTx can be handed to code that reads."""

    def add(self, row: L) -> L:
        row.organization_id = self.org
        self.session.add(row)
        return row

    async def flush(self, unique: Unique | None = None) -> None:
        """Send what changed. A violated unique constraint named in `unique` is refused at its input path."""
        try:
            await self.session.flush()
        except IntegrityError as error:
            name = constraint_name(error)
            if unique is None or name is None or name not in unique:
                raise
            raise AlreadyExists("This is taken already in the organization", path=unique[name]) from error

    async def execute(self, statement: Executable, params: Mapping[str, Any] | None = None) -> Any:
        return await self.session.execute(statement, params)

    async def locked(
        self, model: type[L], id: int, *, path: tuple[str | int, ...] = ("id",), version: int | None = None
    ) -> L:
        """The row, held until the transaction ends, so that what is decided on it still holds when it is written."""
        statement = _by_id(model, self.org, id).with_for_update().execution_options(populate_existing=True)
        row: L | None = (await self.session.execute(statement)).scalar_one_or_none()
        if row is None:
            if await self.get(model, id) is not None:
                raise NotPermitted("You may see this, but not change it in this plant", path=path)
            raise _unknown(model, path)
        if version is not None and version != cast(TenantTable, row).version:
            raise VersionConflict(
                "It was changed since you read it", path=("expectedVersion",), current=cast(TenantTable, row).version
            )
        return row

    async def key_lock(self, *parts: object) -> None:
        """Hold a name of the organization's until the transaction ends."""
        await self.session.execute(select(_advisory("pg_advisory_xact_lock", self.org, parts)))

    async def try_key_lock(self, *parts: object) -> bool:
        return bool(await self.scalar(select(_advisory("pg_try_advisory_xact_lock", self.org, parts))))


class Database:
    """The pool of the application role's connections."""

    def __init__(
        self, engine: AsyncEngine, *, pool_size: int, pool_timeout: float, statement_timeout_ms: int = 10_000
    ) -> None:
        self.engine = engine
        self.connections = Connections(engine, size=pool_size, timeout=pool_timeout)
        self._statement_timeout_ms = statement_timeout_ms

    @classmethod
    def connect(
        cls, url: str, *, pool_size: int = 10, statement_timeout_ms: int = 10_000, pool_timeout: float = 5.0
    ) -> Database:
        """`url` is postgresql://…; a connection found dead at BEGIN is replaced, so a restarted server is survived."""
        settings = {"timezone": "UTC", "jit": "off", "statement_timeout": str(int(statement_timeout_ms))}
        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=lambda: asyncpg.connect(  # the driver reads the URL itself: sslmode and the like are its own
                url, server_settings=settings, timeout=5, statement_cache_size=200, max_cached_statement_lifetime=0
            ),
            isolation_level="AUTOCOMMIT",  # BEGIN is ours: it carries the context in the same round trip
            poolclass=NullPool,  # `Connections` keeps them
        )
        return cls(engine, pool_size=pool_size, pool_timeout=pool_timeout, statement_timeout_ms=statement_timeout_ms)

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
            yield WriteTx(actor, held, reads)
            await held.flush()

    @asynccontextmanager
    async def anonymous(self) -> AsyncIterator[WriteTx]:
        """For what happens before sign-in: no tenant, so no row of any table; only functions made for it."""
        async with self.write(ANONYMOUS) as tx:
            yield tx

    async def fetchrow(self, actor: Actor, scope: Scope, statement: str, values: Sequence[Any]) -> Any:
        """The row of a statement that begins with `CONTEXT`: one round trip, in a transaction of its own. What
        `settings_of` says of the caller are its first parameters."""
        given = (*settings_of(actor, scope), *values)
        held = await self.connections.take()
        try:
            row = await held.driver.fetchrow(statement, *given)
        except BaseException as error:
            if isinstance(error, asyncpg.PostgresError) and not held.driver.is_closed():
                self.connections.give(held)  # the failed statement was its own transaction
                raise
            if not isinstance(error, Exception):
                await self.connections.drop(held)
                raise
            held = await self.connections.replaced(held)
            try:
                row = await held.driver.fetchrow(statement, *given)
            except BaseException:
                await self.connections.drop(held)
                raise
        self.connections.give(held)
        return row

    @asynccontextmanager
    async def _begin(self, actor: Actor, reads: Scope, writes: Scope, *, read_only: bool) -> AsyncIterator[Held]:
        begin = "begin isolation level repeatable read read only" if read_only else "begin"
        # One simple query: text made here from integers and plain names only, never from a request's values.
        held = await self._started(f"{begin}; {settings_statement(actor, reads, writes, self._statement_timeout_ms)}")
        try:
            try:
                yield held
            finally:
                await held.close_session()
        except BaseException:
            await self._end(held, "rollback")
            raise
        done = await self._end(held, "commit")
        if done != "COMMIT" and not read_only:
            raise RuntimeError("a statement failed and was passed over: the transaction was rolled back")

    async def _started(self, begin: str) -> Held:
        """A connection with the transaction begun; a pooled one that died meanwhile is replaced once."""
        held = await self.connections.take()
        try:
            await held.driver.execute(begin)
            return held
        except Exception:  # whatever a dying connection makes of it; a living one does not refuse BEGIN
            held = await self.connections.replaced(held)
        except BaseException:
            await self.connections.drop(held)  # half begun: never back into the pool
            raise
        try:
            await held.driver.execute(begin)
        except BaseException:
            await self.connections.drop(held)
            raise
        return held

    async def _end(self, held: Held, how: str) -> str:
        """End the transaction; a connection that cannot is thrown away, so that no context outlives its transaction.
        Answers what PostgreSQL did: a transaction with a failed statement is rolled back by COMMIT."""
        try:
            done = str(await held.driver.execute(how))
        except BaseException:
            await self.connections.drop(held)
            if how == "commit":
                raise
            return "LOST"
        self.connections.give(held)
        return done


def _by_id(model: type[L], org: int, id: int) -> Any:
    return select(model).where(model.organization_id == org, model.id == id)


def _unknown(model: type[LedgerTable], path: tuple[str | int, ...]) -> NotFound:
    return NotFound("There is no such object", path=path)


def _advisory(function: str, org: int, parts: Sequence[object]) -> Any:
    name = "\x1f".join(map(str, (org, *parts)))
    return text(f"{function}(hashtextextended(:name, 0))").bindparams(name=name)


def sqlstate(error: DBAPIError) -> str:
    """The five characters PostgreSQL gives an error, or nothing."""
    return str(getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None) or "")


def constraint_name(error: IntegrityError) -> str | None:
    """The constraint a write broke, as PostgreSQL names it."""
    cause: BaseException | None = error.orig
    while cause is not None:
        if name := getattr(cause, "constraint_name", None):
            return str(name)
        cause = cause.__cause__
    return None


__all__ = ["CONTEXT", "CONTEXT_SETTINGS", "Database", "ReadTx", "WriteTx", "constraint_name", "sqlstate"]

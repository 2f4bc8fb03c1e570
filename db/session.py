"""The only doors to PostgreSQL: transactions that carry the caller's tenant, plants and name to the server.

`Database.read(actor)` gives a transaction PostgreSQL itself holds to reading; `Database.write(actor, permission)` one
that commits when its block ends and rolls back when it raises. Nothing else in the house begins or ends a transaction.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import asyncpg
from sqlalchemy import Row, Select, select, text
from sqlalchemy.sql import Executable

from db.actor import ANONYMOUS, NOWHERE, Access, Actor, Scope
from db.base import LedgerTable, Table, TenantTable
from db.connections import Connections, Held, connect
from db.context import CONTEXT, CONTEXT_SETTINGS, scope_statement, settings_of, settings_statement
from db.refusal import AlreadyExists, NotFound, NotPermitted, VersionConflict
from db.rows import Rows, by_key, by_link, read
from db.statements import ready

L = TypeVar("L", bound=LedgerTable)
Unique = Mapping[str, tuple[str, ...]]
"""Names of unique constraints, each with the input path its violation is reported at."""
Params = Mapping[str, Any] | None


class ReadTx:
    """A transaction of one caller. Every statement passes the organization besides what row-level security adds."""

    def __init__(self, actor: Actor, held: Held, scope: Scope) -> None:
        self.actor = actor
        self._held = held
        self._scope = scope

    @property
    def org(self) -> int:
        assert self.actor.organization_id is not None, "a caller who is signed in"
        return self.actor.organization_id

    async def rows(self, statement: Executable, params: Params = None) -> Sequence[Row[Any]]:
        sent = ready(statement, params)
        records = await self.fetch(sent.text, sent.values)
        if not records:
            return []
        shape = sent.shape(records)
        return [shape.row(record) for record in records]

    async def first(self, statement: Executable, params: Params = None) -> Row[Any] | None:
        found = await self.rows(statement, params)
        return found[0] if found else None

    async def scalar(self, statement: Executable, params: Params = None) -> Any:
        found = await self.first(statement, params)
        return None if found is None else found[0]

    async def scalars(self, statement: Executable, params: Params = None) -> list[Any]:
        """The first value of each row; of a table that is selected as such, its rows."""
        model = _selected(statement)
        if model is None:
            return [row[0] for row in await self.rows(statement, params)]
        sent = ready(statement, params)
        return self._take(model, await self.fetch(sent.text, sent.values))

    async def one(self, statement: Executable, params: Params = None) -> Any:
        """What `scalars` answers of a statement that finds one row or none."""
        found = await self.scalars(statement, params)
        return found[0] if found else None

    async def fetch(self, statement: str, values: Sequence[Any]) -> Sequence[Any]:
        """The records of a statement that is text already. Raises, as everything here, the driver's own errors."""
        records: Sequence[Any] = await self._held.fetch(statement, *values)
        return records

    async def fetchrow(self, statement: str, values: Sequence[Any]) -> Any:
        """The first of them, or None."""
        return await self._held.fetchrow(statement, *values)

    async def get(self, model: type[L], id: int) -> L | None:
        """A row of the caller's organization that the caller may see."""
        found = self._take(model, await self.fetch(by_key(model), [self.org, id]))
        return found[0] if found else None

    async def found(self, model: type[L], id: int, *, path: tuple[str | int, ...] = ("id",)) -> L:
        row = await self.get(model, id)
        if row is None:
            raise _unknown(model, path)
        return row

    async def use_scope(self, scope: Scope) -> None:
        """Show the rows of other plants from here on: a permission may hold in fewer plants than the last one did."""
        if scope != self._scope:
            await self._held.execute(scope_statement(scope))
            self._scope = scope

    def _take(self, model: type[Any], records: Sequence[Any]) -> list[Any]:
        return [read(model, record) for record in records]


class WriteTx(ReadTx):
    """A transaction that may write. Every WriteTx can be handed to code that reads. What was changed of its rows is sent
    before anything else is asked."""

    def __init__(self, actor: Actor, held: Held, scope: Scope) -> None:
        super().__init__(actor, held, scope)
        self._rows = Rows(super().fetch)
        self.stale = False
        """A statement has written past the rows in hand: they may not be as they are here."""

    def add(self, row: L) -> L:
        row.organization_id = self.org
        self._rows.add(row)
        return row

    async def delete(self, row: LedgerTable) -> None:
        table = type(row).__table__.fullname  # type: ignore[attr-defined]
        await self.fetch(f"delete from {table} where organization_id = $1 and id = $2", [self.org, row.id])
        self._rows.forget(row)

    async def flush(self, unique: Unique | None = None) -> None:
        """Send what changed. A violated unique constraint named in `unique` is refused at its input path."""
        try:
            await self._rows.flush()
        except asyncpg.UniqueViolationError as error:
            name = error.constraint_name
            if unique is None or name is None or name not in unique:
                raise
            raise AlreadyExists("This is taken already in the organization", path=unique[name]) from error

    async def let_go(self) -> None:
        """Send what changed, and have no row in hand any more."""
        await self.flush()
        self._rows.clear()

    async def execute(self, statement: Executable, params: Params = None) -> int:
        """Run what answers nothing; how many rows it touched."""
        await self._sent()
        self.stale = True
        sent = ready(statement, params)
        done = str(await self._held.execute(sent.text, *sent.values))
        return int(count) if (count := done.rpartition(" ")[2]).isdigit() else 0

    async def fetch(self, statement: str, values: Sequence[Any]) -> Sequence[Any]:
        await self._sent()
        return await super().fetch(statement, values)

    async def fetchrow(self, statement: str, values: Sequence[Any]) -> Any:
        await self._sent()
        return await super().fetchrow(statement, values)

    async def _sent(self) -> None:
        if self._rows.waiting:
            await self._rows.flush()

    def _take(self, model: type[Any], records: Sequence[Any]) -> list[Any]:
        return self._rows.take(model, records)

    async def locked(
        self, model: type[L], id: int, *, path: tuple[str | int, ...] = ("id",), version: int | None = None
    ) -> L:
        """The row, held until the transaction ends, so that what is decided on it still holds when it is written."""
        found = self._take(model, await self.fetch(by_key(model, lock=True), [self.org, id]))
        row: L | None = found[0] if found else None
        if row is None:
            if await self.get(model, id) is not None:
                raise NotPermitted("You may see this, but not change it in this plant", path=path)
            raise _unknown(model, path)
        if version is not None and version != cast(TenantTable, row).version:
            raise VersionConflict(
                "It was changed since you read it", path=("expectedVersion",), current=cast(TenantTable, row).version
            )
        return row

    async def locked_by(self, model: type[L], link: Any, id: int, *, path: tuple[str | int, ...] = ("id",)) -> L:
        """As `locked`, of the row that another row points to by its column `link`."""
        found = self._take(model, await self.fetch(by_link(model, link), [self.org, id]))
        if found:
            return found[0]  # type: ignore[no-any-return]
        return await self.locked(model, getattr(await self.found(link.class_, id, path=path), link.key), path=path)

    async def locked_of(self, model: type[L], attribute: Any, key: int) -> list[L]:
        """The rows that point to a row which is held already; they are held by ascending id."""
        return self._take(model, await self.fetch(by_key(model, attribute.key, lock=True), [self.org, key]))

    async def key_lock(self, *parts: object) -> None:
        """Hold a name of the organization's until the transaction ends."""
        await self.rows(select(_advisory("pg_advisory_xact_lock", self.org, parts)))

    async def try_key_lock(self, *parts: object) -> bool:
        return bool(await self.scalar(select(_advisory("pg_try_advisory_xact_lock", self.org, parts))))


class Database:
    """The pool of the application role's connections."""

    def __init__(
        self, url: str, *, pool_size: int = 10, statement_timeout_ms: int = 10_000, pool_timeout: float = 5.0
    ) -> None:
        self.connections = Connections(
            lambda: connect(url, statement_timeout_ms=statement_timeout_ms), size=pool_size, timeout=pool_timeout
        )
        self._statement_timeout_ms = statement_timeout_ms

    @classmethod
    def connect(cls, url: str, **given: Any) -> Database:
        """`url` is postgresql://…; a connection found dead at BEGIN is replaced, so a restarted server is survived."""
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
        held = await self.connections.take()
        try:
            row = await held.fetchrow(statement, *given)
        except BaseException as error:
            if isinstance(error, asyncpg.PostgresError) and not held.is_closed():
                self.connections.give(held)  # the failed statement was its own transaction
                raise
            if not isinstance(error, Exception):
                self.connections.drop(held)
                raise
            held = await self.connections.replaced(held)
            try:
                row = await held.fetchrow(statement, *given)
            except BaseException:
                self.connections.drop(held)
                raise
        self.connections.give(held)
        return row

    @asynccontextmanager
    async def _begin(self, actor: Actor, reads: Scope, writes: Scope, *, read_only: bool) -> AsyncIterator[Held]:
        begin = "begin isolation level repeatable read read only" if read_only else "begin"
        # One simple query: text made here from integers and plain names only, never from a request's values.
        held = await self._started(f"{begin}; {settings_statement(actor, reads, writes, self._statement_timeout_ms)}")
        try:
            yield held
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
        Answers what PostgreSQL did: a transaction with a failed statement is rolled back by COMMIT."""
        try:
            done = str(await held.execute(how))
        except BaseException:
            self.connections.drop(held)
            if how == "commit":
                raise
            return "LOST"
        self.connections.give(held)
        return done


def _unknown(model: type[LedgerTable], path: tuple[str | int, ...]) -> NotFound:
    return NotFound("There is no such object", path=path)


def _advisory(function: str, org: int, parts: Sequence[object]) -> Any:
    name = "\x1f".join(map(str, (org, *parts)))
    return text(f"{function}(hashtextextended(:name, 0))").bindparams(name=name)


def _selected(statement: Executable) -> type[Table] | None:
    """The table whose rows a statement selects as such."""
    if not isinstance(statement, Select):
        return None
    (first, *_) = statement.column_descriptions
    kind = first["type"]
    return kind if isinstance(kind, type) and issubclass(kind, Table) else None


__all__ = ["CONTEXT", "CONTEXT_SETTINGS", "Database", "ReadTx", "WriteTx"]

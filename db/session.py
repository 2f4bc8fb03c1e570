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
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.sql import Executable

from db.actor import ANONYMOUS, NOWHERE, Access, Actor, Ids, Scope
from db.base import LedgerTable, TenantTable
from db.refusal import AlreadyExists, NotFound, NotPermitted, VersionConflict

L = TypeVar("L", bound=LedgerTable)
Unique = Mapping[str, tuple[str, ...]]
"""Names of unique constraints, each with the input path its violation is reported at."""


class ReadTx:
    """A transaction of one caller. Every statement passes the organization besides what row-level security adds."""

    def __init__(self, actor: Actor, session: AsyncSession) -> None:
        self.actor = actor
        self.session = session
        self._scope: Scope | None = None

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
            await self.session.execute(text(_settings(_plants("read", scope))))
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

    def __init__(self, engine: AsyncEngine, *, statement_timeout_ms: int = 10_000) -> None:
        self.engine = engine
        self._statement_timeout_ms = statement_timeout_ms

    @classmethod
    def connect(
        cls, url: str, *, pool_size: int = 10, statement_timeout_ms: int = 10_000, pool_timeout: float = 5.0
    ) -> Database:
        """`url` is postgresql://…; a connection found dead at BEGIN is replaced, so a restarted server is survived."""
        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=lambda: asyncpg.connect(  # the driver reads the URL itself: sslmode and the like are its own
                url, server_settings={"timezone": "UTC", "jit": "off"}, timeout=5
            ),
            isolation_level="AUTOCOMMIT",  # BEGIN is ours: it carries the context in the same round trip
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=pool_timeout,
            pool_pre_ping=False,
        )
        return cls(engine, statement_timeout_ms=statement_timeout_ms)

    async def close(self) -> None:
        await self.engine.dispose()

    @asynccontextmanager
    async def read(self, actor: Actor, permission: str | None = None) -> AsyncIterator[ReadTx]:
        """One state of the shop floor, seen by one caller."""
        async with self._begin(actor, actor.read_scope(permission), NOWHERE, read_only=True) as session:
            tx = ReadTx(actor, session)
            tx._scope = actor.read_scope(permission)
            yield tx

    @asynccontextmanager
    async def write(
        self, actor: Actor, permission: str | None = None, access: Access = "write"
    ) -> AsyncIterator[WriteTx]:
        """Commit when the block ends, roll back when it raises. Plants the permission does not hold in stay shut."""
        reads = actor.read_scope(None)
        async with self._begin(actor, reads, actor.write_scope(permission, access), read_only=False) as session:
            tx = WriteTx(actor, session)
            tx._scope = reads
            yield tx
            await session.flush()

    @asynccontextmanager
    async def anonymous(self) -> AsyncIterator[WriteTx]:
        """For what happens before sign-in: no tenant, so no row of any table; only functions made for it."""
        async with self.write(ANONYMOUS) as tx:
            yield tx

    @asynccontextmanager
    async def _begin(
        self, actor: Actor, reads: Scope, writes: Scope, *, read_only: bool
    ) -> AsyncIterator[AsyncSession]:
        begin = "begin isolation level repeatable read read only" if read_only else "begin"
        context = _context(actor, reads, writes, self._statement_timeout_ms)
        async with self.engine.connect() as connection:
            # One simple query: text made here from integers and plain names only, never from a request's values.
            try:
                driver = await _started(connection, f"{begin}; {context}")
            except BaseException:
                await connection.invalidate()  # half begun: never back into the pool
                raise
            try:
                async with AsyncSession(connection, expire_on_commit=False) as session:
                    yield session
            except BaseException:
                await _end(connection, driver, "rollback")
                raise
            done = await _end(connection, driver, "commit")
            if done != "COMMIT" and not read_only:
                raise RuntimeError("a statement failed and was passed over: the transaction was rolled back")


async def _started(connection: AsyncConnection, begin: str) -> Any:
    """The driver's connection with the transaction begun; a pooled connection that died meanwhile is replaced once."""
    driver: Any = (await connection.get_raw_connection()).driver_connection
    try:
        await driver.execute(begin)
    except Exception:  # whatever a dying connection makes of it; a living one does not refuse BEGIN
        await connection.invalidate()
        driver = (await connection.get_raw_connection()).driver_connection
        await driver.execute(begin)
    return driver


async def _end(connection: AsyncConnection, driver: Any, how: str) -> str:
    """End the transaction; a connection that cannot is thrown away, so that no context outlives its transaction.
    Answers what PostgreSQL did: a transaction with a failed statement is rolled back by COMMIT."""
    try:
        return str(await driver.execute(how))
    except BaseException:
        await connection.invalidate()
        if how == "commit":
            raise
        return "LOST"


def _context(actor: Actor, reads: Scope, writes: Scope, statement_timeout_ms: int) -> str:
    """The one place where a caller becomes settings of a transaction."""
    settings = {
        "app.org_id": "" if actor.organization_id is None else str(int(actor.organization_id)),
        "app.user_id": "" if actor.user_id is None else str(int(actor.user_id)),
        "app.app_id": "" if actor.app_id is None else str(int(actor.app_id)),
        "app.request_id": actor.request_id or "",
        **_plants("read", reads),
        **_plants("write", writes),
        "statement_timeout": str(int(statement_timeout_ms)),
    }
    return _settings(settings)


def _plants(verb: str, scope: Scope) -> dict[str, str]:
    return {
        f"app.{verb}_plants": _ids(scope.plants),
        f"app.{verb}_whole_plants": _ids(scope.whole_plants),
        f"app.{verb}_departments": _ids(scope.departments),
    }


def _ids(ids: Ids) -> str:
    return "all" if ids is None else ",".join(str(int(id)) for id in sorted(ids))


def _settings(settings: Mapping[str, str]) -> str:
    return "select " + ", ".join(f"set_config('{name}', {_quoted(value)}, true)" for name, value in settings.items())


def _quoted(value: str) -> str:
    if not all(c.isascii() and (c.isalnum() or c in "-_.:, ") for c in value):
        raise ValueError("a setting of the transaction is made of plain characters")
    return f"'{value}'"


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


__all__ = ["Database", "ReadTx", "WriteTx", "constraint_name", "sqlstate"]

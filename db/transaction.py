"""A transaction of one caller: what services read and write with. `db/session.py` begins and ends it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

import asyncpg
from sqlalchemy import Delete, Insert, Row, Select, TextClause, Update, select, text
from sqlalchemy.sql import Executable
from sqlalchemy.sql.selectable import TextualSelect

from db.actor import Actor, Scope
from db.base import LedgerTable, Table, TenantTable
from db.connections import Held
from db.context import scope_statement
from db.refusal import AlreadyExists, NotFound, NotPermitted, VersionConflict
from db.rows import Rows, Vanished, by_key, by_link, read
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
        held = getattr(statement, "_for_update_arg", None) is not None
        return self._take(model, await self.fetch(sent.text, sent.values), held=held)

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

    def _take(self, model: type[Any], records: Sequence[Any], *, held: bool = False) -> list[Any]:
        return [read(model, record) for record in records]


WRITES = (Insert, Update, Delete, TextClause, TextualSelect)
"""Statements that write past the rows in hand; of those that are text nobody knows."""


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
        gone = await self.fetch(
            f"delete from {table} where organization_id = $1 and id = $2 returning id", [self.org, row.id]
        )
        if not gone:
            raise Vanished(f"a row of {table} could not be deleted")
        self.stale = True
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

    async def rows(self, statement: Executable, params: Params = None) -> Sequence[Row[Any]]:
        if isinstance(statement, WRITES):
            self.stale = True
        return await super().rows(statement, params)

    async def use_scope(self, scope: Scope) -> None:
        await self._sent()  # under the plants it was changed in
        await super().use_scope(scope)

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

    def _take(self, model: type[Any], records: Sequence[Any], *, held: bool = False) -> list[Any]:
        return self._rows.take(model, records, held=held)

    async def locked(
        self, model: type[L], id: int, *, path: tuple[str | int, ...] = ("id",), version: int | None = None
    ) -> L:
        """The row, held until the transaction ends, so that what is decided on it still holds when it is written."""
        found = self._take(model, await self.fetch(by_key(model, lock=True), [self.org, id]), held=True)
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
        found = self._take(model, await self.fetch(by_link(model, link), [self.org, id]), held=True)
        if found:
            return found[0]  # type: ignore[no-any-return]
        return await self.locked(model, getattr(await self.found(link.class_, id, path=path), link.key), path=path)

    async def locked_of(self, model: type[L], attribute: Any, key: int) -> list[L]:
        """The rows that point to a row which is held already; they are held by ascending id."""
        return self._take(model, await self.fetch(by_key(model, attribute.key, lock=True), [self.org, key]), held=True)

    async def key_lock(self, *parts: object) -> None:
        """Hold a name of the organization's until the transaction ends."""
        await self.rows(select(_advisory("pg_advisory_xact_lock", self.org, parts)))

    async def try_key_lock(self, *parts: object) -> bool:
        return bool(await self.scalar(select(_advisory("pg_try_advisory_xact_lock", self.org, parts))))


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

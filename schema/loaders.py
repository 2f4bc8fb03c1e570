"""Loaders: the executor that is always right. Links of many objects are read together, one statement per link and level."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from aiodataloader import DataLoader
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Row,
    Select,
    and_,
    bindparam,
    column,
    func,
    lateral,
    select,
    true,
    values,
)

from db.session import ReadTx
from schema.connection import COUNT_STOPS_AT, Connection, Page

if TYPE_CHECKING:
    from schema.context import Context
    from schema.node import Declared, Node, ToMany

Batch: TypeAlias = Callable[[ReadTx, Sequence[int]], Awaitable[list[Any]]]


class Loaders:
    """One operation's loaders. They read on the operation's transaction and forget when something was committed."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._made: dict[Any, DataLoader[Any, Any]] = {}
        self._reading: set[asyncio.Task[Any]] = set()

    def forget(self) -> None:
        self._made.clear()

    def stop(self) -> None:
        """Nobody waits any more for what is being read: a batch is a task of its own, and does not end with who asked."""
        for task in self._reading:
            task.cancel()

    def one(self, node: type[Node]) -> DataLoader[int, Any]:
        """Objects by key; null for a key that does not exist for the caller."""
        return self._loader(node, node, lambda tx, keys: by_keys(tx, node, keys))

    async def many(self, node: type[Node], link: ToMany, page: Page, key: int) -> Connection[Any]:
        """A page of the objects that point to a key."""
        group = (link, page.fingerprint, page.size, page.backwards, tuple(page.at or ()))
        rows, positions = await self._loader(group, node, lambda tx, keys: pages_of(tx, node, link, page, keys)).load(
            key
        )

        async def count() -> int:
            counter = self._loader((*group, "count"), node, lambda tx, keys: counts_of(tx, node, link, page, keys))
            return int(await counter.load(key))

        return page.connection(rows, positions, count)

    def asked(self, name: str, node: type[Node], read: Batch) -> DataLoader[int, Any]:
        """What a module asks by a key of its own, once for many objects; the rows are those the type's permission shows."""
        return self._loader(("asked", name), node, read)

    def _loader(self, name: Any, node: type[Node], read: Batch) -> DataLoader[Any, Any]:
        """The loader of a link, made when it is first used; its rows are those the type's permission shows."""
        if name not in self._made:

            async def batch(keys: list[Any]) -> list[Any]:
                task = asyncio.current_task()
                assert task is not None
                self._reading.add(task)
                try:
                    async with self._context.read(node.__declared__.permission) as tx:
                        return await read(tx, keys)
                finally:
                    self._reading.discard(task)

            self._made[name] = DataLoader(batch, max_batch_size=1_000)
        return self._made[name]


def _values(declared: Declared, row: Row[Any]) -> dict[str, Any]:
    return dict(zip(declared.columns, row, strict=False))


async def by_keys(tx: ReadTx, node: type[Node], keys: Sequence[int]) -> list[Any]:
    """Objects in the order of their keys."""
    declared = node.__declared__
    rows = await tx.rows(_of_keys(declared.selection, declared.table), {"org": tx.org, "keys": list(keys)})
    found = {row.id: node.of(_values(declared, row)) for row in rows}
    return [found.get(key) for key in keys]


@lru_cache(maxsize=1_000)
def _of_keys(selection: Select[Any], table: Any) -> Select[Any]:
    """Written once for a type: to put such a statement together takes longer than PostgreSQL needs for it."""
    keys = bindparam("keys", type_=ARRAY(BigInteger))
    return selection.where(table.organization_id == bindparam("org"), table.id == func.any(keys))


async def pages_of(tx: ReadTx, node: type[Node], link: ToMany, page: Page, keys: Sequence[int]) -> list[Any]:
    """For each key, the rows of its page and their positions."""
    declared = node.__declared__
    width = len(declared.columns)
    parent = values(column("key", BigInteger), name="parent").data([(key,) for key in keys])
    inner = (
        _page(declared.selection, page)
        .where(declared.table.organization_id == tx.org, link.key == parent.c.key, *_conditions(page))
        .limit(page.size + 1)
    )
    each = lateral(inner, name="each_parent")
    ordered = select(parent.c.key, *each.c).select_from(parent.join(each, true()))
    grouped: dict[int, tuple[list[Any], list[Any]]] = {key: ([], []) for key in keys}
    for row in await tx.rows(ordered):
        key, cells = row[0], row[1:]
        rows, positions = grouped[key]
        rows.append(node.of(dict(zip(declared.columns, cells[:width], strict=True))))
        positions.append(cells[width : width + len(page.keys)])
    return [grouped[key] for key in keys]


async def counts_of(tx: ReadTx, node: type[Node], link: ToMany, page: Page, keys: Sequence[int]) -> list[int]:
    table = node.__declared__.table
    parent = values(column("key", BigInteger), name="parent").data([(key,) for key in keys])
    condition = [] if page.condition is None else [page.condition]
    inner = select(table.id).where(table.organization_id == tx.org, link.key == parent.c.key, *condition)
    each = lateral(inner.limit(COUNT_STOPS_AT + 1).correlate(parent), name="each_parent")
    counted = (
        select(parent.c.key, func.count().label("n")).select_from(parent.join(each, true())).group_by(parent.c.key)
    )
    found = {row.key: row.n for row in await tx.rows(counted)}
    return [found.get(key, 0) for key in keys]


async def page_of(tx: ReadTx, node: type[Node], page: Page) -> tuple[list[Any], list[Any]]:
    """The rows of a root page and their positions."""
    declared = node.__declared__
    width = len(declared.columns)
    statement = (
        _page(declared.selection, page)
        .where(declared.table.organization_id == tx.org, *_conditions(page))
        .limit(page.size + 1)
    )
    rows = await tx.rows(statement)
    return [node.of(_values(declared, row)) for row in rows], [row[width : width + len(page.keys)] for row in rows]


async def count_of(tx: ReadTx, node: type[Node], page: Page) -> int:
    table = node.__declared__.table
    condition = [] if page.condition is None else [page.condition]
    inner = select(table.id).where(table.organization_id == tx.org, *condition).limit(COUNT_STOPS_AT + 1)
    return int(await tx.scalar(select(func.count()).select_from(inner.subquery())))


async def found_where(
    tx: ReadTx, node: type[Node], keys: Sequence[int], condition: ColumnElement[bool] | None
) -> dict[int, Any]:
    """Those of some objects that meet a condition, by key."""
    declared = node.__declared__
    table = declared.table
    statement = declared.selection.where(table.organization_id == tx.org, table.id.in_(keys))
    rows = await tx.rows(statement if condition is None else statement.where(condition))
    return {row.id: node.of(_values(declared, row)) for row in rows}


async def after_key(
    tx: ReadTx, node: type[Node], key: int, condition: ColumnElement[bool] | None, most: int
) -> dict[int, Any]:
    """The objects that follow a key, in the order of keys."""
    declared = node.__declared__
    table = declared.table
    statement = declared.selection.where(table.organization_id == tx.org, table.id > key)
    statement = statement if condition is None else statement.where(condition)
    rows = await tx.rows(statement.order_by(table.id).limit(most))
    return {row.id: node.of(_values(declared, row)) for row in rows}


async def first_where(tx: ReadTx, node: type[Node], condition: ColumnElement[bool]) -> Any:
    """The object that meets a condition on a unique key."""
    declared = node.__declared__
    row = await tx.first(declared.selection.where(and_(declared.table.organization_id == tx.org, condition)))
    return None if row is None else node.of(_values(declared, row))


def _page(statement: Select[Any], page: Page) -> Select[Any]:
    positions = (key.as_text.label(f"key_{n}") for n, key in enumerate(page.keys))
    return statement.add_columns(*positions).order_by(*page.order)


def _conditions(page: Page) -> list[ColumnElement[bool]]:
    return [c for c in (page.condition, page.past) if c is not None]

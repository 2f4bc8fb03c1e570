"""Rows a transaction has in hand: read whole, changed as objects, written as what differs.

A row is one object per transaction, however often it is read. RETURNING brings every column back, so after it was written
an object says what PostgreSQL made of it: defaults, rounding, what triggers counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import ARRAY
from sqlalchemy.inspection import inspect

from db.base import LedgerTable, Table
from db.statements import DIALECT, Read, reader, writer

T = TypeVar("T", bound=Table)
Fetch = Callable[[str, Sequence[Any]], Awaitable[Sequence[Any]]]
"""Sends a statement with its values; its records."""


class Vanished(Exception):
    """A row that was read could not be written: it is gone, or a policy does not let it through."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """A table's columns, by the attribute of the row they stand under."""

    source: str
    names: Mapping[str, str]
    quoted: Mapping[str, str]
    readers: Mapping[str, Read]
    writers: Mapping[str, Read]
    types: Mapping[str, str]
    listed: str

    def values(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """A record's values, by attribute."""
        found: dict[str, Any] = {}
        for attribute, name in self.names.items():
            value, read = record[name], self.readers[attribute]
            found[attribute] = value if read is None or value is None else read(value)
        return found

    def sent(self, row: Table, attribute: str) -> Any:
        value, write = row.__dict__[attribute], self.writers[attribute]
        return value if write is None else write(value)


@cache
def columns_of(model: type[Table]) -> Columns:
    found = {attribute.key: attribute.columns[0] for attribute in inspect(model).column_attrs}
    quoted = {key: DIALECT.identifier_preparer.quote(column.name) for key, column in found.items()}
    return Columns(
        source=str(model.__table__.fullname),  # type: ignore[attr-defined]
        names={key: column.name for key, column in found.items()},
        quoted=quoted,
        readers={key: reader(column.type) for key, column in found.items()},
        writers={key: writer(column.type) for key, column in found.items()},
        types={
            key: column.type.compile(dialect=DIALECT)
            for key, column in found.items()
            if not isinstance(column.type, ARRAY)
        },
        listed=", ".join(f"t.{name}" for name in quoted.values()),
    )


def read(model: type[T], record: Mapping[str, Any]) -> T:
    """A record as a row of its own, of no transaction."""
    return _filled(_empty(model), columns_of(model).values(record))


@cache
def by_id(model: type[LedgerTable], lock: bool) -> str:
    columns = columns_of(model)
    held = " for update" if lock else ""
    return f"select {columns.listed} from {columns.source} t where t.organization_id = $1 and t.id = $2{held}"


class Rows:
    """The rows of one transaction."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._known: dict[tuple[type[Table], int, int], Any] = {}
        self._held: set[tuple[type[Table], int, int]] = set()
        self._new: list[Any] = []

    def add(self, row: LedgerTable) -> None:
        """Insert it with the next flush."""
        self._new.append(row)

    def take(self, model: type[T], records: Iterable[Mapping[str, Any]], *, held: bool = False) -> list[T]:
        """Records as rows, each the object it was before. `held` says that nobody else can change them any more."""
        columns = columns_of(model)
        found: list[T] = []
        for record in records:
            values = columns.values(record)
            key = (model, values["organization_id"], values["id"])
            row = self._known.get(key)
            if row is None:
                row = self._known[key] = _empty(model)
            if held:
                self._held.add(key)
            found.append(_filled(row, values))
        return found

    def forget(self, row: LedgerTable) -> None:
        del self._known[_key(row)]

    def clear(self) -> None:
        self._known.clear()
        self._held.clear()

    @property
    def waiting(self) -> bool:
        """Has anything changed that was not sent."""
        return bool(self._new) or any(row._sa_instance_state.modified for row in self._known.values())

    async def flush(self) -> None:
        """Send what is new in the order it was added, then what has changed."""
        new, self._new = self._new, []
        for row in new:
            await self._insert(row)
        together: dict[type[Table], dict[Any, list[str]]] = defaultdict(dict)
        for key, row in self._known.items():
            if row._sa_instance_state.modified:
                if changed := _changed(row):
                    together[key[0]][row] = changed
                else:
                    _filled(row, {})
        for model, rows in together.items():
            names = tuple(dict.fromkeys(name for changed in rows.values() for name in changed))
            # Rows nobody else can change are written together, each with all of these columns.
            if (
                len(rows) > 1
                and self._held.issuperset(map(_key, rows))
                and columns_of(model).types.keys() >= set(names)
            ):
                await self._update_many(model, list(rows), names)
                continue
            for row, changed in rows.items():
                await self._update(model, row, tuple(changed))

    async def _insert(self, row: Any) -> None:
        model: type[Table] = type(row)
        columns = columns_of(model)
        given = tuple(name for name in columns.names if name in row.__dict__)
        (record,) = await self._fetch(_insert(model, given), [columns.sent(row, name) for name in given])
        _filled(row, columns.values(record))
        self._known[_key(row)] = row
        self._held.add(_key(row))

    async def _update(self, model: type[Table], row: Any, changed: tuple[str, ...]) -> None:
        columns = columns_of(model)
        values = [row.organization_id, row.id, *(columns.sent(row, name) for name in changed)]
        self._written(model, [row], await self._fetch(_update(model, changed), values))

    async def _update_many(self, model: type[Table], rows: list[Any], names: tuple[str, ...]) -> None:
        columns = columns_of(model)
        lists = [[columns.sent(row, name) for row in rows] for name in names]
        values = [rows[0].organization_id, [row.id for row in rows], *lists]
        self._written(model, rows, await self._fetch(_update_many(model, names), values))

    def _written(self, model: type[Table], rows: list[Any], records: Sequence[Mapping[str, Any]]) -> None:
        if len(records) != len(rows):
            raise Vanished(f"{len(rows) - len(records)} rows of {columns_of(model).source} could not be written")
        self.take(model, records)


def _empty(model: type[T]) -> T:
    made: T = inspect(model).class_manager.new_instance()  # type: ignore[assignment]
    return made


def _key(row: Any) -> tuple[type[Table], int, int]:
    return type(row), row.organization_id, row.id


def _filled(row: T, values: dict[str, Any]) -> T:
    row.__dict__.update(values)
    row._sa_instance_state._commit_all(row.__dict__)  # type: ignore[attr-defined]
    return row


def _changed(row: Any) -> list[str]:
    model: type[Table] = type(row)
    before, now = row._sa_instance_state.committed_state, row.__dict__
    return [name for name in columns_of(model).names if name in before and before[name] != now[name]]


@cache
def _insert(model: type[Table], given: tuple[str, ...]) -> str:
    columns = columns_of(model)
    names, values = ", ".join(columns.quoted[name] for name in given), ", ".join(f"${n + 1}" for n in range(len(given)))
    return f"insert into {columns.source} as t ({names}) values ({values}) returning {columns.listed}"


@cache
def _update(model: type[Table], changed: tuple[str, ...]) -> str:
    columns = columns_of(model)
    values = ", ".join(f"{columns.quoted[name]} = ${n}" for n, name in enumerate(changed, 3))
    return (
        f"update {columns.source} as t set {values} where t.organization_id = $1 and t.id = $2"
        f" returning {columns.listed}"
    )


@cache
def _update_many(model: type[Table], names: tuple[str, ...]) -> str:
    columns = columns_of(model)
    values = ", ".join(f"{columns.quoted[name]} = v.v{n}" for n, name in enumerate(names, 3))
    lists = ", ".join(f"${n}::{columns.types[name]}[]" for n, name in enumerate(names, 3))
    given = ", ".join(f"v{n}" for n in range(3, len(names) + 3))
    return (
        f"update {columns.source} as t set {values} from unnest($2::bigint[], {lists}) v (id, {given})"
        f" where t.organization_id = $1 and t.id = v.id returning {columns.listed}"
    )

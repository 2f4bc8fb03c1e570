"""Rows a transaction has in hand: read whole, changed as objects, written as what differs.

A row is one object per transaction, however often it is read. RETURNING brings every column back, so after it was written
an object says what PostgreSQL made of it: defaults, rounding, what triggers counted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

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
    renamed: Sequence[tuple[str, str]]
    """Attributes with another name than their column."""
    read: Sequence[tuple[str, Callable[[Any], Any]]]
    """Attributes whose values are not the driver's."""
    writers: Mapping[str, Read]
    listed: str

    def values(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """A record's values, by attribute."""
        found = dict(record.items())
        for attribute, name in self.renamed:
            found[attribute] = found.pop(name)
        for attribute, read in self.read:
            if found[attribute] is not None:
                found[attribute] = read(found[attribute])
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
        renamed=[(key, column.name) for key, column in found.items() if key != column.name],
        read=[(key, turn) for key, column in found.items() if (turn := reader(column.type)) is not None],
        writers={key: writer(column.type) for key, column in found.items()},
        listed=", ".join(f"t.{name}" for name in quoted.values()),
    )


def read(model: type[T], record: Mapping[str, Any]) -> T:
    """A record as a row of its own, of no transaction."""
    return _filled(_empty(model), columns_of(model).values(record))


def change(row: Table, **values: Any) -> None:
    """Set what differs: most of what is derived anew is as it was, and to set costs four times as much as to look."""
    now = row.__dict__
    for name, value in values.items():
        if name not in now or now[name] != value:
            setattr(row, name, value)


@cache
def by_key(model: type[LedgerTable], attribute: str = "id", *, lock: bool = False) -> str:
    """The rows of an organization whose column has a value, by ascending id."""
    columns = columns_of(model)
    order = "" if attribute == "id" else " order by t.id"
    held = " for update" if lock else ""
    where = f"t.organization_id = $1 and t.{columns.quoted[attribute]} = $2"
    return f"select {columns.listed} from {columns.source} t where {where}{order}{held}"


@cache
def by_link(model: type[LedgerTable], link: Any) -> str:
    """The row a row of another table points to, held."""
    columns, other = columns_of(model), columns_of(link.class_)
    return (
        f"select {columns.listed} from {columns.source} t where t.organization_id = $1 and t.id ="
        f" (select o.{other.quoted[link.key]} from {other.source} o where o.organization_id = $1 and o.id = $2) for update"
    )


class Rows:
    """The rows of one transaction."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._known: dict[tuple[type[Table], int, int], Any] = {}
        self._new: list[Any] = []

    def add(self, row: LedgerTable) -> None:
        """Insert it with the next flush."""
        self._new.append(row)

    def take(self, model: type[T], records: Iterable[Mapping[str, Any]]) -> list[T]:
        """Records as rows, each the object it was before."""
        columns = columns_of(model)
        found: list[T] = []
        for record in records:
            values = columns.values(record)
            key = (model, values["organization_id"], values["id"])
            row = self._known.get(key)
            if row is None:
                row = self._known[key] = _empty(model)
            found.append(_filled(row, values))
        return found

    def forget(self, row: LedgerTable) -> None:
        del self._known[_key(row)]

    def clear(self) -> None:
        self._known.clear()

    @property
    def waiting(self) -> bool:
        """Has anything changed that was not sent."""
        return bool(self._new) or any(row._sa_instance_state.modified for row in self._known.values())

    async def flush(self) -> None:
        """Send what is new in the order it was added, then what has changed."""
        new, self._new = self._new, []
        for row in new:
            await self._insert(row)
        for row in list(self._known.values()):
            if row._sa_instance_state.modified:
                await self._update(row)

    async def _insert(self, row: Any) -> None:
        model: type[Table] = type(row)
        columns = columns_of(model)
        given = tuple(name for name in columns.names if name in row.__dict__)
        (record,) = await self._fetch(_insert(model, given), [columns.sent(row, name) for name in given])
        _filled(row, columns.values(record))
        self._known[_key(row)] = row

    async def _update(self, row: Any) -> None:
        """A statement for each row: of several rows at once PostgreSQL would make a new plan every time."""
        model: type[Table] = type(row)
        columns = columns_of(model)
        before, now = row._sa_instance_state.committed_state, row.__dict__
        changed = tuple(name for name in columns.names if name in before and before[name] != now[name])
        if not changed:
            _filled(row, {})
            return
        values = [row.organization_id, row.id, *(columns.sent(row, name) for name in changed)]
        records = await self._fetch(_update(model, changed), values)
        if not records:
            raise Vanished(f"a row of {columns.source} could not be written")
        _filled(row, columns.values(records[0]))


def _empty(model: type[T]) -> T:
    made: T = inspect(model).class_manager.new_instance()  # type: ignore[assignment]
    return made


def _key(row: Any) -> tuple[type[Table], int, int]:
    return type(row), row.organization_id, row.id


def _filled(row: T, values: dict[str, Any]) -> T:
    row.__dict__.update(values)
    row._sa_instance_state._commit_all(row.__dict__)  # type: ignore[attr-defined]
    return row


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

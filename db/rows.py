"""Rows a transaction has in hand: read whole, changed as objects, written as what differs.

A row is one object per transaction, however often it is read. RETURNING brings every column back, so after it was written
an object says what PostgreSQL made of it: defaults, rounding, what triggers set before the row was written. What a trigger
changes afterwards, in this row or another, it does not say: such a trigger needs its rows to be read again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, TypeVar

from sqlalchemy.inspection import inspect

from db.base import LedgerTable, Table
from db.statements import DIALECT, Read, reader, writer

T = TypeVar("T", bound=Table)
Fetch = Callable[[str, Sequence[Any]], Awaitable[Sequence[Any]]]
"""Sends a statement with its values; its records."""


TOGETHER = 4
"""Rows written by one statement: a round trip costs more than a small write, and each mixture is a statement to prepare."""


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
    empty: Callable[[], Any]
    """Makes a row without values."""

    def values(self, record: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        """The values of a record's items, by attribute."""
        found = dict(record)
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
        empty=inspect(model).class_manager.new_instance,
    )


def read(model: type[T], record: Mapping[str, Any]) -> T:
    """A record as a row of its own, of no transaction."""
    columns = columns_of(model)
    row: T = columns.empty()
    return _filled(row, columns.values(record.items()))


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
            values = columns.values(record.items())
            key = (model, values["organization_id"], values["id"])
            row = self._known.get(key)
            if row is None:
                row = self._known[key] = columns.empty()
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
        """Send what is new, then what has changed: a few rows with each statement. Rows of one statement are written in no
        order that is promised: where one must be there before another is, flush in between."""
        new, self._new = self._new, []
        writes = [_Write.of_new(row) for row in new]
        for row in self._known.values():
            if row._sa_instance_state.modified:
                if write := _Write.of_changed(row):
                    writes.append(write)
                else:
                    _filled(row, {})
        for first in range(0, len(writes), TOGETHER):
            await self._write(writes[first : first + TOGETHER])
        for row in new:
            self._known[_key(row)] = row

    async def _write(self, writes: Sequence[_Write]) -> None:
        values = [writes[0].row.organization_id]
        for write in writes:
            values += write.values
        records = await self._fetch(_text(tuple((write.model, write.names, write.new) for write in writes)), values)
        if not records:
            raise Vanished(f"a row of {', '.join(columns_of(w.model).source for w in writes)} could not be written")
        ((*returned,),) = records
        for write in writes:
            columns = columns_of(write.model)
            _filled(write.row, columns.values(zip(columns.names.values(), returned, strict=False)))
            del returned[: len(columns.names)]


@dataclass(frozen=True, slots=True)
class _Write:
    """What is to be written of a row; the organization goes along with the others of its statement."""

    row: Any
    model: type[Table]
    names: tuple[str, ...]
    values: Sequence[Any]
    new: bool

    @classmethod
    def of_new(cls, row: Any) -> _Write:
        model: type[Table] = type(row)
        columns = columns_of(model)
        names = tuple(name for name in columns.names if name in row.__dict__ and name != "organization_id")
        return cls(row, model, names, [columns.sent(row, name) for name in names], True)

    @classmethod
    def of_changed(cls, row: Any) -> _Write | None:
        model: type[Table] = type(row)
        columns = columns_of(model)
        before, now = row._sa_instance_state.committed_state, row.__dict__
        names = tuple(name for name in columns.names if name in before and before[name] != now[name])
        return cls(row, model, names, [row.id, *(columns.sent(row, name) for name in names)], False) if names else None


def _key(row: Any) -> tuple[type[Table], int, int]:
    return type(row), row.organization_id, row.id


def _filled(row: T, values: dict[str, Any]) -> T:
    row.__dict__.update(values)
    row._sa_instance_state._commit_all(row.__dict__)  # type: ignore[attr-defined]
    return row


@lru_cache(maxsize=2_000)
def _text(writes: tuple[tuple[type[Table], tuple[str, ...], bool], ...]) -> str:
    """One statement for all of them, that answers one row: all columns of each, in turn. The first parameter is the
    organization."""
    parts, taken = [], 1
    for model, names, new in writes:
        columns = columns_of(model)
        if new:
            given = [f"${taken + n}" for n in range(1, len(names) + 1)]
            listed = ", ".join(["organization_id", *(columns.quoted[name] for name in names)])
            text = f"insert into {columns.source} as t ({listed}) values ({', '.join(['$1', *given])})"
        else:
            changes = ", ".join(f"{columns.quoted[name]} = ${n}" for n, name in enumerate(names, taken + 2))
            text = f"update {columns.source} as t set {changes} where t.organization_id = $1 and t.id = ${taken + 1}"
        parts.append(f"{text} returning {columns.listed}")
        taken += len(names) + (not new)
    if len(parts) == 1:
        return parts[0]
    named = ", ".join(f"w{n} as ({part})" for n, part in enumerate(parts))
    return f"with {named} select {', '.join(f'w{n}.*' for n in range(len(parts)))} from {', '.join(f'w{n}' for n in range(len(parts)))}"

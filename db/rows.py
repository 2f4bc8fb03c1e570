"""Rows a transaction has in hand: read whole, changed as objects, written as what differs.

A row is one object per transaction, however often it is read. RETURNING brings back what was written and what PostgreSQL
sets by itself, and all of a row that is not held, so after it was written an object says what PostgreSQL made of it:
defaults, rounding, what triggers set before the row was written (`server_onupdate` names it). What a trigger changes
afterwards, in this row or another, it does not say: such a trigger needs its rows to be read again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy.inspection import inspect

from db.base import Changes, LedgerTable, Table
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
    place: Mapping[str, int]
    by_server: tuple[str, ...]
    """Attributes PostgreSQL sets whenever it writes a row."""
    listed: str
    picked: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    """The values of all attributes, in order."""

    def values(self, record: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        """The values of a record's items, by attribute."""
        found = dict(record)
        for attribute, name in self.renamed:
            found[attribute] = found.pop(name)
        return self.understood(found)

    def understood(self, found: dict[str, Any]) -> dict[str, Any]:
        """The driver's values, by attribute, as the columns'; in place."""
        for attribute, read in self.read:
            if found.get(attribute) is not None:
                found[attribute] = read(found[attribute])
        return found

    def stored(self, row: Table) -> dict[str, Any]:
        """A whole row's values, by the columns' names."""
        return dict(zip(self.names.values(), self.picked(row.__dict__), strict=True))

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
        place={key: place for place, key in enumerate(found)},
        by_server=tuple(key for key, column in found.items() if column.server_onupdate is not None),
        listed=", ".join(f"t.{name}" for name in quoted.values()),
        picked=itemgetter(*found),
    )


def read(model: type[T], record: Mapping[str, Any]) -> T:
    """A record as a row of its own, of no transaction."""
    return _made(model, columns_of(model).values(record.items()), None)


def change(row: Table, **values: Any) -> None:
    """Set what differs: most of what is derived anew is as it was."""
    now = row.__dict__
    if values.items() <= now.items():
        return
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
        self._changes: Changes = {}
        self._failed = False

    def add(self, row: LedgerTable) -> None:
        """Insert it with the next flush."""
        self._new.append(row)

    def take(self, model: type[T], records: Iterable[Mapping[str, Any]], *, held: bool = False) -> list[T]:
        """Records as rows, each the object it was before. Nobody else writes those that are held."""
        columns = columns_of(model)
        found: list[T] = []
        for record in records:
            values = columns.values(record.items())
            key = (model, values["organization_id"], values["id"])
            row = self._known.get(key)
            if row is None:
                row = self._known[key] = _made(model, values, self._changes)
            else:
                row.__dict__.update(values)
            if held:
                object.__setattr__(row, "_held", True)
            found.append(row)
        return found

    def forget(self, row: LedgerTable) -> None:
        del self._known[_key(row)]
        self._changes.pop(row, None)
        object.__setattr__(row, "_changes", None)

    def clear(self) -> None:
        """From here on, what is changed of these rows is nobody's business."""
        self._known.clear()
        self._changes = {}

    @property
    def waiting(self) -> bool:
        """Has anything changed that was not sent."""
        return bool(self._new or self._changes or self._failed)

    async def flush(self) -> None:
        """Send what is new, then what has changed: a few rows with each statement. Rows of one statement are written in no
        order that is promised: where one must be there before another is, flush in between."""
        if self._failed:
            raise RuntimeError("a write failed and was passed over")
        self._failed = True  # until all of it is sent: what is not must not be forgotten
        new, self._new = self._new, []
        writes = [_Write.of_new(row) for row in new]
        for row, before in self._changes.items():
            if names := _changed(row, before):
                writes.append(_Write.of_changed(row, names))
        self._changes.clear()
        for first in range(0, len(writes), TOGETHER):
            await self._write(writes[first : first + TOGETHER])
        for row in new:
            self._known[_key(row)] = row
            object.__setattr__(row, "_changes", self._changes)
            object.__setattr__(row, "_held", True)
        self._failed = False

    async def _write(self, writes: Sequence[_Write]) -> None:
        values = [writes[0].row.organization_id]
        for write in writes:
            values += write.values
        records = await self._fetch(
            _text(tuple((write.model, write.names, write.new, write.whole) for write in writes)), values
        )
        if not records:
            raise Vanished(f"a row of {', '.join(columns_of(w.model).source for w in writes)} could not be written")
        (returned,) = records
        first = 0
        for write in writes:
            names = _returned(write.model, write.names, write.whole)
            found = dict(zip(names, returned[first : first + len(names)], strict=True))
            write.row.__dict__.update(columns_of(write.model).understood(found))
            first += len(names)


@dataclass(frozen=True, slots=True)
class _Write:
    """What is to be written of a row; the organization goes along with the others of its statement."""

    row: Any
    model: type[Table]
    names: tuple[str, ...]
    values: Sequence[Any]
    new: bool
    whole: bool
    """All of the row is brought back, not only what is known to differ."""

    @classmethod
    def of_new(cls, row: Any) -> _Write:
        model: type[Table] = type(row)
        names, picked, written = _given(model, frozenset(row.__dict__))
        values = [*picked(row.__dict__)]
        for place, write in written:
            values[place] = write(values[place])
        return cls(row, model, names, values, True, True)

    @classmethod
    def of_changed(cls, row: Any, names: tuple[str, ...]) -> _Write:
        model: type[Table] = type(row)
        columns = columns_of(model)
        return cls(row, model, names, [row.id, *(columns.sent(row, name) for name in names)], False, not row._held)


@lru_cache(maxsize=2_000)
def _given(model: type[Table], attributes: frozenset[str]) -> tuple[tuple[str, ...], Any, list[tuple[int, Any]]]:
    """Of a new row: what is written besides its organization, in order; what takes the values from it; and what makes some of
    them the driver's, by place."""
    columns = columns_of(model)
    names = tuple(name for name in columns.names if name in attributes and name != "organization_id")
    written = [(place, write) for place, name in enumerate(names) if (write := columns.writers[name]) is not None]
    return names, itemgetter(*names) if len(names) > 1 else (lambda row: tuple(row[name] for name in names)), written


def _changed(row: Table, before: Mapping[str, Any]) -> tuple[str, ...]:
    """What differs of what was set, in the order of the columns."""
    now, place = row.__dict__, columns_of(type(row)).place
    return tuple(
        sorted((name for name in before if name in place and before[name] != now[name]), key=place.__getitem__)
    )


@lru_cache(maxsize=2_000)
def _returned(model: type[Table], names: tuple[str, ...], whole: bool) -> tuple[str, ...]:
    """Attributes a statement brings back: all of a row that is new, or that others may have changed since it was read; of one
    that is held what was written and what PostgreSQL sets."""
    columns = columns_of(model)
    return tuple(columns.names) if whole else tuple(dict.fromkeys((*names, *columns.by_server)))


def _key(row: Any) -> tuple[type[Table], int, int]:
    return type(row), row.organization_id, row.id


def _made(model: type[T], values: dict[str, Any], changes: Changes | None) -> T:
    row = object.__new__(model)
    object.__setattr__(row, "_changes", changes)
    object.__setattr__(row, "_held", False)
    object.__setattr__(row, "__dict__", values)
    return row


@lru_cache(maxsize=2_000)
def _text(writes: tuple[tuple[type[Table], tuple[str, ...], bool, bool], ...]) -> str:
    """One statement for all of them, that answers one row: what comes back of each, in turn. The first parameter is the
    organization."""
    parts, taken = [], 1
    for model, names, new, whole in writes:
        columns = columns_of(model)
        if new:
            given = [f"${taken + n}" for n in range(1, len(names) + 1)]
            listed = ", ".join(["organization_id", *(columns.quoted[name] for name in names)])
            text = f"insert into {columns.source} as t ({listed}) values ({', '.join(['$1', *given])})"
        else:
            changes = ", ".join(f"{columns.quoted[name]} = ${n}" for n, name in enumerate(names, taken + 2))
            text = f"update {columns.source} as t set {changes} where t.organization_id = $1 and t.id = ${taken + 1}"
        returned = ", ".join(f"t.{columns.quoted[name]}" for name in _returned(model, names, whole))
        parts.append(f"{text} returning {returned}")
        taken += len(names) + (not new)
    if len(parts) == 1:
        return parts[0]
    named = ", ".join(f"w{n} as ({part})" for n, part in enumerate(parts))
    return f"with {named} select {', '.join(f'w{n}.*' for n in range(len(parts)))} from {', '.join(f'w{n}' for n in range(len(parts)))}"

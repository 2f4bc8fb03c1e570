"""From SQLAlchemy's expressions to the driver's text and values, and from its records to rows.

A statement's text is compiled once per shape and run by asyncpg. SQLAlchemy's own asynchronous execution goes through a
greenlet and a cursor of its own, which costs several times what most of our statements take.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Numeric, Row
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.sql import Executable

Read = Callable[[Any], Any] | None
"""Makes a driver's value the column's; None where it is that already."""

DIALECT: Any = asyncpg_dialect()  # type: ignore[no-untyped-call]
MOST_COMPILED = 2_000
_NUMERIC = 1700
_COMPILED: OrderedDict[Any, Any] = OrderedDict()
_SHAPES: OrderedDict[Any, Shape] = OrderedDict()


@dataclass(frozen=True, slots=True)
class Shape:
    """Names of a result's columns, and what reads their values."""

    names: tuple[str, ...]
    readers: tuple[Read, ...] | None
    """None where no value needs any."""
    meta: SimpleResultMetaData

    @classmethod
    def of(cls, names: Sequence[str], readers: Sequence[Read]) -> Shape:
        return cls(tuple(names), tuple(readers) if any(readers) else None, SimpleResultMetaData(names))

    def row(self, record: Sequence[Any]) -> Row[Any]:
        readers: Any = self.readers
        return Row(self.meta, readers, self.meta._key_to_index, tuple(record))


@dataclass(frozen=True, slots=True)
class Ready:
    """A statement as the driver takes it."""

    text: str
    values: Sequence[Any]
    compiled: Any

    def shape(self, records: Sequence[Any]) -> Shape:
        """Of the records it answered. What SQLAlchemy does not know the columns of, as of plain text, is told by them."""
        return _shape(self.compiled, tuple(records[0].keys()))


def ready(statement: Executable, params: Mapping[str, Any] | None = None) -> Ready:
    expression: Any = statement
    key = expression._generate_cache_key()
    names = None if params is None else tuple(sorted(params))
    compiled = None if key is None else _COMPILED.get((key.key, names))
    if compiled is None:
        compiled = expression.compile(
            dialect=DIALECT, cache_key=key, column_keys=None if names is None else list(names)
        )
        if key is not None:
            _keep(_COMPILED, (key.key, names), compiled)
    given = compiled.construct_params(
        params, extracted_parameters=None if key is None else key.bindparams, _no_postcompile=True
    )
    if compiled.post_compile_params or compiled.literal_execute_params:  # lists of `in` have a parameter for each entry
        expanded = compiled._process_parameters_for_postcompile(given)
        return Ready(
            expanded.statement,
            _bound(expanded.positiontup, expanded.parameters, {**compiled._bind_processors, **expanded.processors}),
            compiled,
        )
    return Ready(str(compiled), _bound(compiled.positiontup, given, compiled._bind_processors), compiled)


def reader(kind: Any) -> Read:
    """What makes a driver's value one of a column of this type."""
    found: Read = kind._cached_result_processor(DIALECT, _NUMERIC if isinstance(kind, Numeric) else None)
    return found


def writer(kind: Any) -> Read:
    """What makes a column's value the driver's."""
    found: Read = kind._cached_bind_processor(DIALECT)
    return found


def _bound(names: Sequence[str] | None, values: Mapping[str, Any], processors: Mapping[str, Any]) -> list[Any]:
    return [processors[name](values[name]) if name in processors else values[name] for name in names or ()]


def _shape(compiled: Any, names: tuple[str, ...]) -> Shape:
    key = (compiled, names)
    found = _SHAPES.get(key)
    if found is None:
        known = compiled._result_columns
        in_place = known if len(known) == len(names) else [None] * len(names)
        found = Shape.of(names, [None if entry is None else reader(entry.type) for entry in in_place])
        _keep(_SHAPES, key, found)
    return found


def _keep(known: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    known[key] = value
    if len(known) > MOST_COMPILED:
        known.popitem(last=False)

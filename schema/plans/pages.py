"""What the arguments of a field become in a statement: conditions, order and size, with the values beside the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, BigInteger, ColumnElement, Integer
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

from db.paging import Key, beyond
from db.values import holds
from schema.connection import Page
from schema.faults import bad_input
from schema.fields import key_is
from schema.ids import decode, key
from schema.listing import snake
from schema.plans.encode import name_of, quoted
from schema.plans.tree import Arguments

_DIALECT: Any = asyncpg_dialect()  # type: ignore[no-untyped-call]
_COMPILED: dict[Any, Any] = {}
MOST_COMPILED = 1_000


class Clause(NamedTuple):
    """A condition's text, its parameters numbered from 1, their values, and the types the text says they are of."""

    text: str
    values: tuple[Any, ...] = ()
    kinds: tuple[Any, ...] = ()


NOTHING = Clause("")


@dataclass(slots=True)
class PageSql:
    """One page's share of the statement. The `shape` decides the text, the `values` go beside it."""

    condition: Clause
    past: Clause
    """That a row lies beyond the cursor."""
    order: tuple[tuple[str, str], ...]
    """Names of columns, each with its direction."""
    backwards: bool
    size: int
    fingerprint: str = ""
    """Of cursors of this page."""
    started: bool = False
    """It begins at a cursor."""

    @property
    def shape(self) -> tuple[Any, ...]:
        return self.condition.text, self.past.text, self.order, self.backwards, self.size

    @property
    def values(self) -> tuple[Any, ...]:
        return self.condition.values + self.past.values

    @property
    def sure(self) -> bool:
        """PostgreSQL takes the values; a place in a list was looked at when its cursor was read."""
        return all(holds(kind, value) for kind, value in zip(self.condition.kinds, self.condition.values, strict=True))


def page_sql(arguments: Arguments, variables: Any) -> PageSql:
    """Raises what the loaders would raise: a Fault for a cursor, a size or an id that is wrong."""
    given = arguments.read(variables)
    if arguments.types:
        return PageSql(_by_ids(arguments, given["ids"]), NOTHING, (), False, 1)
    if arguments.listing is None:
        return PageSql(_looked_up(arguments, given), NOTHING, (), False, 1)
    page = Page.of(arguments.listing, **given, parent=arguments.parent)
    keys, past = tuple(page.keys), NOTHING
    if page.at is not None:
        text, places = _past(keys, tuple(value is not None for value in page.at), page.backwards)
        past = Clause(text, tuple(page.at[place] for place in places))
    return PageSql(
        _condition(arguments, page),
        past,
        _order(keys, page.backwards),
        page.backwards,
        page.size,
        page.fingerprint,
        page.at is not None,
    )


def _condition(arguments: Arguments, page: Page) -> Clause:
    """Conditions that stand in the document, or in the list itself, are read once: they are the same object every time."""
    if arguments.known is None or arguments.known[0] is not page.where:
        arguments.known = page.where, _clause(page.condition)
    return arguments.known[1]


@lru_cache(maxsize=2_000)
def _past(keys: tuple[Key, ...], known: tuple[bool, ...], backwards: bool) -> tuple[str, tuple[int, ...]]:
    """The condition that a row lies beyond a position, and which of its values the parameters are."""
    position = [str(place) if is_known else None for place, is_known in enumerate(known)]
    text, places, _ = _clause(beyond(keys, position, backwards=backwards))
    return text, tuple(int(place) for place in places)


@lru_cache(maxsize=2_000)
def _order(keys: tuple[Key, ...], backwards: bool) -> tuple[tuple[str, str], ...]:
    return tuple((name_of(key.column), _direction(key, backwards)) for key in keys)


def order_by(order: Sequence[tuple[str, str]], source: str) -> str:
    return "order by " + ", ".join(f"{source}.{quoted(name)} {direction}" for name, direction in order)


def _direction(key: Key, backwards: bool) -> str:
    """As `Key.clause` says it to SQLAlchemy."""
    direction = "desc" if key.descending is not backwards else "asc"
    if key.nullable:
        direction += " nulls first" if backwards else " nulls last"
    return direction


def backwards(order: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The opposite order."""
    turned = {"asc": "desc", "desc": "asc", "first": "last", "last": "first", "nulls": "nulls"}
    return tuple((name, " ".join(turned[word] for word in direction.split())) for name, direction in order)


def _looked_up(arguments: Arguments, by: Mapping[str, Any]) -> Clause:
    assert arguments.node is not None
    declared = arguments.node.__declared__
    ((name, value),) = by.items()
    if value is None:
        raise bad_input("Exactly one key, and not null", "by")
    if name == "id":
        return key_of(declared.table, key(declared.name, value, "by.id"))
    if isinstance(value, Mapping):
        value = SimpleNamespace(**{snake(part): given for part, given in value.items()})
    return _clause(key_is(arguments.keys[snake(name)], value))


def _by_ids(arguments: Arguments, ids: Sequence[str]) -> Clause:
    """The rows of (type, key) to find objects for, instead of a condition."""
    if len(ids) > arguments.most:
        raise bad_input(f"At most {arguments.most} ids", "ids")
    numbers = {name: number for number, name in enumerate(arguments.types)}
    named = [decode(id) for id in ids]
    values = [numbers[name] for name, _ in named], [key for _, key in named]
    return Clause("unnest($1::integer[], $2::bigint[])", values, (ARRAY(Integer()), ARRAY(BigInteger())))


def key_of(table: Any, id: int | None) -> Clause:
    return Clause(f"{source(table)}.id = $1", (id,), (BigInteger(),))


@lru_cache(maxsize=1_000)
def source(table: Any) -> str:
    """The table as SQLAlchemy names it in conditions."""
    return str(table.__table__.fullname)


def _clause(clause: ColumnElement[bool] | None) -> Clause:
    """The text of conditions that differ in values alone is made once."""
    if clause is None:
        return NOTHING
    known: Any = clause._generate_cache_key()
    compiled = None if known is None else _COMPILED.get(known.key)
    if compiled is None:
        compiled = _compiled(clause, known)
        if known is not None:
            if len(_COMPILED) >= MOST_COMPILED:
                _COMPILED.clear()
            _COMPILED[known.key] = compiled
    made, names, kinds = compiled
    values: Mapping[str, Any] = made.construct_params(extracted_parameters=None if known is None else known.bindparams)
    prepare: Mapping[str, Any] = made._bind_processors
    return Clause(str(made), tuple(prepare[n](values[n]) if n in prepare else values[n] for n in names), kinds)


def _compiled(clause: ColumnElement[bool], known: Any) -> tuple[Any, tuple[str, ...], tuple[Any, ...]]:
    """With the names of its parameters and their types."""
    made: Any = clause.compile(dialect=_DIALECT, cache_key=known, compile_kwargs={"render_postcompile": True})
    names = tuple(made.positiontup or ())
    return made, names, tuple(made.binds[name].type for name in names)

"""From the tree to one statement: each root field is a column of JSON, links and lists are subselects in their place.

Text is made from names of tables and columns, from the document's response keys, which GraphQL keeps to plain letters,
digits and underscores, and from whole numbers; every value is a parameter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, count
from typing import Any

from db.session import CONTEXT, CONTEXT_SETTINGS
from schema.connection import COUNT_STOPS_AT
from schema.plans.encode import carried, literal, name_of, nullable, quoted, show_id, shown
from schema.plans.pages import Clause, PageSql, backwards, order_by, source
from schema.plans.tree import (
    Edges,
    Id,
    Info,
    Link,
    List,
    Made,
    Nodes,
    Part,
    Parts,
    Root,
    Selected,
    Several,
    Total,
    Typename,
    Value,
)

_PARAMETER = re.compile(r"\$(\d+)")
_PLACE = re.compile(r"place\.v(\d+)")
_COUNTED = {"value": f"least(k.n, {COUNT_STOPS_AT})", "exact": f"k.n <= {COUNT_STOPS_AT}"}


@dataclass(frozen=True, slots=True)
class Statement:
    """One row with a column for each root field."""

    text: str
    takes: tuple[int, ...]
    """Which of the values of each page in turn its parameters are: a page that is not read, because only the name of its
    type is asked for, leaves its values out."""

    def values(self, pages: Sequence[PageSql]) -> list[Any]:
        given = list(chain.from_iterable(page.values for page in pages))
        return [given[place] for place in self.takes]


def statement(roots: Sequence[Root], pages: Sequence[PageSql], *, alone: bool) -> Statement:
    """Alone it brings its caller along; within a transaction that knows the caller its first parameter is the
    organization."""
    context, own = (CONTEXT, CONTEXT_SETTINGS) if alone else ("with context as (select $1::integer as org) ", 1)
    writer = _Writer(pages, own)
    columns = ", ".join(writer.root(root) for root in roots)
    text = f"{context}{_hidden(columns)}"
    takes = sorted({number - own for found in _PARAMETER.findall(text) if (number := int(found)) > own})
    places = {place + own: own + n for n, place in enumerate(takes, 1)}
    text = _PARAMETER.sub(lambda found: f"${places.get(int(found[1]), found[1])}", text)
    return Statement(text, tuple(place - 1 for place in takes))


def _hidden(columns: str) -> str:
    """The values of cursors come from a row beside the caller's, where the planner cannot see them. It would make a plan
    for each place in a list, and the same one each time; making it took as long as reading the rows."""
    numbers = dict.fromkeys(_PLACE.findall(columns))
    if not numbers:
        return f"select {columns} from context"
    values = ", ".join(f"${number}::varchar as v{number}" for number in numbers)
    return f", place as materialized (select {values}) select {columns} from context, place"


class _Writer:
    def __init__(self, pages: Sequence[PageSql], own: int) -> None:
        """`own` parameters stand before those of the pages."""
        self._pages = pages
        self._taken = list(accumulate((len(page.values) for page in pages), initial=own))
        self._number = count()

    def _alias(self) -> str:
        return f"t{next(self._number)}"

    def root(self, root: Root) -> str:
        if isinstance(root, List):
            return f"(select row_to_json(r$)::text from ({self._connection(root, None)}) r$)"
        if isinstance(root, Several):
            return f"{self._several(root)}::text"
        t, table = self._alias(), source(root.target.node.__declared__.table)
        columns = _columns(table, _needed(root.target))
        row = f"(select {columns} from {table} where {table}.organization_id = context.org{self._and(root.page)} limit 1) {t}"
        return f"(select row_to_json(r$)::text from (select {self._fields(root.target, t)} from {row}) r$)"

    def _several(self, root: Several) -> str:
        """In the order of the ids; null for each that is not found."""
        i, ids = self._alias(), _numbered(self._pages[root.page].condition, self._taken[root.page])
        found = " ".join(
            f"when {number} then (select row_to_json(o$) from {self._found(target, f'{i}.key')})"
            for number, target in enumerate(root.targets)
        )
        return _array(
            f"select case {i}.type {found} end from {ids} with ordinality {i}(type, key, place) order by {i}.place"
        )

    # --- objects --------------------------------------------------------------------------------------------------

    def _fields(self, selected: Selected, t: str) -> str:
        return ", ".join(f"{self._field(field, selected, t)} as {quoted(field.key)}" for field in selected.fields)

    def _field(self, field: object, selected: Selected, t: str) -> str:
        match field:
            case Typename(name=name):
                return f"{literal(name)}::text"
            case Id():
                return show_id(selected.node.__declared__.name, f"{t}.id")
            case Value(column=column, type=kind):
                return _shown(kind, column, t)
            case Parts():
                return _parts(field, t)
            case Made(columns=columns):
                return "json_build_array(" + ", ".join(_carried(column, t) for column in columns) + ")"
            case Link(column=column, target=target):
                return f"(select o$ from {self._found(target, _of(t, column))})"
            case List():
                return f"(select c$ from ({self._connection(field, t)}) c$)"
        raise AssertionError(field)

    def _found(self, target: Selected, key: str) -> str:
        """The object with a key."""
        t, table = self._alias(), source(target.node.__declared__.table)
        return (
            f"(select {self._fields(target, t)} from {table} {t}"
            f" where {t}.organization_id = context.org and {t}.id = {key}) o$"
        )

    # --- connections ----------------------------------------------------------------------------------------------

    def _connection(self, asked: List, parent: str | None) -> str:
        """One row: the connection. Where several of its parts read the page, it is read once for them."""
        page = self._pages[asked.page]
        readers = [part for part in asked.parts if isinstance(part, Nodes | Edges | Info)]
        one_more = any(isinstance(part, Info) for part in readers)
        table = source(asked.node.__declared__.table)
        needed = [name for name, _ in page.order]
        for part in readers:
            needed += _needed_by(part)
        rows = (
            f"(select {_columns(table, needed)} from {table} where {self._where(asked, parent)}{self._and(asked.page, past=True)}"
            f" {order_by(page.order, table)} limit {page.size + one_more})"
        )
        before = ""
        if len(readers) > 1:
            name = f"p{next(self._number)}"
            before, rows = f"with {name} as materialized {rows} ", name
        parts = ", ".join(
            f"{self._part(part, asked, rows, parent, cut=one_more)} as {quoted(part.key)}" for part in asked.parts
        )
        return f"{before}select {parts}"

    def _part(self, part: Part, asked: List, rows: str, parent: str | None, *, cut: bool) -> str:
        page, t = self._pages[asked.page], self._alias()
        in_order = order_by(backwards(page.order) if page.backwards else page.order, t)
        match part:
            case Typename(name=name):
                return f"{literal(name)}::text"
            case Total():
                return self._total(part, asked, parent)
            case Info():  # in the order it was read in: Python cuts it
                return _array(f"select {_position(page, t)} from {rows} {t} {order_by(page.order, t)}")
            case Nodes(each=each):
                fields = self._fields(each, t)
            case Edges(members=members):
                fields = ", ".join(f"{self._edge(member, page, t)} as {quoted(key)}" for key, member in members)
        if cut:
            rows = f"(select * from {rows} {t} {order_by(page.order, t)} limit {page.size})"
        return _array(f"select r$ from (select {fields} from {rows} {t} {in_order}) r$")

    def _edge(self, member: str | Selected, page: PageSql, t: str) -> str:
        if isinstance(member, Selected):
            return f"(select n$ from (select {self._fields(member, t)}) n$)"
        return _position(page, t) if member == "cursor" else f"{literal(member[1:])}::text"

    def _total(self, part: Total, asked: List, parent: str | None) -> str:
        members = ", ".join(
            f"{_COUNTED.get(name) or literal(name[1:]) + '::text'} as {quoted(key)}" for key, name in part.members
        )
        rows = (
            f"select 1 from {source(asked.node.__declared__.table)}"
            f" where {self._where(asked, parent)}{self._and(asked.page)} limit {COUNT_STOPS_AT + 1}"
        )
        return f"(select o$ from (select {members} from (select count(*) as n from ({rows}) x) k) o$)"

    # --- conditions -----------------------------------------------------------------------------------------------

    def _where(self, asked: List, parent: str | None) -> str:
        table = source(asked.node.__declared__.table)
        own = f"{table}.organization_id = context.org"
        if parent is None:
            return own
        return f"{own} and {table}.{quoted(name_of(asked.foreign_key))} = {parent}.id"

    def _and(self, number: int, *, past: bool = False) -> str:
        page, first = self._pages[number], self._taken[number]
        clauses = [_numbered(page.condition, first)]
        if past:
            taken = first + len(page.condition.values)
            clauses.append(_PARAMETER.sub(lambda found: f"place.v{int(found[1]) + taken}", page.past.text))
        return "".join(f" and ({clause})" for clause in clauses if clause)


def _needed(selected: Selected) -> Iterator[str]:
    """Columns of the object's own row."""
    for field in selected.fields:
        match field:
            case Value(column=column) | Link(column=column):
                yield name_of(column)
            case Parts(columns=columns) | Made(columns=columns):
                yield from map(name_of, columns)


def _needed_by(part: Part) -> Iterator[str]:
    match part:
        case Nodes(each=each):
            yield from _needed(each)
        case Edges(members=members):
            for _, member in members:
                if isinstance(member, Selected):
                    yield from _needed(member)


def _columns(table: str, names: Iterable[str]) -> str:
    """Those of a page: a row is as wide in sorts and between the steps of a plan as what is named here, with `*` wider."""
    return ", ".join(f"{table}.{quoted(name)}" for name in sorted({"id", *names}))


def _numbered(clause: Clause, taken: int) -> str:
    """The clause with its parameters counted on from those taken already."""
    return _PARAMETER.sub(lambda found: f"${int(found[1]) + taken}", clause.text)


def _array(rows: str) -> str:
    return f"array_to_json(array({rows}))"


def _of(t: str, column: object) -> str:
    return f"{t}.{quoted(name_of(column))}"


def _shown(kind: object, column: object, t: str) -> str:
    text = shown(kind, column, _of(t, column))
    assert text is not None, "the collector asked before"
    return text


def _carried(column: object, t: str) -> str:
    found = carried(column, _of(t, column))
    assert found is not None, "the collector asked before"
    return found[0]


def _parts(field: Parts, t: str) -> str:
    members = ", ".join(
        f"{literal(place) + '::text' if isinstance(place, str) else _shown(kind, field.columns[place], t)} as {quoted(key)}"
        for key, place, kind in field.members
    )
    whole = f"(select o$ from (select {members}) o$)"
    first = field.columns[0]
    return f"case when {_of(t, first)} is not null then {whole} end" if nullable(first) else whole


def _position(page: PageSql, t: str) -> str:
    """The values a cursor holds, as text."""
    return "json_build_array(" + ", ".join(f"{t}.{quoted(name)}::text" for name, _ in page.order) + ")"

"""Scalars as the loaders print them, made by PostgreSQL; and values on their way to a function in Python."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from graphql import GraphQLEnumType
from sqlalchemy import ARRAY, Boolean, Date, Integer, Numeric, Text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from db.base import EnumText


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def name_of(column: Any) -> str:
    """The column's name in the database."""
    return str(column.property.columns[0].name)


def nullable(column: Any) -> bool:
    return bool(column.property.columns[0].nullable)


def show_id(type_name: str, key: str) -> str:
    """The opaque id of a key, as `schema.ids.encode` makes it."""
    if len(type_name) > 30:
        raise ValueError("base64 of PostgreSQL breaks lines after 57 bytes")
    return f"encode(({literal(type_name + ':')} || {key})::bytea, 'base64')"


def _show_instant(c: str) -> str:
    digits = (
        f"case when date_trunc('second', {c}) = {c} "
        'then \'YYYY-MM-DD"T"HH24:MI:SS"Z"\' else \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\' end'
    )
    return f"to_char({c} at time zone 'UTC', {digits})"


_SHOWN: dict[tuple[str, type], Callable[[str], str]] = {
    ("String", Text): lambda c: c,
    ("Int", Integer): lambda c: c,
    ("Boolean", Boolean): lambda c: c,
    ("BigInt", Integer): lambda c: f"{c}::text",
    ("Decimal", Numeric): lambda c: f"trim_scale({c})::text",
    ("DateTime", TIMESTAMP): _show_instant,
    ("Date", Date): lambda c: f"to_char({c}, 'YYYY-MM-DD')",
}
"""By GraphQL scalar and the kind of column it stands in: what PostgreSQL puts into the JSON."""


def shown(graphql_type: Any, column: Any, c: str) -> str | None:
    """The SQL of a column as a value of the answer; None where only Python can print it."""
    if isinstance(graphql_type, GraphQLEnumType):
        return _shown_enum(graphql_type, column, c) if isinstance(column.type, EnumText) else None
    for (name, kind), show in _SHOWN.items():
        if graphql_type.name == name and isinstance(column.type, kind) and not isinstance(column.type, EnumText):
            return show(c)
    return None


def _shown_enum(graphql_type: GraphQLEnumType, column: Any, c: str) -> str | None:
    names = {str(member): member.name for member in column.type.enum_class}
    if set(names.values()) - set(graphql_type.values):
        return None
    if all(name == value.upper() for value, name in names.items()):
        return f"upper({c})"
    return f"case {c} " + " ".join(f"when {literal(v)} then {literal(n)}" for v, n in names.items()) + " end"


def _same(value: Any) -> Any:
    return value


def carried(column: Any, c: str) -> tuple[str, Callable[[Any], Any]] | None:
    """How a column travels to a function in Python: its SQL, and what makes the JSON value the column's value again."""
    kind = column.type
    if isinstance(kind, EnumText):
        return c, kind.enum_class
    if isinstance(kind, Numeric):
        return f"{c}::text", Decimal
    if isinstance(kind, TIMESTAMP):
        return f"to_char({c} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US+00:00')", datetime.fromisoformat
    if isinstance(kind, Date):
        return f"to_char({c}, 'YYYY-MM-DD')", date.fromisoformat
    if isinstance(kind, Text | Integer | Boolean | JSONB):
        return c, _same
    if isinstance(kind, ARRAY) and isinstance(kind.item_type, Text | Integer):
        return c, _same
    return None

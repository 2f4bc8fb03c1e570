"""Typed operators of `where`, one input type per kind of column, and how each becomes a condition."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any

import strawberry
from sqlalchemy import Boolean as SqlBoolean
from sqlalchemy import ColumnElement, Date, Integer, Numeric, String, any_, cast, false, func, literal
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP
from strawberry import UNSET

from db.base import EnumText
from schema.enums import enum_name
from schema.faults import bad_input
from schema.ids import key

MOST_VALUES = 1_000


def _one_of(column: Any, values: list[Any]) -> ColumnElement[bool]:
    """One parameter however many values: a statement takes only so many."""
    return column == any_(literal(values, ARRAY(column.type))) if values else false()


_OPERATORS: dict[str, tuple[str, Callable[[Any, Any], ColumnElement[bool]]]] = {
    "eq": ("Equal to; null: has no value", lambda c, v: c.is_(None) if v is None else c == v),
    "in": ("One of at most 1,000 values; an empty list matches nothing", _one_of),
    "gte": ("At least", lambda c, v: c >= v),
    "gt": ("More than", lambda c, v: c > v),
    "lte": ("At most", lambda c, v: c <= v),
    "lt": ("Less than", lambda c, v: c < v),
    "starts_with": ("Starts with, case-sensitive", lambda c, v: c.op("^@", is_comparison=True)(cast(v, String))),
    "contains": ("Contains, whatever the case", lambda c, v: func.strpos(func.lower(c), func.lower(cast(v, String))) > 0),
    "is_null": ("True: has no value; false: has one", lambda c, v: c.is_(None) if v else c.is_not(None)),
}  # fmt: skip
_LISTS = {"in"}
_EQUALITY = ("eq", "in", "is_null")
_RANGE = ("eq", "in", "gte", "gt", "lte", "lt", "is_null")


def _filter(name: str, value: Any, operators: tuple[str, ...], what: str) -> type:
    """An input type with the named operators over values of one type."""
    annotations: dict[str, Any] = {}
    members: dict[str, Any] = {}
    for operator in operators:
        kind = bool if operator == "is_null" else list[value] if operator in _LISTS else value
        attribute = "in_" if operator == "in" else operator
        annotations[attribute] = kind | None
        members[attribute] = strawberry.field(
            name="in" if operator == "in" else None, default=UNSET, description=_OPERATORS[operator][0]
        )
    made = type(name, (), {"__annotations__": annotations, "__module__": __name__, **members})
    return strawberry.input(made, name=name, description=f"Conditions on {what}; all of them must hold")


StringFilter = _filter("StringFilter", str, ("eq", "in", "starts_with", "contains", "is_null"), "a text")
IDFilter = _filter("IDFilter", strawberry.ID, _EQUALITY, "what a link points to")
IntFilter = _filter("IntFilter", int, _RANGE, "an integer")
DecimalFilter = _filter("DecimalFilter", Decimal, _RANGE, "a decimal number")
DateTimeFilter = _filter("DateTimeFilter", datetime, _RANGE, "an instant")
DateFilter = _filter("DateFilter", date, _RANGE, "a calendar date")
BooleanFilter = _filter("BooleanFilter", bool, ("eq",), "a yes or no")


@cache
def _enum_filter(enum_class: type[Enum]) -> type:
    name = enum_name(enum_class)
    return _filter(f"{name}Filter", enum_class, _EQUALITY, f"the enum {name}")


_BY_COLUMN_TYPE: tuple[tuple[type, type], ...] = (
    (SqlBoolean, BooleanFilter), (TIMESTAMP, DateTimeFilter), (Date, DateFilter), (Integer, IntFilter),
    (Numeric, DecimalFilter), (String, StringFilter),
)  # fmt: skip


def filter_for(column: Any, ref: str | None) -> type:
    """The operators that fit a column."""
    if ref is not None:
        return IDFilter
    if isinstance(column.type, EnumText):
        return _enum_filter(column.type.enum_class)
    return next(made for kind, made in _BY_COLUMN_TYPE if isinstance(column.type, kind))


def conditions(column: Any, ref: str | None, given: Any, argument: str) -> list[ColumnElement[bool]]:
    """The conditions of one filled-in filter."""
    clauses = []
    for operator, (_, condition) in _OPERATORS.items():
        value = getattr(given, "in_" if operator == "in" else operator, UNSET)
        if value is UNSET:
            continue
        if value is None and operator != "eq":
            raise bad_input(f"`{operator}` takes a value, not null", argument)
        if operator in _LISTS and len(value) > MOST_VALUES:
            raise bad_input(f"At most {MOST_VALUES} values", argument)
        if ref is not None and operator == "eq" and value is not None:
            value = key(ref, value, argument)
        elif ref is not None and operator in _LISTS:
            value = [key(ref, id, argument) for id in value]
        clauses.append(condition(column, value))
    return clauses

"""Keyset pages in both directions: the rows past the last one seen, for any mix of orders and nullable columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, String, and_, cast, false, literal, or_, tuple_

from db.values import holds

_MOMENT = r"\d{4}-\d\d-\d\d"
_FORMS = {
    int: re.compile(r"-?\d{1,18}", re.ASCII),
    Decimal: re.compile(r"-?\d{1,40}(\.\d{1,40})?", re.ASCII),
    date: re.compile(_MOMENT, re.ASCII),
    datetime: re.compile(_MOMENT + r" \d\d:\d\d:\d\d(\.\d{1,6})?[+-](0\d|1[0-5])(:[0-5]\d)?", re.ASCII),
}
"""How PostgreSQL writes values of these types."""


@dataclass(frozen=True)
class Key:
    """One column of an order. Nulls come last in either direction."""

    column: Any
    descending: bool = False
    nullable: bool = False

    def clause(self, backwards: bool) -> list[ColumnElement[Any]]:
        down = self.descending is not backwards
        order = self.column.desc() if down else self.column.asc()
        if not self.nullable:
            return [order]
        return [order.nulls_first() if backwards else order.nulls_last()]

    @property
    def as_text(self) -> ColumnElement[Any]:
        return cast(self.column, String)

    def value(self, text: str) -> ColumnElement[Any]:
        return cast(literal(text, String), self.column.type)

    def fits(self, text: str) -> bool:
        """Whether this can be a value of the column, as `as_text` writes it."""
        kind = self.column.type.python_type
        if (form := _FORMS.get(kind)) is None:
            return holds(self.column.type, text)
        if form.fullmatch(text) is None:
            return False
        try:
            read = kind.fromisoformat if kind in (date, datetime) else kind
            return holds(self.column.type, read(text))
        except ValueError:
            return False

    def past(self, text: str | None, backwards: bool) -> ColumnElement[bool]:
        """Rows whose column alone places them beyond the position."""
        if text is None:
            return self.column.is_not(None) if backwards else false()
        value = self.value(text)
        beyond = self.column < value if self.descending is not backwards else self.column > value
        return or_(beyond, self.column.is_(None)) if self.nullable and not backwards else beyond

    def same(self, text: str | None) -> ColumnElement[bool]:
        same: ColumnElement[bool] = self.column.is_(None) if text is None else self.column == self.value(text)
        return same


Position = Sequence[str | None]
"""The values of an order's keys at one row, as text."""


def beyond(keys: Sequence[Key], position: Position, *, backwards: bool = False) -> ColumnElement[bool]:
    """The condition that a row lies after (or, backwards, before) a position."""
    if None not in position and not any(key.nullable for key in keys) and len({key.descending for key in keys}) == 1:
        # A row comparison can start an index scan at the position; the general form below only filters.
        row = tuple_(*(key.column for key in keys))
        at = tuple_(*(key.value(text) for key, text in zip(keys, position, strict=True) if text is not None))
        return row < at if keys[0].descending is not backwards else row > at
    past: ColumnElement[bool] = false()
    for key, text in reversed(list(zip(keys, position, strict=True))):
        past = or_(key.past(text, backwards), and_(key.same(text), past))
    return past


def ordering(keys: Sequence[Key], *, backwards: bool = False) -> list[ColumnElement[Any]]:
    return [clause for key in keys for clause in key.clause(backwards)]

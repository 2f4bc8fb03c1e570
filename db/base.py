"""What every table is declared on. The migrations hold the constraints; here stand names and Python types."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar, TypeAlias, TypeVar

from sqlalchemy import BigInteger, Date, FetchedValue, Identity, Integer, MetaData, Numeric, Text, inspect
from sqlalchemy import TypeDecorator as _TypeDecorator
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

E = TypeVar("E", bound=StrEnum)

Changes: TypeAlias = "dict[Table, dict[str, Any]]"
"""Rows with the attributes that were set, and what those were before."""

QUANTITY = Numeric(18, 6)
TIME = TIMESTAMP(timezone=True)


class EnumText(_TypeDecorator[StrEnum]):
    """A StrEnum stored as its text: unlike a PostgreSQL enum it stays usable in an index under row-level security."""

    impl = Text
    cache_ok = True

    def __init__(self, enum_class: type[StrEnum]) -> None:
        super().__init__()
        self.enum_class = enum_class

    def process_bind_param(self, value: StrEnum | None, dialect: Any) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Any) -> StrEnum | None:
        return None if value is None else self.enum_class(value)


class _Attribute:
    """What stands for a column: on the class what SQLAlchemy makes expressions of, on a row its value, which is found in the
    row's own dict before anything is called. SQLAlchemy's own attribute calls a function for every look at a row."""

    __slots__ = ("expression",)

    def __init__(self, expression: Any) -> None:
        self.expression = expression

    def __get__(self, row: Table | None, table: type[Table]) -> Any:
        return self.expression if row is None else None  # null, as long as nothing else is known


class Table(DeclarativeBase):
    """Any table of the application's schema. A row is a plain object: `db/rows.py` reads, follows and writes it."""

    metadata = MetaData(schema="app")
    type_annotation_map = {
        int: BigInteger,
        str: Text,
        datetime: TIME,
        date: Date,
        Decimal: QUANTITY,
        dict[str, Any]: JSONB,
        list[str]: ARRAY(Text),
        list[int]: ARRAY(BigInteger),
    }

    __slots__ = ("_changes", "_held")
    _attributes: ClassVar[frozenset[str]]
    _changes: Changes | None
    """Where it is kept what was changed of the rows of a transaction; null for a row of none."""
    _held: bool
    """Its transaction has a lock on it, or made it."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        mapper: Any = inspect(cls, raiseerr=False)
        if mapper is None:
            return
        cls._attributes = frozenset(mapper.column_attrs.keys())
        for key in cls._attributes:
            type.__setattr__(cls, key, _Attribute(getattr(cls, key)))
        type.__delattr__(cls, "__init__")  # SQLAlchemy's way to make a row that it follows itself

    def __init__(self, **values: Any) -> None:
        """A row that is not written yet."""
        if not values.keys() <= self._attributes:
            raise TypeError(f"{type(self).__name__} has no {', '.join(values.keys() - self._attributes)}")
        object.__setattr__(self, "_changes", None)
        object.__setattr__(self, "_held", False)
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._attributes:
            raise AttributeError(f"{type(self).__name__} has no {name}")
        if self._changes is not None:
            self._changes.setdefault(self, {}).setdefault(name, self.__dict__.get(name))
        self.__dict__[name] = value


class LedgerTable(Table):
    """A tenant's row that is written once and never changed."""

    __abstract__ = True

    organization_id: Mapped[int] = mapped_column(Integer, primary_key=True, sort_order=-2)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True, sort_order=-1)
    created_at: Mapped[datetime] = mapped_column(server_default=FetchedValue(), sort_order=99)


class TenantTable(LedgerTable):
    """A tenant's row. The trigger `app.touch` counts its versions."""

    __abstract__ = True

    version: Mapped[int] = mapped_column(
        Integer, server_default=FetchedValue(), server_onupdate=FetchedValue(), sort_order=98
    )
    updated_at: Mapped[datetime] = mapped_column(
        server_default=FetchedValue(), server_onupdate=FetchedValue(), sort_order=100
    )


class PersonalTable(LedgerTable):
    """A row one person sees, whatever rights others hold: a policy compares `user_id` with the caller."""

    __abstract__ = True

    user_id: Mapped[int] = mapped_column(BigInteger, info={"ref": "User"})


def ref(type_name: str, **kwargs: Any) -> Any:
    """A foreign key column; `type_name` is the GraphQL type it points to."""
    return mapped_column(BigInteger, info={"ref": type_name}, **kwargs)


def enum(enum_class: type[StrEnum], **kwargs: Any) -> Any:
    """A status or kind: text in the database, a StrEnum in Python."""
    return mapped_column(EnumText(enum_class), **kwargs)

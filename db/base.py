"""What every table is declared on. The migrations hold the constraints; here stand names and Python types."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar

from sqlalchemy import BigInteger, Date, FetchedValue, Identity, Integer, MetaData, Numeric, Text
from sqlalchemy import TypeDecorator as _TypeDecorator
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

E = TypeVar("E", bound=StrEnum)

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


class Table(DeclarativeBase):
    """Any table of the application's schema."""

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

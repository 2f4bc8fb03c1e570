"""Which values PostgreSQL can hold, told without asking it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Boolean, Date, Integer, Numeric, SmallInteger, String
from sqlalchemy.dialects.postgresql import TIMESTAMP

from db.base import EnumText


def holds(kind: Any, value: Any) -> bool:
    """Whether a parameter of this type takes the value. False where that is not sure, as of a type not known here."""
    if value is None:
        return True
    if isinstance(kind, ARRAY):
        return all(holds(kind.item_type, one) for one in value)
    if isinstance(kind, String | EnumText):
        return _is_text(value)
    if isinstance(kind, Integer):
        bits = 15 if isinstance(kind, SmallInteger) else 63 if isinstance(kind, BigInteger) else 31
        return bool(-(2**bits) <= value < 2**bits)
    if isinstance(kind, Numeric):
        digits, places = kind.precision, kind.scale or 0
        return digits is None or bool(abs(value) < Decimal(10) ** (digits - places) - Decimal(10) ** -places)
    return isinstance(kind, Boolean | Date | TIMESTAMP)


def _is_text(value: str) -> bool:
    try:
        return b"\0" not in value.encode()
    except UnicodeEncodeError:
        return False

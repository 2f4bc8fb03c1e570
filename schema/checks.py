"""Checks of input values. Each refuses with the rule that was broken, at the input's path."""

from __future__ import annotations

import unicodedata
from decimal import Decimal
from typing import TypeVar
from zoneinfo import available_timezones

from db.refusal import ValidationFailed

C = TypeVar("C", int, Decimal)


def _refuse(message: str, path: str, constraint: str) -> ValidationFailed:
    return ValidationFailed(message, path=tuple(path.split(".")), constraint=constraint)


def text(value: str, path: str, *, max: int = 255, min: int = 1) -> str:
    """A line or more of text: trimmed, of the stated length, without control characters."""
    value = unicodedata.normalize("NFC", value).strip()
    if len(value) > max:
        raise _refuse(f"At most {max} characters", path, f"maxLength {max}")
    if len(value) < min:
        raise _refuse(f"At least {min} character{'s' if min > 1 else ''}", path, f"minLength {min}")
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t" for c in value):
        raise _refuse("No control characters", path, "noControlCharacters")
    return value


def optional_text(value: str | None, path: str, *, max: int = 255) -> str | None:
    """As `text`, where nothing and empty both mean nothing."""
    return None if value is None else text(value, path, max=max, min=0) or None


def between(value: C, path: str, *, least: C | None = None, most: C | None = None) -> C:
    if least is not None and value < least:
        raise _refuse(f"At least {least}", path, f"minimum {least}")
    if most is not None and value > most:
        raise _refuse(f"At most {most}", path, f"maximum {most}")
    return value


def quantity(value: Decimal, path: str, *, positive: bool = True) -> Decimal:
    """A quantity that fits NUMERIC(18,6): rounding would invent or lose material, so more places are refused."""
    if value < 0 or (positive and value == 0):
        raise _refuse(
            "Greater than zero" if positive else "Zero or more", path, "positive" if positive else "minimum 0"
        )
    if value >= Decimal(10) ** 12:
        raise _refuse("Less than 1,000,000,000,000", path, "maximum 999999999999.999999")
    if value != value.quantize(Decimal("0.000001")):
        raise _refuse("At most 6 decimal places", path, "maxDecimalPlaces 6")
    return value


def time_zone(value: str, path: str) -> str:
    if value not in available_timezones():
        raise _refuse("An IANA time zone, such as Europe/Berlin", path, "ianaTimeZone")
    return value

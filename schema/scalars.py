"""Scalars that say exactly what they carry: instants with an offset, finite decimals, big integers, quantities."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, NewType

import strawberry
from graphql import GraphQLError
from strawberry.scalars import JSON
from strawberry.types.scalar import ScalarDefinition

from schema.cost import Cost

BigInt = NewType("BigInt", int)

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:?\d\d)", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,2})?", re.ASCII)
_EARLIEST, _LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


def _refuse(what: str, value: object) -> GraphQLError:
    shown = repr(value)
    return GraphQLError(f"Not a {what}: {shown if len(shown) <= 60 else shown[:57] + '…'}")


def parse_instant(value: object) -> datetime:
    """ISO 8601 with an offset, from the year 1900 to 9998."""
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise _refuse("DateTime with an offset, such as 2026-01-31T08:00:00Z", value)
    text = re.sub(r"(\.\d{6})\d+", r"\1", value.upper())
    try:
        instant = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _refuse("DateTime", value) from None
    if not _EARLIEST <= instant < _LATEST:
        raise _refuse("DateTime between the years 1900 and 9998", value)
    return instant


def show_instant(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def parse_date(value: object) -> date:
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
        raise _refuse("Date, such as 2026-01-31", value)
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise _refuse("Date", value) from None


def parse_decimal(value: object) -> Decimal:
    """A finite number as a string or an integer; a float has already lost what makes it exact."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise _refuse('Decimal: send a string, such as "12.5"', value)
    text = str(value)
    if not _NUMBER.fullmatch(text):
        raise _refuse("finite Decimal", value)
    try:
        return Decimal(text)
    except InvalidOperation:
        raise _refuse("finite Decimal", value) from None


def show_decimal(value: Decimal) -> str:
    """Plain digits without an exponent and without trailing zeros."""
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def parse_big_int(value: object) -> int:
    if (
        isinstance(value, bool)
        or not re.fullmatch(r"-?\d{1,19}", str(value), re.ASCII)
        or abs(int(str(value))) >= 2**63
    ):
        raise _refuse("BigInt", value)
    return int(str(value))


def _scalar(name: str, description: str, show: Callable[[Any], Any], parse: Callable[[Any], Any]) -> ScalarDefinition:
    return strawberry.scalar(name=name, description=description, serialize=show, parse_value=parse)


SCALARS: dict[object, ScalarDefinition] = {
    datetime: _scalar(
        "DateTime", "An instant, ISO 8601. An input must carry an offset; outputs are in UTC and end in Z.",
        show_instant, parse_instant,
    ),
    date: _scalar("Date", "A calendar date, ISO 8601: YYYY-MM-DD.", date.isoformat, parse_date),
    Decimal: _scalar(
        "Decimal", "A finite decimal number as a string of digits, for example \"12.5\". Never a float, never NaN.",
        show_decimal, parse_decimal,
    ),
    BigInt: _scalar("BigInt", "A 64-bit integer as a string of digits.", str, parse_big_int),
    JSON: _scalar("JSON", "Any JSON value.", lambda value: value, lambda value: value),
}  # fmt: skip


@strawberry.type(description="How much of something, in its unit of measure", directives=[Cost(weight=0)])
class Quantity:
    value: Decimal = strawberry.field(description="The amount, at most 6 decimal places")
    unit: str = strawberry.field(description="Unit of measure, for example pcs, kg, m")


@strawberry.input(description="How much of something, in its unit of measure")
class QuantityInput:
    value: Decimal = strawberry.field(description="The amount, at most 6 decimal places")
    unit: str = strawberry.field(description="Unit of measure, for example pcs, kg, m; at most 20 characters")


def quantity(value: Decimal | None, unit: str) -> Quantity | None:
    """A quantity from its two columns."""
    return None if value is None else Quantity(value=value, unit=unit)


def seconds(value: timedelta) -> Decimal:
    return Decimal(value // timedelta(microseconds=1)) / 1_000_000

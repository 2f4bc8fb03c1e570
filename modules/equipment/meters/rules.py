"""The rules of meters: a total that never runs backwards, whatever the dial does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from db.refusal import Refused, ValidationFailed, detail, refusal

ZERO = Decimal(0)


class MeterKind(StrEnum):
    OPERATING_HOURS = "operating_hours"
    POWER_ON_HOURS = "power_on_hours"
    CYCLES = "cycles"
    PARTS = "parts"
    DISTANCE = "distance"
    ENERGY = "energy"
    OTHER = "other"


class ReadingKind(StrEnum):
    READING = "reading"
    ROLLOVER = "rollover"
    REPLACEMENT = "replacement"


@refusal("READING_NOT_MONOTONIC", "The reading does not fit between the readings before and after it.", conflict=True)
class ReadingNotMonotonic(Refused):
    at_least: Decimal = detail("Smallest dial value that would be accepted.")
    at_most: Decimal | None = detail("Largest dial value that would be accepted, if there is one.")


@dataclass(frozen=True, slots=True)
class Reading:
    """What the dial showed at a moment, and what it had missed until then: total = value + offset."""

    value: Decimal
    offset: Decimal
    read_at: datetime

    @property
    def total(self) -> Decimal:
        return self.value + self.offset


def plain(value: Decimal, before: Reading | None, after: Reading | None) -> Decimal:
    """The offset of an ordinary reading: the one in force, if the total fits between its neighbours."""
    offset = before.offset if before else after.offset if after else ZERO
    least = max(ZERO, before.value if before else ZERO)
    most = after.total - offset if after else None
    if value < least or (most is not None and value > most):
        raise ReadingNotMonotonic("A meter never runs backwards", path=("value",), at_least=least, at_most=most)
    return offset


def rollover(value: Decimal, before: Reading | None, rollover_at: Decimal | None) -> Decimal:
    """The offset after the dial passed its highest value and began again at zero."""
    if rollover_at is None:
        raise ValidationFailed("This meter does not roll over", path=("kind",), constraint="a meter with rolloverAt")
    if before is None:
        raise ValidationFailed("A first reading rolls nothing over", path=("kind",), constraint="READING")
    if value >= before.value:
        raise ValidationFailed(
            "The dial stands no lower than before", path=("value",), constraint="below the last value"
        )
    return before.offset + rollover_at


def replacement(value: Decimal, before: Reading | None, final_value: Decimal | None) -> Decimal:
    """The offset after another meter was fitted, showing `value`; `final_value` is the last the old one showed."""
    if before is None:
        raise ValidationFailed("A first reading replaces no meter", path=("kind",), constraint="READING")
    last = before.value if final_value is None else final_value
    if last < before.value:
        raise ReadingNotMonotonic(
            "The old meter's final value is below its last reading",
            path=("finalValue",),
            at_least=before.value,
            at_most=None,
        )
    return before.offset + last - value


def offset_of(
    kind: ReadingKind,
    value: Decimal,
    before: Reading | None,
    after: Reading | None,
    *,
    rollover_at: Decimal | None = None,
    final_value: Decimal | None = None,
) -> Decimal:
    """The offset a new reading is kept with, or a refusal."""
    if value < ZERO:
        raise ValidationFailed("A dial shows no negative value", path=("value",), constraint="min 0")
    if rollover_at is not None and value >= rollover_at:
        raise ValidationFailed("The dial cannot show this", path=("value",), constraint=f"below {rollover_at:f}")
    if final_value is not None and kind is not ReadingKind.REPLACEMENT:
        raise ValidationFailed("Only a replaced meter has a final value", path=("finalValue",), constraint="absent")
    if kind is ReadingKind.READING:
        return plain(value, before, after)
    if after is not None:
        raise ValidationFailed(
            f"A {kind.name} is recorded after every other reading", path=("readAt",), constraint="the latest reading"
        )
    if kind is ReadingKind.ROLLOVER:
        return rollover(value, before, rollover_at)
    return replacement(value, before, final_value)


def check_voidable(kind: ReadingKind, following: ReadingKind | None) -> None:
    """Totals stand on the readings around a rollover or a replacement: those are taken back from the last one on."""
    stands_on_it = following is not None and (kind is not ReadingKind.READING or following is not ReadingKind.READING)
    if stands_on_it:
        raise ValidationFailed("Later totals stand on this reading", path=("id",), constraint="the latest reading")

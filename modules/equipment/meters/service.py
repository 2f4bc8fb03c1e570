"""What can be done with meters and readings. Every reading holds the meter's row, so that its totals keep their order."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import select

from db.refusal import AlreadyExists, Archived, TimeOutOfRange, ValidationFailed
from db.session import ReadTx, WriteTx
from modules.equipment.status.rules import MAX_SKEW
from modules.equipment.tables import Machine, Meter, MeterReading

from . import rules
from .rules import Reading, ReadingKind

UNIQUE: Final = {"machine_meters_organization_id_machine_id_code_key": ("code",)}


async def create(tx: WriteTx, machine_id: int, **values: Any) -> Meter:
    machine = await tx.locked(Machine, machine_id, path=("machineId",))
    if machine.archived_at is not None:
        raise Archived("The machine is archived", path=("machineId",))
    meter = tx.add(Meter(plant_id=machine.plant_id, machine_id=machine.id, **values))
    await tx.flush(UNIQUE)
    return meter


async def update(tx: WriteTx, meter_id: int, *, version: int, changes: dict[str, Any]) -> Meter:
    meter = await _locked(tx, meter_id, version=version)
    for name, value in changes.items():
        setattr(meter, name, value)
    if meter.rollover_at is not None and meter.latest_value is not None and meter.latest_value >= meter.rollover_at:
        raise ValidationFailed(
            "The dial has shown more than that", path=("rolloverAt",), constraint=f"more than {meter.latest_value:f}"
        )
    await tx.flush(UNIQUE)
    return meter


async def archive(tx: WriteTx, meter_id: int, *, version: int, now: datetime) -> Meter:
    meter = await _locked(tx, meter_id, version=version)
    meter.archived_at = meter.archived_at or now
    return meter


async def unarchive(tx: WriteTx, meter_id: int, *, version: int) -> Meter:
    meter = await _locked(tx, meter_id, version=version)
    meter.archived_at = None
    return meter


async def record(
    tx: WriteTx,
    meter_id: int,
    *,
    kind: ReadingKind = ReadingKind.READING,
    value: Decimal,
    final_value: Decimal | None = None,
    read_at: datetime,
    notes: str | None = None,
    now: datetime,
) -> MeterReading:
    """Post what a dial showed. A late reading is kept if it fits between the readings around it."""
    meter = await _locked(tx, meter_id, path="meterId")
    if meter.archived_at is not None:
        raise Archived("The meter is archived", path=("meterId",))
    if read_at > now + MAX_SKEW:
        raise TimeOutOfRange("The moment is in the future", path=("readAt",), earliest=None, latest=now + MAX_SKEW)
    before = await _before(tx, meter, read_at)
    if before is not None and before.read_at == read_at:
        raise AlreadyExists("The meter was read at this very moment already", path=("readAt",))
    after = await _after(tx, meter, read_at)
    offset = rules.offset_of(
        kind, value, _reading(before), _reading(after), rollover_at=meter.rollover_at, final_value=final_value
    )
    reading = tx.add(
        MeterReading(
            plant_id=meter.plant_id,
            machine_id=meter.machine_id,
            meter_id=meter.id,
            kind=kind,
            value=value,
            offset_value=offset,
            read_at=read_at,
            received_at=now,
            recorded_by_id=tx.actor.user_id,
            notes=notes,
        )
    )
    if after is None:
        _mirror(meter, Reading(value, offset, read_at))
    await tx.flush()
    return reading


async def void(tx: WriteTx, reading_id: int, *, version: int, reason: str, now: datetime) -> MeterReading:
    """Declare a reading a mistake. It stays, and counts no more."""
    found = await tx.found(MeterReading, reading_id)
    meter = await _locked(tx, found.meter_id)
    reading = await tx.locked(MeterReading, reading_id, version=version)
    if reading.voided_at is not None:
        raise ValidationFailed("It is void already", path=("id",), constraint="a reading that stands")
    following = await _after(tx, meter, reading.read_at)
    rules.check_voidable(reading.kind, following.kind if following else None)
    reading.voided_at, reading.void_reason = now, reason
    await tx.flush()
    if following is None:
        _mirror(meter, _reading(await _before(tx, meter, reading.read_at)))
    await tx.flush()
    return reading


async def _locked(tx: WriteTx, meter_id: int, *, path: str = "id", version: int | None = None) -> Meter:
    """The meter, held; it is written by who may write its machine, for the meter itself knows no department."""
    found = await tx.found(Meter, meter_id, path=(path,))
    await tx.locked(Machine, found.machine_id, path=(path,))
    return await tx.locked(Meter, meter_id, path=(path,), version=version)


def _mirror(meter: Meter, reading: Reading | None) -> None:
    meter.latest_value = reading.value if reading else None
    meter.latest_total = reading.total if reading else None
    meter.latest_read_at = reading.read_at if reading else None


def _reading(row: MeterReading | None) -> Reading | None:
    return None if row is None else Reading(row.value, row.offset_value, row.read_at)


def _standing(meter: Meter) -> Any:
    return select(MeterReading).where(
        MeterReading.organization_id == meter.organization_id,
        MeterReading.meter_id == meter.id,
        MeterReading.voided_at.is_(None),
    )


async def _before(tx: ReadTx, meter: Meter, at: datetime) -> MeterReading | None:
    statement = _standing(meter).where(MeterReading.read_at <= at).order_by(MeterReading.read_at.desc()).limit(1)
    found: list[MeterReading] = await tx.scalars(statement)
    return found[0] if found else None


async def _after(tx: ReadTx, meter: Meter, at: datetime) -> MeterReading | None:
    statement = _standing(meter).where(MeterReading.read_at > at).order_by(MeterReading.read_at).limit(1)
    found: list[MeterReading] = await tx.scalars(statement)
    return found[0] if found else None

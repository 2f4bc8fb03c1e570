"""Root fields of meters and their readings."""

from datetime import datetime

from db.session import WriteTx
from modules.equipment import lists, tables
from modules.equipment.types import Meter, MeterReading
from schema.checks import optional_text, quantity, text
from schema.fields import Offline, events, listing, lookup, mutation
from schema.ids import key

from . import service
from .inputs import (
    MeterCreateInput,
    MeterPayload,
    MeterReadingPayload,
    MeterReadingRecordInput,
    MeterReadingVoidInput,
    MeterUpdateInput,
    MeterVersionInput,
)

meter = lookup(Meter, description="One meter by its id; null when unknown")
meters = listing(
    Meter, lists.METERS, description="Meters of all machines in the caller's plants, archived ones included"
)
meter_reading = lookup(MeterReading, description="One meter reading by its id; null when unknown")
meter_readings = listing(
    MeterReading,
    lists.METER_READINGS,
    description="Readings in the caller's plants, newest first, voided ones included",
)
meter_reading_events = events(
    MeterReading, lists.METER_READINGS, description="Meter readings as they are recorded or voided"
)


@mutation("equipment.manage", MeterPayload, description="Define a meter on a machine")
async def meter_create(tx: WriteTx, input: MeterCreateInput) -> tables.Meter:
    return await service.create(tx, key("Machine", input.machine_id, "machineId"), **input.values())


@mutation("equipment.manage", MeterPayload, description="Change a meter's definition")
async def meter_update(tx: WriteTx, input: MeterUpdateInput) -> tables.Meter:
    return await service.update(tx, key("Meter", input.id), version=input.expected_version, changes=input.changes())


@mutation("equipment.manage", MeterPayload, access="delete", description="Take a meter out of use; its readings stay")
async def meter_archive(tx: WriteTx, input: MeterVersionInput, now: datetime) -> tables.Meter:
    return await service.archive(tx, input.key, version=input.expected_version, now=now)


@mutation("equipment.manage", MeterPayload, access="delete", description="Bring an archived meter back")
async def meter_unarchive(tx: WriteTx, input: MeterVersionInput) -> tables.Meter:
    return await service.unarchive(tx, input.key, version=input.expected_version)


@mutation(
    "equipment.meter.record",
    MeterReadingPayload,
    posts_fact=True,
    offline=Offline(about="meter_id"),
    description="Record what a meter's dial showed. Its total never runs backwards, over rollovers and replaced meters",
)
async def meter_reading_record(tx: WriteTx, input: MeterReadingRecordInput, now: datetime) -> tables.MeterReading:
    final = input.final_value
    return await service.record(
        tx,
        key("Meter", input.meter_id, "meterId"),
        kind=input.kind,
        value=quantity(input.value, "value", positive=False),
        final_value=None if final is None else quantity(final, "finalValue", positive=False),
        read_at=input.read_at,
        notes=optional_text(input.notes, "notes", max=2000),
        now=now,
    )


@mutation(
    "equipment.meter.record",
    MeterReadingPayload,
    description="Declare a reading a mistake; it stays and counts no more",
)
async def meter_reading_void(tx: WriteTx, input: MeterReadingVoidInput, now: datetime) -> tables.MeterReading:
    return await service.void(
        tx,
        key("MeterReading", input.id),
        version=input.expected_version,
        reason=text(input.reason, "reason", max=2000),
        now=now,
    )

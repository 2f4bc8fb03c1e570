"""Root fields of machines."""

from datetime import datetime

from db.session import WriteTx
from modules.equipment import lists, tables
from modules.equipment.types import Machine
from schema.checks import optional_text
from schema.fields import events, listing, lookup, mutation
from schema.ids import key, key_or_none

from . import service
from .inputs import (
    MachineCreateInput,
    MachineDecommissionInput,
    MachinePayload,
    MachineUpdateInput,
    MachineVersionInput,
)

machine = lookup(Machine, code=tables.Machine.code, description="One machine by its id or code; null when unknown")
machines = listing(Machine, lists.MACHINES, description="Machines the caller may see, archived ones included")
machine_events = events(Machine, lists.MACHINES, description="Machines as they change, their status included")


@mutation("equipment.manage", MachinePayload, description="Register a machine; it begins AVAILABLE")
async def machine_create(tx: WriteTx, input: MachineCreateInput, now: datetime) -> tables.Machine:
    return await service.create(
        tx,
        plant_id=key("Plant", input.plant_id, "plantId"),
        department_id=key_or_none("Department", input.department_id, "departmentId"),
        since=input.since,
        now=now,
        **input.values(),
    )


@mutation("equipment.manage", MachinePayload, description="Change a machine's master data")
async def machine_update(tx: WriteTx, input: MachineUpdateInput) -> tables.Machine:
    return await service.update(tx, key("Machine", input.id), version=input.expected_version, changes=input.changes())


@mutation("equipment.manage", MachinePayload, access="delete", description="Archive a machine that has no work on it")
async def machine_archive(tx: WriteTx, input: MachineVersionInput, now: datetime) -> tables.Machine:
    return await service.archive(tx, input.key, version=input.expected_version, now=now)


@mutation("equipment.manage", MachinePayload, access="delete", description="Bring an archived machine back")
async def machine_unarchive(tx: WriteTx, input: MachineVersionInput) -> tables.Machine:
    return await service.unarchive(tx, input.key, version=input.expected_version)


@mutation("equipment.manage", MachinePayload, description="Take a machine out of service for good: the end of its time")
async def machine_decommission(tx: WriteTx, input: MachineDecommissionInput, now: datetime) -> tables.Machine:
    return await service.decommission(
        tx,
        key("Machine", input.id),
        version=input.expected_version,
        occurred_at=input.occurred_at,
        reason_code_id=key_or_none("ReasonCode", input.reason_code_id, "reasonCodeId"),
        notes=optional_text(input.notes, "notes", max=2000),
        now=now,
    )

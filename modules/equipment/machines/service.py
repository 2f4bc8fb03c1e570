"""What can be done with a machine's master data."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from db.refusal import Archived, NotPermitted, TimeOutOfRange, ValidationFailed
from db.session import WriteTx
from modules.equipment.status import service as status
from modules.equipment.status.rules import Condition, MachineStatus, check_archivable
from modules.equipment.status.service import check_reason
from modules.equipment.tables import Machine
from modules.identity.public import tables as identity

MANAGE: Final = "equipment.manage"
UNIQUE: Final = {"machines_organization_id_code_key": ("code",)}


async def create(
    tx: WriteTx, *, plant_id: int, department_id: int | None, since: datetime | None, now: datetime, **values: Any
) -> Machine:
    """Register a machine; its time begins with a period in which it is available."""
    since = since or now
    if since > now:
        raise TimeOutOfRange("Its time has not begun yet", path=("since",), earliest=None, latest=now)
    plant = await tx.found(identity.Plant, plant_id, path=("plantId",))
    if plant.archived_at is not None:
        raise Archived("The plant is archived", path=("plantId",))
    await _check_place(tx, plant_id, department_id, path="plantId")
    machine = Machine(
        plant_id=plant_id, department_id=department_id, status=MachineStatus.AVAILABLE, status_since=since, **values
    )
    tx.add(machine)
    await tx.flush(UNIQUE)
    await status.begin(tx, machine, now=now)
    return machine


async def update(tx: WriteTx, machine_id: int, *, version: int, changes: dict[str, Any]) -> Machine:
    machine = await tx.locked(Machine, machine_id, version=version)
    if "department_id" in changes:
        await _check_place(tx, machine.plant_id, changes["department_id"], path="departmentId")
    for name, value in changes.items():
        setattr(machine, name, value)
    await tx.flush(UNIQUE)
    return machine


async def archive(tx: WriteTx, machine_id: int, *, version: int, now: datetime) -> Machine:
    """Take a machine out of the lists people work with; a machine with work on it stays."""
    machine = await tx.locked(Machine, machine_id, version=version)
    if machine.archived_at is None:
        check_archivable(machine.status)
        machine.archived_at = now
    return machine


async def unarchive(tx: WriteTx, machine_id: int, *, version: int) -> Machine:
    machine = await tx.locked(Machine, machine_id, version=version)
    machine.archived_at = None
    return machine


async def decommission(
    tx: WriteTx,
    machine_id: int,
    *,
    version: int,
    occurred_at: datetime | None,
    reason_code_id: int | None,
    notes: str | None,
    now: datetime,
) -> Machine:
    """Take a machine out of service for good: the last period of its time."""
    machine = await tx.locked(Machine, machine_id, version=version)
    if machine.archived_at is not None:
        raise Archived("The machine is archived", path=("id",))
    await check_reason(tx, MachineStatus.DECOMMISSIONED, reason_code_id)
    fact = Condition(MachineStatus.DECOMMISSIONED, reason_code_id)
    await status.place(tx, machine, fact, occurred_at or now, notes=notes, now=now)
    return machine


async def _check_place(tx: WriteTx, plant_id: int, department_id: int | None, *, path: str) -> None:
    """A department of the plant, and one the caller may put machines into."""
    if department_id is not None:
        department = await tx.found(identity.Department, department_id, path=("departmentId",))
        if department.plant_id != plant_id:
            raise ValidationFailed(
                "The department belongs to another plant",
                path=("departmentId",),
                constraint="a department of the plant",
            )
    if not tx.actor.write_scope(MANAGE).covers_row(plant_id, department_id):
        raise NotPermitted("You may not manage machines there", path=(path,))

"""The organization and what it is made of: plants and departments."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from db.refusal import Archived, NotPermitted
from db.session import WriteTx
from modules.identity import common, rules
from modules.identity.access import service as access
from modules.identity.tables import Department, Organization, Plant, User
from schema import checks

ORGANIZATION: dict[str, common.Check] = {
    "name": common.line("name"),
    "industry": common.maybe_line("industry", 100),
    "address": common.maybe_line("address", 1000),
    "contact_email": lambda v: None if v is None else rules.email(checks.text(v, "contactEmail"), "contactEmail"),
    "contact_phone": common.maybe_line("contactPhone", 50),
    "brand_name": common.maybe_line("brandName"),
    "logo_url": rules.logo_url,
    "primary_color": lambda v: rules.color(v, "primaryColor"),
    "accent_color": lambda v: rules.color(v, "accentColor"),
}
PLANT: dict[str, common.Check] = {
    "code": rules.code,
    "name": common.line("name"),
    "plant_type": rules.PlantType,
    "time_zone": lambda v: checks.time_zone(v, "timeZone"),
    "address": common.maybe_line("address", 1000),
}
DEPARTMENT: dict[str, common.Check] = {"code": rules.code, "name": common.line("name")}


async def update_organization(tx: WriteTx, *, version: int, input: Any) -> Organization:
    access.everywhere(tx)
    organization = await tx.locked(Organization, tx.org, version=version)
    common.patch(organization, input, ORGANIZATION, ("name",))
    return organization


async def create_plant(
    tx: WriteTx, *, code: str, name: str, plant_type: rules.PlantType, time_zone: str, address: str | None,
    manager_id: int | None,
) -> Plant:  # fmt: skip
    """A new plant belongs to nobody's plant access yet, so only who writes in all plants opens one."""
    access.everywhere(tx)
    if tx.actor.writable is not None or tx.actor.readable is not None:
        raise NotPermitted("Only who reaches all plants can open one")
    if manager_id is not None:
        await tx.found(User, manager_id, path=("managerId",))
    plant = Plant(
        code=rules.code(code), name=checks.text(name, "name"), plant_type=plant_type,
        time_zone=checks.time_zone(time_zone, "timeZone"), address=checks.optional_text(address, "address", max=1000),
        manager_id=manager_id, archived_at=None,
    )  # fmt: skip
    tx.add(plant)
    await tx.flush(unique={"plants_organization_id_code_key": ("code",)})
    return plant


async def update_plant(tx: WriteTx, plant_id: int, *, version: int, input: Any, manager: Any) -> Plant:
    """`manager` is an id, None to clear it, or ... to leave it."""
    plant = await tx.locked(Plant, plant_id, version=version)
    access.manages(tx, plant_id, path=("id",))
    if manager not in (None, ...):  # asked before the plant is touched, so that nothing half-checked is flushed
        await tx.found(User, manager, path=("managerId",))
    common.patch(plant, input, PLANT, ("code", "name", "plant_type", "time_zone"))
    if manager is not ...:
        plant.manager_id = manager
    await tx.flush(unique={"plants_organization_id_code_key": ("code",)})
    return plant


async def archive_plant(tx: WriteTx, plant_id: int, *, version: int, now: datetime) -> Plant:
    access.everywhere(tx)
    return await common.archive(tx, Plant, plant_id, version=version, now=now)


async def unarchive_plant(tx: WriteTx, plant_id: int, *, version: int) -> Plant:
    access.everywhere(tx)
    return await common.unarchive(tx, Plant, plant_id, version=version)


async def create_department(tx: WriteTx, *, plant_id: int, code: str, name: str, head_id: int | None) -> Department:
    plant = await tx.locked(Plant, plant_id, path=("plantId",))
    access.manages(tx, plant_id, path=("plantId",))
    if plant.archived_at is not None:
        raise Archived("The plant is archived", path=("plantId",))
    if head_id is not None:
        await tx.found(User, head_id, path=("headId",))
    department = Department(
        plant_id=plant.id, code=rules.code(code), name=checks.text(name, "name"), head_id=head_id, archived_at=None
    )
    tx.add(department)
    await tx.flush(unique={"departments_organization_id_plant_id_code_key": ("code",)})
    return department


async def update_department(tx: WriteTx, department_id: int, *, version: int, input: Any, head: Any) -> Department:
    """`head` is an id, None to clear it, or ... to leave it."""
    department = await _managed(tx, department_id, version=version)
    if head not in (None, ...):
        await tx.found(User, head, path=("headId",))
    common.patch(department, input, DEPARTMENT, ("code", "name"))
    if head is not ...:
        department.head_id = head
    await tx.flush(unique={"departments_organization_id_plant_id_code_key": ("code",)})
    return department


async def archive_department(tx: WriteTx, department_id: int, *, version: int, now: datetime) -> Department:
    await _managed(tx, department_id, version=version)
    return await common.archive(tx, Department, department_id, version=version, now=now)


async def unarchive_department(tx: WriteTx, department_id: int, *, version: int) -> Department:
    await _managed(tx, department_id, version=version)
    return await common.unarchive(tx, Department, department_id, version=version)


async def _managed(tx: WriteTx, department_id: int, *, version: int) -> Department:
    """The department, held. Rows of a plant open to who manages any of its departments; this asks for the very one."""
    department = await tx.locked(Department, department_id, version=version)
    access.manages(tx, department.plant_id, department_id, path=("id",))
    return department

"""Registering and changing machines."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from db.actor import Scope
from db.refusal import AlreadyExists, NotFound, NotPermitted, Refused, TimeOutOfRange, ValidationFailed, VersionConflict
from modules.equipment import tables as t
from modules.equipment.machines import service
from tests.support import Tenant

from .conftest import Floor


async def create(
    floor: Floor, actor: Any = None, *, plant: int = 0, department: int | None = None, **values: Any
) -> t.Machine:
    async with floor.database.write(actor or floor.admin, "equipment.manage") as tx:
        return await service.create(
            tx,
            plant_id=floor.tenant.plants[plant],
            department_id=None if department is None else floor.tenant.departments[department],
            since=values.pop("since", None),
            now=floor.now,
            **{"code": "NEW", "name": "New", **values},
        )


async def test_codes_are_unique_in_the_organization_alone(floor: Floor, stranger: Tenant) -> None:
    with pytest.raises(AlreadyExists) as refused:
        await create(floor, plant=1, code="M-A")
    assert refused.value.path == ("code",)
    async with floor.database.write(stranger.actor(), "equipment.manage") as tx:
        await service.create(
            tx, plant_id=stranger.plants[0], department_id=None, since=None, now=floor.now, code="M-A", name="Theirs"
        )


@pytest.mark.parametrize(
    ("refusal", "values"),
    [
        (ValidationFailed, {"department": 1}),
        (TimeOutOfRange, {"since": timedelta(seconds=1)}),
    ],
)
async def test_machines_that_are_refused(floor: Floor, refusal: type[Refused], values: dict[str, Any]) -> None:
    if "since" in values:
        values = {"since": floor.now + values["since"]}
    with pytest.raises(refusal):
        await create(floor, **values)


async def test_machines_are_put_where_the_caller_manages(floor: Floor, stranger: Tenant) -> None:
    tenant = floor.tenant
    here = tenant.actor("plant_manager", plants=tenant.plants[:1])
    await create(floor, here)
    with pytest.raises(NotFound):
        await create(floor, here, plant=1, code="N2")
    reads_both = replace(here, readable=None)
    with pytest.raises(NotPermitted):
        await create(floor, reads_both, plant=1, code="N3")
    department = Scope.of_department(tenant.plants[0], tenant.departments[0])
    narrow = replace(here, permissions={"equipment.manage": department, "equipment.read": department})
    await create(floor, narrow, department=0, code="N4")
    with pytest.raises(NotPermitted):
        await create(floor, narrow, code="N5")
    with pytest.raises(NotFound):
        async with floor.database.write(stranger.actor(), "equipment.manage") as tx:
            await service.create(
                tx, plant_id=tenant.plants[0], department_id=None, since=None, now=floor.now, code="N6", name="N6"
            )


async def test_a_change_meets_the_version_it_was_made_on(floor: Floor) -> None:
    for version in (1, 2):
        async with floor.database.write(floor.admin, "equipment.manage") as tx:
            await service.update(tx, floor.machine.id, version=version, changes={"location": f"Bay {version}"})
    with pytest.raises(VersionConflict) as refused:
        async with floor.database.write(floor.admin, "equipment.manage") as tx:
            await service.update(tx, floor.machine.id, version=2, changes={"location": "Bay 9"})
    assert refused.value.current == 3


async def test_a_machine_is_archived_and_brought_back(floor: Floor) -> None:
    async with floor.database.write(floor.admin, "equipment.manage", "delete") as tx:
        await service.archive(tx, floor.machine.id, version=1, now=floor.now)
    async with floor.database.write(floor.admin, "equipment.manage", "delete") as tx:
        assert (await tx.found(t.Machine, floor.machine.id)).archived_at == floor.now
        await service.unarchive(tx, floor.machine.id, version=2)
    async with floor.database.read(floor.admin) as tx:
        assert (await tx.found(t.Machine, floor.machine.id)).archived_at is None

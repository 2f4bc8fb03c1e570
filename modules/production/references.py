"""Checks that what an input names exists for the caller, belongs to the plant, and is in use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import select

from db.refusal import Archived, NotFound, NotPermitted, ValidationFailed
from db.session import WriteTx
from modules.equipment.public import tables as equipment
from modules.identity.public import tables as identity
from modules.projects.public import FINISHED
from modules.projects.public import tables as projects

from .routings.rules import Step

PLAN: Final = "production.plan"


async def check_place(tx: WriteTx, plant_id: int, department_id: int | None = None, *, permission: str = PLAN) -> None:
    """A plant in use, a department of it, and both where the caller may write."""
    plant = await tx.found(identity.Plant, plant_id, path=("plantId",))
    if plant.archived_at is not None:
        raise Archived("The plant is archived", path=("plantId",))
    if department_id is not None:
        department = await tx.found(identity.Department, department_id, path=("departmentId",))
        if department.plant_id != plant_id:
            raise ValidationFailed(
                "The department belongs to another plant",
                path=("departmentId",),
                constraint="a department of the plant",
            )
    if not tx.actor.write_scope(permission).covers_row(plant_id, department_id):
        raise NotPermitted("You may not plan work there", path=("plantId",))


async def check_machine(tx: WriteTx, machine_id: int, plant_id: int, *, path: tuple[str | int, ...]) -> None:
    """A machine of the plant that is not archived."""
    machine = await tx.found(equipment.Machine, machine_id, path=path)
    if machine.plant_id != plant_id:
        raise ValidationFailed("The machine stands in another plant", path=path, constraint="a machine of the plant")
    if machine.archived_at is not None:
        raise Archived("The machine is archived", path=path)


async def check_machines(tx: WriteTx, steps: Sequence[Step], plant_id: int) -> None:
    """The machines of a list of operations, found in one statement."""
    wanted = {step.machine_id for step in steps if step.machine_id is not None}
    if not wanted:
        return
    machine = equipment.Machine
    found = {
        row.id: row
        for row in await tx.rows(
            select(machine.id, machine.plant_id, machine.archived_at).where(
                machine.organization_id == tx.org, machine.id.in_(wanted)
            )
        )
    }
    for i, step in enumerate(steps):
        path = ("operations", i, "machineId")
        if step.machine_id is None:
            continue
        row = found.get(step.machine_id)
        if row is None:
            raise NotFound("There is no such object", path=path)
        if row.plant_id != plant_id:
            raise ValidationFailed(
                "The machine stands in another plant", path=path, constraint="a machine of the plant"
            )
        if row.archived_at is not None:
            raise Archived("The machine is archived", path=path)


async def check_person(tx: WriteTx, user_id: int, *, path: tuple[str | int, ...]) -> None:
    user = await tx.found(identity.User, user_id, path=path)
    if user.archived_at is not None:
        raise Archived("The person is archived", path=path)


async def check_project(tx: WriteTx, project_id: int) -> None:
    """A project that is still worked on, of whichever plant leads it."""
    project = await tx.found(projects.Project, project_id, path=("projectId",))
    if project.archived_at is not None:
        raise Archived("The project is archived", path=("projectId",))
    if project.status in FINISHED:
        raise ValidationFailed(
            f"The project is {project.status.name}", path=("projectId",), constraint="a project that is not finished"
        )

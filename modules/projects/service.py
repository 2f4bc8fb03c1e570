"""What can be done with projects."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final

from db.refusal import NotPermitted, ValidationFailed
from db.session import WriteTx
from modules.identity.public import tables as identity
from modules.platform.public import next_number

from . import rules
from .rules import ProjectStatus
from .tables import Project

MANAGE: Final = "projects.manage"
UNIQUE: Final = {"projects_organization_id_number_key": ("number",)}


async def create(tx: WriteTx, *, number: str | None, now: datetime, **values: Any) -> Project:
    """Open a project in DRAFT; without a number it takes the next one, last of all, so that none is lost."""
    await _check_links(tx, values)
    rules.check_dates(values.get("start_date"), values.get("planned_end_date"))
    project = Project(status=ProjectStatus.DRAFT, **values)
    project.number = number or await next_number(tx, "project", now)
    tx.add(project)
    await tx.flush(UNIQUE)
    return project


async def update(tx: WriteTx, project_id: int, *, version: int, changes: dict[str, Any]) -> Project:
    project = await tx.locked(Project, project_id, version=version)
    await _check_links(tx, changes)
    for name, value in changes.items():
        setattr(project, name, value)
    rules.check_dates(project.start_date, project.planned_end_date)
    await tx.flush(UNIQUE)
    return project


async def move(
    tx: WriteTx, project_id: int, target: ProjectStatus, *, version: int, ended: date | None = None
) -> Project:
    """Take the project to another state; `ended` is the day it was completed."""
    project = await tx.locked(Project, project_id, version=version)
    project.status = rules.move(project.status, target)
    if ended is not None:
        rules.check_end(project.start_date, ended)
    project.actual_end_date = ended
    return project


async def reopen(tx: WriteTx, project_id: int, *, version: int) -> Project:
    """Take a finished project up again."""
    project = await tx.locked(Project, project_id, version=version)
    project.status = rules.reopened(project.status)
    project.actual_end_date = None
    return project


async def archive(tx: WriteTx, project_id: int, *, version: int, now: datetime) -> Project:
    project = await tx.locked(Project, project_id, version=version)
    if project.archived_at is None:
        rules.check_archivable(project.status)
        project.archived_at = now
    return project


async def unarchive(tx: WriteTx, project_id: int, *, version: int) -> Project:
    project = await tx.locked(Project, project_id, version=version)
    project.archived_at = None
    return project


async def _check_links(tx: WriteTx, values: dict[str, Any]) -> None:
    """A plant the caller may manage projects in, and a manager who still works here."""
    if "plant_id" in values:
        plant_id = values["plant_id"]
        if plant_id is not None:
            await tx.found(identity.Plant, plant_id, path=("primaryPlantId",))
        if not tx.actor.write_scope(MANAGE).covers_plant(plant_id):
            raise NotPermitted("You may not manage projects of this plant", path=("primaryPlantId",))
    if values.get("manager_id") is not None:
        manager = await tx.found(identity.User, values["manager_id"], path=("managerId",))
        if manager.archived_at is not None:
            raise ValidationFailed("The user is archived", path=("managerId",), constraint="an active user")

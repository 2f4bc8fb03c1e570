"""The module's root fields."""

from datetime import datetime

from db.session import WriteTx
from schema.fields import events, listing, lookup, mutation
from schema.ids import key

from . import lists, service, tables
from .inputs import ProjectCompleteInput, ProjectCreateInput, ProjectPayload, ProjectUpdateInput, ProjectVersionInput
from .rules import ProjectStatus
from .types import Project

project = lookup(
    Project, number=tables.Project.number, description="One project by its id or number; null when unknown"
)
projects = listing(Project, lists.PROJECTS, description="Projects the caller may see, archived ones included")
project_events = events(Project, lists.PROJECTS, description="Projects as they change")


@mutation("projects.manage", ProjectPayload, description="Open a project; it begins as DRAFT")
async def project_create(tx: WriteTx, input: ProjectCreateInput, now: datetime) -> tables.Project:
    return await service.create(tx, now=now, **input.values())


@mutation("projects.manage", ProjectPayload, description="Change a project")
async def project_update(tx: WriteTx, input: ProjectUpdateInput) -> tables.Project:
    return await service.update(tx, key("Project", input.id), version=input.expected_version, changes=input.changes())


@mutation("projects.manage", ProjectPayload, description="Begin work on a draft, or go on after a hold")
async def project_activate(tx: WriteTx, input: ProjectVersionInput) -> tables.Project:
    return await service.move(tx, input.key, ProjectStatus.ACTIVE, version=input.expected_version)


@mutation("projects.manage", ProjectPayload, description="Put an active project on hold")
async def project_hold(tx: WriteTx, input: ProjectVersionInput) -> tables.Project:
    return await service.move(tx, input.key, ProjectStatus.ON_HOLD, version=input.expected_version)


@mutation("projects.manage", ProjectPayload, description="Complete an active project")
async def project_complete(tx: WriteTx, input: ProjectCompleteInput, now: datetime) -> tables.Project:
    ended = input.actual_end_date or now.date()
    return await service.move(
        tx, key("Project", input.id), ProjectStatus.COMPLETED, version=input.expected_version, ended=ended
    )


@mutation("projects.manage", ProjectPayload, description="Give a project up")
async def project_cancel(tx: WriteTx, input: ProjectVersionInput) -> tables.Project:
    return await service.move(tx, input.key, ProjectStatus.CANCELLED, version=input.expected_version)


@mutation(
    "projects.manage", ProjectPayload, description="Take a completed project up again, or a cancelled one as DRAFT"
)
async def project_reopen(tx: WriteTx, input: ProjectVersionInput) -> tables.Project:
    return await service.reopen(tx, input.key, version=input.expected_version)


@mutation(
    "projects.manage", ProjectPayload, access="delete", description="Archive a project that is no longer worked on"
)
async def project_archive(tx: WriteTx, input: ProjectVersionInput, now: datetime) -> tables.Project:
    return await service.archive(tx, input.key, version=input.expected_version, now=now)


@mutation("projects.manage", ProjectPayload, access="delete", description="Bring an archived project back")
async def project_unarchive(tx: WriteTx, input: ProjectVersionInput) -> tables.Project:
    return await service.unarchive(tx, input.key, version=input.expected_version)

"""Root fields of the organization, plants, departments and branding."""

from datetime import datetime
from typing import Annotated, Any

import strawberry
from sqlalchemy import text

from db.actor import ANONYMOUS
from db.session import WriteTx
from modules.identity import common, lists, rules, tables
from modules.identity.types import MANAGE, READ, Department, Organization, Plant
from schema.context import Info
from schema.fields import PUBLIC, listing, lookup, mutation, query
from schema.ids import key, key_or_none
from schema.inputs import VersionInput
from schema.payload import Payload, payload, result

from . import service


@strawberry.type(description="What a sign-in page may show of an organization to anyone")
class Branding:
    name: str = strawberry.field(description="Name to show")
    logo_url: str | None = strawberry.field(description="Address of the logo, https")
    primary_color: str | None = strawberry.field(description="Main colour as #rrggbb")
    accent_color: str | None = strawberry.field(description="Second colour as #rrggbb")


@query(PUBLIC, description="Name, logo and colours of the organization with this subdomain; null where there is none")
async def branding(
    info: Info, subdomain: Annotated[str, strawberry.argument(description="The subdomain the browser opened")]
) -> Branding | None:
    if not (subdomain.isascii() and subdomain.isprintable() and len(subdomain) <= 63):
        return None
    async with info.context.database.read(ANONYMOUS) as tx:
        found = await tx.first(text("select * from auth.branding(:subdomain)"), {"subdomain": subdomain})
    return None if found is None else Branding(**found._mapping)


@query(READ, description="The caller's own organization")
async def organization(info: Info) -> Organization | None:
    found: Any = await info.context.loaders.one(Organization).load(info.context.actor.organization_id or 0)
    return found  # type: ignore[no-any-return]


plant = lookup(Plant, code=tables.Plant.code, description="One plant the caller may see")
plants = listing(Plant, lists.PLANTS, description="Plants the caller may see, archived ones included")
department = lookup(Department, description="One department")
departments = listing(
    Department, lists.DEPARTMENTS, description="Departments of the plants the caller may see, archived ones included"
)


@strawberry.input(description="Changes to the caller's organization; absent fields stay as they are")
class OrganizationUpdateInput:
    expected_version: int = common.expected()
    name: strawberry.Maybe[str | None] = strawberry.field(description="Name of the company")
    industry: strawberry.Maybe[str | None] = strawberry.field(description="Branch it works in")
    address: strawberry.Maybe[str | None] = strawberry.field(description="Postal address")
    contact_email: strawberry.Maybe[str | None] = strawberry.field(description="E-mail address for questions")
    contact_phone: strawberry.Maybe[str | None] = strawberry.field(description="Telephone number for questions")
    brand_name: strawberry.Maybe[str | None] = strawberry.field(description="Name shown to users")
    logo_url: strawberry.Maybe[str | None] = strawberry.field(description="Address of the logo, https")
    primary_color: strawberry.Maybe[str | None] = strawberry.field(description="Main colour as #rrggbb")
    accent_color: strawberry.Maybe[str | None] = strawberry.field(description="Second colour as #rrggbb")
    idempotency_key: str | None = common.idempotency()


@payload(description="Result of changing the organization")
class OrganizationPayload(Payload):
    organization: Organization | None = result(description="The organization as it is now")


@mutation(MANAGE, OrganizationPayload, description="Change the organization's name, contact and branding")
async def organization_update(tx: WriteTx, input: OrganizationUpdateInput) -> tables.Organization:
    return await service.update_organization(tx, version=input.expected_version, input=input)


@strawberry.input(description="A plant to open")
class PlantCreateInput:
    code: str = strawberry.field(description="Code, unique in the organization, at most 50 characters")
    name: str = strawberry.field(description="Name of the plant")
    plant_type: rules.PlantType = strawberry.field(description="What it mainly does")
    time_zone: str = strawberry.field(description="IANA time zone, for example Europe/Berlin")
    address: str | None = strawberry.field(description="Postal address", default=None)
    manager_id: strawberry.ID | None = strawberry.field(description="User who runs it", default=None)
    idempotency_key: str | None = common.idempotency()


@strawberry.input(description="Changes to a plant; absent fields stay as they are")
class PlantUpdateInput:
    id: strawberry.ID = strawberry.field(description="The plant")
    expected_version: int = common.expected()
    code: strawberry.Maybe[str | None] = strawberry.field(description="Code, unique in the organization")
    name: strawberry.Maybe[str | None] = strawberry.field(description="Name of the plant")
    plant_type: strawberry.Maybe[rules.PlantType | None] = strawberry.field(description="What it mainly does")
    time_zone: strawberry.Maybe[str | None] = strawberry.field(
        description="IANA time zone; past days and shifts are then counted in the new one too"
    )
    address: strawberry.Maybe[str | None] = strawberry.field(description="Postal address")
    manager_id: strawberry.Maybe[strawberry.ID | None] = strawberry.field(description="User who runs it")
    idempotency_key: str | None = common.idempotency()


@strawberry.input(description="A plant to archive or bring back")
class PlantArchiveInput(VersionInput):
    of = "Plant"


@payload(description="Result of changing a plant")
class PlantPayload(Payload):
    plant: Plant | None = result(description="The plant as it is now")


def _link(maybe: Any, name: str) -> Any:
    """The key in a patch of a link to a user: None clears it, ... leaves it."""
    return key_or_none("User", maybe.value, name) if isinstance(maybe, strawberry.Some) else ...


@mutation(MANAGE, PlantPayload, description="Open a plant. Takes the right, and access to all plants")
async def plant_create(tx: WriteTx, input: PlantCreateInput) -> tables.Plant:
    return await service.create_plant(
        tx, code=input.code, name=input.name, plant_type=input.plant_type, time_zone=input.time_zone,
        address=input.address, manager_id=key_or_none("User", input.manager_id, "managerId"),
    )  # fmt: skip


@mutation(MANAGE, PlantPayload, description="Change a plant")
async def plant_update(tx: WriteTx, input: PlantUpdateInput) -> tables.Plant:
    manager = _link(input.manager_id, "managerId")
    return await service.update_plant(
        tx, key("Plant", input.id), version=input.expected_version, input=input, manager=manager
    )


@mutation(
    MANAGE, PlantPayload, access="delete", description="Archive a plant: it stays readable, and is offered no more"
)
async def plant_archive(tx: WriteTx, input: PlantArchiveInput, now: datetime) -> tables.Plant:
    return await service.archive_plant(tx, input.key, version=input.expected_version, now=now)


@mutation(MANAGE, PlantPayload, access="delete", description="Bring an archived plant back")
async def plant_unarchive(tx: WriteTx, input: PlantArchiveInput) -> tables.Plant:
    return await service.unarchive_plant(tx, input.key, version=input.expected_version)


@strawberry.input(description="A department to add to a plant")
class DepartmentCreateInput:
    plant_id: strawberry.ID = strawberry.field(description="The plant")
    code: str = strawberry.field(description="Code, unique in the plant, at most 50 characters")
    name: str = strawberry.field(description="Name of the department")
    head_id: strawberry.ID | None = strawberry.field(description="User who leads it", default=None)
    idempotency_key: str | None = common.idempotency()


@strawberry.input(description="Changes to a department; absent fields stay as they are")
class DepartmentUpdateInput:
    id: strawberry.ID = strawberry.field(description="The department")
    expected_version: int = common.expected()
    code: strawberry.Maybe[str | None] = strawberry.field(description="Code, unique in the plant")
    name: strawberry.Maybe[str | None] = strawberry.field(description="Name of the department")
    head_id: strawberry.Maybe[strawberry.ID | None] = strawberry.field(description="User who leads it")
    idempotency_key: str | None = common.idempotency()


@strawberry.input(description="A department to archive or bring back")
class DepartmentArchiveInput(VersionInput):
    of = "Department"


@payload(description="Result of changing a department")
class DepartmentPayload(Payload):
    department: Department | None = result(description="The department as it is now")


@mutation(MANAGE, DepartmentPayload, description="Add a department to a plant")
async def department_create(tx: WriteTx, input: DepartmentCreateInput) -> tables.Department:
    return await service.create_department(
        tx, plant_id=key("Plant", input.plant_id, "plantId"), code=input.code, name=input.name,
        head_id=key_or_none("User", input.head_id, "headId"),
    )  # fmt: skip


@mutation(MANAGE, DepartmentPayload, description="Change a department")
async def department_update(tx: WriteTx, input: DepartmentUpdateInput) -> tables.Department:
    head = _link(input.head_id, "headId")
    return await service.update_department(
        tx, key("Department", input.id), version=input.expected_version, input=input, head=head
    )


@mutation(MANAGE, DepartmentPayload, access="delete", description="Archive a department")
async def department_archive(tx: WriteTx, input: DepartmentArchiveInput, now: datetime) -> tables.Department:
    return await service.archive_department(tx, input.key, version=input.expected_version, now=now)


@mutation(MANAGE, DepartmentPayload, access="delete", description="Bring an archived department back")
async def department_unarchive(tx: WriteTx, input: DepartmentArchiveInput) -> tables.Department:
    return await service.unarchive_department(tx, input.key, version=input.expected_version)

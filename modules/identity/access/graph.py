"""Root fields of roles, grants, plant access and the catalogue of permissions."""

from datetime import datetime
from typing import Any

import strawberry

from db.session import WriteTx
from modules.identity import catalogue, common, lists, tables
from modules.identity.people.graph import UserPayload
from modules.identity.types import MANAGE, READ, PlantAccess, Role, RoleGrant, User
from schema import checks
from schema.context import Info
from schema.fields import listing, lookup, mutation, query
from schema.ids import key, key_or_none
from schema.inputs import VersionInput
from schema.payload import Payload, payload, result
from schema.permissions import SYSTEM_ROLES

from . import service


@strawberry.type(description="A right that can be part of a role or a key")
class PermissionInfo:
    code: str = strawberry.field(description="Its name, for example equipment.read")
    description: str = strawberry.field(description="What it allows")
    system_roles: list[str] = strawberry.field(description="Codes of the system roles that hold it")


@query(READ, description="Every permission there is")
async def permissions(info: Info) -> list[PermissionInfo]:
    return [
        PermissionInfo(code=c, description=p.description, system_roles=[r for r in SYSTEM_ROLES if r in p.roles])
        for c, p in catalogue.permissions().items()
    ]


role = lookup(Role, code=tables.Role.code, description="One role")
roles = listing(
    Role, lists.ROLES, description="Roles of the system and of the organization's own, archived ones included"
)


@strawberry.input(description="A role to make")
class RoleCreateInput:
    code: str = strawberry.field(description="Code, unique in the organization, at most 50 characters")
    name: str = strawberry.field(description="Name of the role")
    description: str | None = strawberry.field(description="What it is for", default=None)
    permissions: list[str] = strawberry.field(description="Codes of the permissions it holds")
    idempotency_key: str | None = common.idempotency()


@strawberry.input(description="Changes to a role; absent fields stay as they are")
class RoleUpdateInput:
    id: strawberry.ID = strawberry.field(description="The role")
    expected_version: int = common.expected()
    name: strawberry.Maybe[str | None] = strawberry.field(description="Name of the role")
    description: strawberry.Maybe[str | None] = strawberry.field(description="What it is for")
    permissions: strawberry.Maybe[list[str] | None] = strawberry.field(
        description="All permissions it holds from now on"
    )
    idempotency_key: str | None = common.idempotency()


@strawberry.input(description="A role to archive or bring back")
class RoleArchiveInput(VersionInput):
    of = "Role"


@payload(description="Result of changing a role")
class RolePayload(Payload):
    role: Role | None = result(description="The role as it is now")


@mutation(MANAGE, RolePayload, description="Make a role from permissions the caller holds in the whole organization")
async def role_create(tx: WriteTx, input: RoleCreateInput) -> tables.Role:
    return await service.create_role(
        tx, code=input.code, name=checks.text(input.name, "name", max=100), permissions=input.permissions,
        description=checks.optional_text(input.description, "description", max=1000),
    )  # fmt: skip


@mutation(MANAGE, RolePayload, description="Change a role; it takes effect for everyone who holds it")
async def role_update(tx: WriteTx, input: RoleUpdateInput) -> tables.Role:
    row = await service.own_role(tx, key("Role", input.id), version=input.expected_version)
    fields = {"name": common.line("name", 100), "description": common.maybe_line("description", 1000)}
    common.patch(row, input, fields, ("name",))
    if isinstance(input.permissions, strawberry.Some):
        service.set_permissions(tx, row, input.permissions.value or [])
    return row


@mutation(MANAGE, RolePayload, description="Archive a role: it gives nobody rights any more")
async def role_archive(tx: WriteTx, input: RoleArchiveInput, now: datetime) -> tables.Role:
    await service.own_role(tx, input.key, version=input.expected_version)
    return await common.archive(tx, tables.Role, key("Role", input.id), version=input.expected_version, now=now)


@mutation(MANAGE, RolePayload, description="Bring an archived role back; who held it holds it again")
async def role_unarchive(tx: WriteTx, input: RoleArchiveInput) -> tables.Role:
    row = await service.own_role(tx, input.key, version=input.expected_version)
    service.require_held(tx, row)
    return await common.unarchive(tx, tables.Role, key("Role", input.id), version=input.expected_version)


@strawberry.input(description="A role to give to a user: in the organization, in a plant, or in a department")
class UserRoleGrantInput:
    user_id: strawberry.ID = strawberry.field(description="The user")
    role_id: strawberry.ID = strawberry.field(description="The role")
    plant_id: strawberry.ID | None = strawberry.field(description="Only in this plant", default=None)
    department_id: strawberry.ID | None = strawberry.field(description="Only in this department", default=None)
    idempotency_key: str | None = common.idempotency()


@strawberry.input(description="A grant to take back")
class UserRoleRevokeInput:
    grant_id: strawberry.ID = strawberry.field(description="The grant")
    idempotency_key: str | None = common.idempotency()


@payload(description="Result of granting a role")
class UserRoleGrantPayload(Payload):
    grant: RoleGrant | None = result(description="The grant")


@mutation(
    MANAGE, UserRoleGrantPayload, description="Give a user a role whose permissions the caller holds at that place"
)
async def user_role_grant(tx: WriteTx, input: UserRoleGrantInput) -> tables.RoleGrant:
    return await service.grant(
        tx, user_id=key("User", input.user_id, "userId"), role_id=key("Role", input.role_id, "roleId"),
        plant_id=key_or_none("Plant", input.plant_id, "plantId"),
        department_id=key_or_none("Department", input.department_id, "departmentId"),
    )  # fmt: skip


@mutation(MANAGE, UserPayload, description="Take a role from a user. The last administrator keeps theirs")
async def user_role_revoke(tx: WriteTx, input: UserRoleRevokeInput) -> tables.User:
    return await service.revoke(tx, key("RoleGrant", input.grant_id, "grantId"))


@strawberry.input(description="What a user may touch in a plant. Deleting includes writing, writing includes reading")
class UserPlantAccessSetInput:
    user_id: strawberry.ID = strawberry.field(description="The user")
    plant_id: strawberry.ID = strawberry.field(description="The plant")
    can_read: bool = strawberry.field(description="May see the plant's rows; false takes all access away")
    can_write: bool = strawberry.field(description="May add and change the plant's rows", default=False)
    can_delete: bool = strawberry.field(description="May archive and delete the plant's rows", default=False)
    idempotency_key: str | None = common.idempotency()


@payload(description="Result of setting plant access")
class UserPlantAccessPayload(Payload):
    user: User | None = result(description="The user")
    plant_access: PlantAccess | None = result(description="The access; null where it was taken away")


@mutation(MANAGE, UserPlantAccessPayload, description="Set which rows of a plant a user may touch at all")
async def user_plant_access_set(tx: WriteTx, input: UserPlantAccessSetInput) -> dict[str, Any]:
    user, row = await service.set_plant_access(
        tx, user_id=key("User", input.user_id, "userId"), plant_id=key("Plant", input.plant_id, "plantId"),
        read=input.can_read, write=input.can_write, delete_=input.can_delete,
    )  # fmt: skip
    return {"user": user, "plant_access": row}

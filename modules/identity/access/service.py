"""Giving and taking rights. Whoever passes a right on, or takes it away, holds it there."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, func, select, text

from db.refusal import AlreadyExists, Archived, NotFound, NotPermitted, ValidationFailed
from db.session import ReadTx, WriteTx
from modules.identity import catalogue, rules
from modules.identity.tables import Department, Plant, PlantAccess, Role, RoleGrant, User
from schema.permissions import ADMIN

MANAGE = "identity.manage"


def everywhere(tx: ReadTx, permission: str = MANAGE, *, path: tuple[str, ...] = ()) -> None:
    """For what belongs to the organization as a whole: a right held in one plant is not enough."""
    if not rules.holds_at(tx.actor.permissions.get(permission), None):
        raise NotPermitted(f"This takes {permission} in the whole organization", path=path)


def manages(tx: ReadTx, plant: int | None, department: int | None = None, *, path: tuple[str, ...] = ()) -> None:
    if not rules.holds_at(tx.actor.permissions.get(MANAGE), plant, department):
        raise NotPermitted(f"This takes {MANAGE} at that place", path=path)


async def grants_of(tx: ReadTx, user_id: int) -> list[rules.Grant]:
    """What a user holds, as rules: everywhere, for power over a user is measured by all they hold."""
    found = await tx.rows(text("select * from auth.grants_of(:user)"), {"user": user_id})
    return [
        rules.Grant(catalogue.of_role(r.code, r.is_system, r.permissions), r.plant_id, r.department_id) for r in found
    ]


async def govern(tx: ReadTx, user_id: int, *, path: tuple[str, ...] = ("id",)) -> None:
    """Refuse power over a user who holds more than the caller: else a new password would be a way to more rights."""
    if user_id != tx.actor.user_id:
        rules.must_hold(tx.actor.permissions, await grants_of(tx, user_id), path)


async def lock_administrators(tx: WriteTx) -> None:
    """Changes that could take the last administrator away go one after another. Take it before the change."""
    await tx.key_lock("identity.administrators")


async def require_administrator(tx: WriteTx, *, path: tuple[str, ...] = ("id",)) -> None:
    """After a change: somebody active still holds everything everywhere."""
    await tx.flush()
    left = await tx.scalar(
        select(func.count())
        .select_from(RoleGrant)
        .join(Role, (Role.organization_id == RoleGrant.organization_id) & (Role.id == RoleGrant.role_id))
        .join(User, (User.organization_id == RoleGrant.organization_id) & (User.id == RoleGrant.user_id))
        .where(
            RoleGrant.organization_id == tx.org, RoleGrant.plant_id.is_(None), Role.code == ADMIN, Role.is_system,
            User.archived_at.is_(None), User.all_plants,
        )
    )  # fmt: skip
    if not left:
        raise rules.LastAdministrator(
            "The organization needs an active administrator with access to all plants", path=path
        )


async def create_role(
    tx: WriteTx, *, code: str, name: str, description: str | None, permissions: Sequence[str]
) -> Role:
    everywhere(tx)
    codes = catalogue.checked(permissions, "permissions")
    rules.must_hold(tx.actor.permissions, [rules.Grant(frozenset(codes))], ("permissions",))
    role = Role(
        code=rules.code(code), name=name, description=description, permissions=codes, is_system=False, archived_at=None
    )
    tx.add(role)
    await tx.flush(unique={"roles_organization_id_code_key": ("code",)})
    return role


async def own_role(tx: WriteTx, role_id: int, *, version: int) -> Role:
    """A role the organization made itself, held for a change."""
    everywhere(tx)
    role = await tx.locked(Role, role_id, version=version)
    if role.is_system:
        raise rules.SystemRole("System roles cannot be changed; make a role of your own", path=("id",))
    return role


def set_permissions(tx: WriteTx, role: Role, permissions: Sequence[str]) -> None:
    """Give a role another set of permissions; what is added, the caller holds."""
    codes = catalogue.checked(permissions, "permissions")
    added = frozenset(codes) - frozenset(role.permissions)
    rules.must_hold(tx.actor.permissions, [rules.Grant(added)], ("permissions",))
    role.permissions = codes


async def grant(
    tx: WriteTx, *, user_id: int, role_id: int, plant_id: int | None, department_id: int | None
) -> RoleGrant:
    """Give a user a role at a place."""
    user = await tx.found(User, user_id, path=("userId",))
    role = await tx.found(Role, role_id, path=("roleId",))
    if user.archived_at is not None:
        raise Archived("An archived user holds no roles", path=("userId",))
    if role.archived_at is not None:
        raise Archived("An archived role gives no rights", path=("roleId",))
    if department_id is not None:
        department = await tx.found(Department, department_id, path=("departmentId",))
        if plant_id is not None and plant_id != department.plant_id:
            raise ValidationFailed(
                "The department is in another plant", path=("plantId",), constraint="plantOfDepartment"
            )
        plant_id = department.plant_id
    elif plant_id is not None:
        await tx.found(Plant, plant_id, path=("plantId",))
    manages(tx, plant_id, department_id, path=("plantId",))
    given = rules.Grant(catalogue.of_role(role.code, role.is_system, role.permissions), plant_id, department_id)
    rules.must_hold(tx.actor.permissions, [given], ("roleId",))
    row = RoleGrant(user_id=user.id, role_id=role.id, plant_id=plant_id, department_id=department_id)
    tx.add(row)
    try:
        await tx.flush(unique={"role_grants_once": ("roleId",)})
    except AlreadyExists as error:
        raise AlreadyExists("The user holds this role there already", path=("roleId",)) from error
    return row


async def revoke(tx: WriteTx, grant_id: int) -> User:
    """Take a role from a user at a place."""
    await lock_administrators(tx)
    row = await tx.found(RoleGrant, grant_id, path=("grantId",))
    manages(tx, row.plant_id, row.department_id, path=("grantId",))
    role = await tx.found(Role, row.role_id)
    held = rules.Grant(catalogue.of_role(role.code, role.is_system, role.permissions), row.plant_id, row.department_id)
    rules.must_hold(tx.actor.permissions, [held], ("grantId",))
    gone = await tx.scalar(
        delete(RoleGrant).where(RoleGrant.organization_id == tx.org, RoleGrant.id == grant_id).returning(RoleGrant.id)
    )
    if gone is None:
        raise NotFound("There is no such grant", path=("grantId",))
    if role.code == ADMIN and role.is_system:
        await require_administrator(tx, path=("grantId",))
    return await tx.found(User, row.user_id)


async def set_plant_access(
    tx: WriteTx, *, user_id: int, plant_id: int, read: bool, write: bool, delete_: bool
) -> tuple[User, PlantAccess | None]:
    """What a user may touch in a plant; nothing at all takes the row away."""
    user = await tx.found(User, user_id, path=("userId",))
    await tx.found(Plant, plant_id, path=("plantId",))
    manages(tx, plant_id, path=("plantId",))
    if (write and not read) or (delete_ and not write):
        raise ValidationFailed(
            "Deleting includes writing, writing includes reading", path=("canWrite",), constraint="nested"
        )
    actor = tx.actor
    reaches = (
        (read, actor.readable, "canRead"),
        (write, actor.writable, "canWrite"),
        (delete_, actor.deletable, "canDelete"),
    )
    for wanted, own, name in reaches:
        if wanted and own is not None and plant_id not in own:
            raise rules.ExceedsOwnRights("You may not do this in the plant yourself", path=(name,), permissions=[])
    await tx.key_lock("identity.plant_access", user_id)
    row: PlantAccess | None = await tx.one(
        select(PlantAccess).where(
            PlantAccess.organization_id == tx.org, PlantAccess.user_id == user_id, PlantAccess.plant_id == plant_id
        )
    )
    if not read:
        if row is not None:
            await tx.delete(row)
        return user, None
    if row is None:
        row = tx.add(PlantAccess(user_id=user_id, plant_id=plant_id))
    row.can_read, row.can_write, row.can_delete = read, write, delete_
    return user, row


def require_held(tx: WriteTx, role: Role) -> None:
    """Bringing a role back gives its rights again."""
    rules.must_hold(tx.actor.permissions, [rules.Grant(frozenset(role.permissions))], ("id",))

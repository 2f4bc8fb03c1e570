"""The public types of identity."""

from datetime import datetime

from schema.node import Connection, Node, column, computed, node, to_many, to_one

from . import catalogue, lists, rules, tables

READ = "identity.read"
MANAGE = "identity.manage"
APPS = "identity.apps"


def _role_permissions(code: str, is_system: bool, own: list[str]) -> list[str]:
    return sorted(catalogue.of_role(code, is_system, own))


@node(tables.Organization, permission=READ, description="A tenant: one company, seen by nobody else")
class Organization(Node):
    code: str = column(description="Short name used at sign-in, unique over all organizations whatever the case")
    subdomain: str | None = column(description="Subdomain its users open; selects the branding of the sign-in page")
    name: str = column(description="Name of the company")
    industry: str | None = column(description="Branch it works in")
    address: str | None = column(description="Postal address")
    contact_email: str | None = column(description="E-mail address for questions about the organization")
    contact_phone: str | None = column(description="Telephone number for questions about the organization")
    brand_name: str | None = column(description="Name shown to users where it differs from the company's")
    logo_url: str | None = column(description="Address of the logo, https")
    primary_color: str | None = column(description="Main colour as #rrggbb")
    accent_color: str | None = column(description="Second colour as #rrggbb")
    version: int = column(description="Counts changes; pass it as `expectedVersion`")
    created_at: datetime = column(description="When it was created")
    updated_at: datetime = column(description="When it last changed")


@node(tables.Plant, permission=READ, description="A site of the organization, in one time zone")
class Plant(Node):
    code: str = column(description="Code, unique in the organization")
    name: str = column(description="Name of the plant")
    plant_type: rules.PlantType = column(description="What it mainly does")
    time_zone: str = column(description="IANA time zone its days and shifts are counted in, for example Europe/Berlin")
    address: str | None = column(description="Postal address")
    manager: "User | None" = to_one(tables.Plant.manager_id, description="Who runs the plant")
    departments: Connection["Department"] = to_many(
        tables.Department.plant_id, lists.DEPARTMENTS, description="Its departments"
    )
    archived_at: datetime | None = column(description="When it was archived; null while it is in use")
    version: int = column(description="Counts changes; pass it as `expectedVersion`")
    created_at: datetime = column(description="When it was created")
    updated_at: datetime = column(description="When it last changed")


@node(tables.Department, permission=READ, description="An organizational unit within a plant")
class Department(Node):
    plant: Plant | None = to_one(tables.Department.plant_id, description="Plant it belongs to")
    code: str = column(description="Code, unique in the plant")
    name: str = column(description="Name of the department")
    head: "User | None" = to_one(tables.Department.head_id, description="Who leads it")
    archived_at: datetime | None = column(description="When it was archived; null while it is in use")
    version: int = column(description="Counts changes; pass it as `expectedVersion`")
    created_at: datetime = column(description="When it was created")
    updated_at: datetime = column(description="When it last changed")


@node(tables.User, permission=READ, description="A person of the organization who signs in")
class User(Node):
    email: str = column(description="E-mail address as it was typed; unique in the organization whatever the case")
    username: str = column(description="Short name, unique in the organization whatever the case")
    full_name: str = column(description="Name of the person")
    employee_code: str | None = column(description="Personnel number, unique in the organization")
    phone: str | None = column(description="Telephone number", permission=MANAGE)
    locale: str = column(description="Language tag for texts sent to the person, for example de or pt-BR")
    all_plants: bool = column(description="May read, write and delete in every plant, as far as the roles allow")
    grants: Connection["RoleGrant"] = to_many(
        tables.RoleGrant.user_id, lists.ROLE_GRANTS, description="Roles the person holds, and where"
    )
    plant_access: Connection["PlantAccess"] = to_many(
        tables.PlantAccess.user_id, lists.PLANT_ACCESS, description="Plants the person may touch; see also `allPlants`"
    )
    archived_at: datetime | None = column(description="When the person was archived and lost access; null while active")
    version: int = column(description="Counts changes; pass it as `expectedVersion`")
    created_at: datetime = column(description="When the person was added")
    updated_at: datetime = column(description="When it last changed")


@node(tables.Role, permission=READ, description="A set of permissions that can be granted")
class Role(Node):
    code: str = column(description="Code, unique in the organization")
    name: str = column(description="Name of the role")
    description: str | None = column(description="What it is for")
    is_system: bool = column(description="The same in every organization, and not changeable")
    permissions: list[str] = computed(
        _role_permissions, tables.Role.code, tables.Role.is_system, tables.Role.permissions,
        description="Codes of the permissions it holds; see the query `permissions`",
    )  # fmt: skip
    grants: Connection["RoleGrant"] = to_many(
        tables.RoleGrant.role_id, lists.ROLE_GRANTS, description="Who holds the role, and where"
    )
    archived_at: datetime | None = column(
        description="When it was archived and stopped giving rights; null while in use"
    )
    version: int = column(description="Counts changes; pass it as `expectedVersion`")
    created_at: datetime = column(description="When it was created")
    updated_at: datetime = column(description="When it last changed")


@node(
    tables.RoleGrant,
    permission=READ,
    description="A role held by a user: in the whole organization, in a plant, or in one department",
)
class RoleGrant(Node):
    user: User | None = to_one(tables.RoleGrant.user_id, description="Who holds it")
    role: Role | None = to_one(tables.RoleGrant.role_id, description="The role")
    plant: Plant | None = to_one(
        tables.RoleGrant.plant_id, description="Plant it holds in; null also where not visible"
    )
    department: Department | None = to_one(
        tables.RoleGrant.department_id, description="Department it holds in; null also where not visible"
    )
    level: rules.GrantLevel = computed(
        rules.level, tables.RoleGrant.plant_id, tables.RoleGrant.department_id, description="How far it reaches"
    )
    created_at: datetime = column(description="When it was granted")


@node(tables.PlantAccess, permission=READ, description="What a user may touch in a plant, whatever the roles say")
class PlantAccess(Node):
    user: User | None = to_one(tables.PlantAccess.user_id, description="The user")
    plant: Plant | None = to_one(tables.PlantAccess.plant_id, description="The plant; null where not visible")
    can_read: bool = column(description="May see the plant's rows")
    can_write: bool = column(description="May add and change the plant's rows")
    can_delete: bool = column(description="May archive and delete the plant's rows")
    version: int = column(description="Counts changes")


@node(tables.App, permission=APPS, description="A program that calls this API with keys of its own")
class App(Node):
    code: str = column(description="Code, unique in the organization")
    name: str = column(description="Name of the app")
    description: str | None = column(description="What it does, and who runs it")
    document_policy: rules.DocumentPolicy = column(description="Which GraphQL documents it may send")
    keys: Connection["AppKey"] = to_many(tables.AppKey.app_id, lists.APP_KEYS, description="Its keys, oldest first")
    archived_at: datetime | None = column(description="When it was archived and its keys stopped working")
    version: int = column(description="Counts changes; pass it as `expectedVersion`")
    created_at: datetime = column(description="When it was registered")
    updated_at: datetime = column(description="When it last changed")


@node(tables.AppKey, permission=APPS, description="A key of an app. Its secret is shown once, when it is made")
class AppKey(Node):
    app: App | None = to_one(tables.AppKey.app_id, description="The app it belongs to")
    name: str = column(description="What the key is for, for example `production` or `rotation 2026`")
    prefix: str = column(description="First characters of the secret, to recognize it by")
    scopes: list[str] = column(description="Codes of the permissions it gives")
    plant: Plant | None = to_one(
        tables.AppKey.plant_id, description="The one plant it reaches; null where it reaches all"
    )
    expires_at: datetime | None = column(description="When it stops working; null for never")
    revoked_at: datetime | None = column(description="When it was revoked")
    use: "AppKeyUse | None" = to_one(tables.AppKey.id, description="When it was last used; null for never")
    created_at: datetime = column(description="When it was made")


@node(tables.AppKeyUse, permission=APPS, description="Use of an app's key")
class AppKeyUse(Node):
    last_used_at: datetime = column(description="When the key was last used, to the minute")

"""What can be listed: the filters and orders of identity."""

from schema.enums import public_enum
from schema.listing import Listing

from . import rules
from . import tables as t

public_enum(
    rules.PlantType,
    name="PlantType",
    description="What a plant mainly does",
    values={
        "FABRICATION": "Makes parts from raw material",
        "PRODUCTION": "Makes products in series",
        "ASSEMBLY": "Puts products together from parts",
    },
)
public_enum(
    rules.DocumentPolicy,
    name="DocumentPolicy",
    description="Which GraphQL documents an app may send",
    values={
        "OPTIONAL": "Any, trusted ones by their id or not",
        "REQUIRED": "Trusted documents only, by their id",
    },
)
public_enum(
    rules.GrantLevel,
    name="GrantLevel",
    description="How far a grant reaches",
    values={
        "ORGANIZATION": "The whole organization",
        "PLANT": "One plant, all its departments",
        "DEPARTMENT": "One department of a plant",
    },
)

PLANTS = Listing(
    t.Plant,
    name="Plant",
    where={
        "code": t.Plant.code,
        "name": t.Plant.name,
        "plantType": t.Plant.plant_type,
        "manager": t.Plant.manager_id,
        "archivedAt": t.Plant.archived_at,
        "createdAt": t.Plant.created_at,
    },
    order_by={"CODE": t.Plant.code, "NAME": t.Plant.name, "CREATED_AT": t.Plant.created_at},
    default=("CODE",),
)

DEPARTMENTS = Listing(
    t.Department,
    name="Department",
    where={
        "code": t.Department.code,
        "name": t.Department.name,
        "plant": t.Department.plant_id,
        "head": t.Department.head_id,
        "archivedAt": t.Department.archived_at,
        "createdAt": t.Department.created_at,
    },
    order_by={"CODE": t.Department.code, "NAME": t.Department.name, "CREATED_AT": t.Department.created_at},
    default=("CODE",),
)

USERS = Listing(
    t.User,
    name="User",
    where={
        "email": t.User.email_lower,
        "username": t.User.username_lower,
        "fullName": t.User.full_name,
        "employeeCode": t.User.employee_code,
        "archivedAt": t.User.archived_at,
        "createdAt": t.User.created_at,
    },
    order_by={"FULL_NAME": t.User.full_name, "EMAIL": t.User.email_lower, "CREATED_AT": t.User.created_at},
    default=("FULL_NAME",),
)

ROLES = Listing(
    t.Role,
    name="Role",
    where={"code": t.Role.code, "name": t.Role.name, "isSystem": t.Role.is_system, "archivedAt": t.Role.archived_at},
    order_by={"CODE": t.Role.code, "NAME": t.Role.name},
    default=("CODE",),
)

ROLE_GRANTS = Listing(
    t.RoleGrant,
    name="RoleGrant",
    where={
        "user": t.RoleGrant.user_id,
        "role": t.RoleGrant.role_id,
        "plant": t.RoleGrant.plant_id,
        "department": t.RoleGrant.department_id,
    },
    order_by={"CREATED_AT": t.RoleGrant.created_at},
    default=("CREATED_AT",),
)

PLANT_ACCESS = Listing(
    t.PlantAccess,
    name="PlantAccess",
    where={"user": t.PlantAccess.user_id, "plant": t.PlantAccess.plant_id},
    order_by={"PLANT": t.PlantAccess.plant_id},
    default=("PLANT",),
)

APPS = Listing(
    t.App,
    name="App",
    where={"code": t.App.code, "name": t.App.name, "archivedAt": t.App.archived_at},
    order_by={"CODE": t.App.code, "NAME": t.App.name},
    default=("CODE",),
)

APP_KEYS = Listing(
    t.AppKey,
    name="AppKey",
    where={"app": t.AppKey.app_id, "plant": t.AppKey.plant_id},
    order_by={"CREATED_AT": t.AppKey.created_at},
    default=("CREATED_AT",),
)

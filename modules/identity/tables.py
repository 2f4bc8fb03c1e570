"""Rows of identity. What proves an identity (hashes, sessions, tokens) has no table here: only functions reach it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Computed
from sqlalchemy.orm import Mapped, mapped_column

from db.base import LedgerTable, TenantTable, enum, ref

from . import rules


class Organization(TenantTable):
    __tablename__ = "organizations"

    id: Mapped[int] = mapped_column(BigInteger, Computed("organization_id"), primary_key=True, sort_order=-1)
    code: Mapped[str]
    code_lower: Mapped[str] = mapped_column(Computed("lower(code)"))
    subdomain: Mapped[str | None]
    name: Mapped[str]
    industry: Mapped[str | None]
    address: Mapped[str | None]
    contact_email: Mapped[str | None]
    contact_phone: Mapped[str | None]
    brand_name: Mapped[str | None]
    logo_url: Mapped[str | None]
    primary_color: Mapped[str | None]
    accent_color: Mapped[str | None]
    archived_at: Mapped[datetime | None]


class Plant(TenantTable):
    __tablename__ = "plants"

    code: Mapped[str]
    name: Mapped[str]
    plant_type: Mapped[rules.PlantType] = enum(rules.PlantType)
    time_zone: Mapped[str]
    address: Mapped[str | None]
    manager_id: Mapped[int | None] = ref("User")
    archived_at: Mapped[datetime | None]


class Department(TenantTable):
    __tablename__ = "departments"

    plant_id: Mapped[int] = ref("Plant")
    code: Mapped[str]
    name: Mapped[str]
    head_id: Mapped[int | None] = ref("User")
    archived_at: Mapped[datetime | None]


class User(TenantTable):
    __tablename__ = "users"

    email: Mapped[str]
    email_lower: Mapped[str] = mapped_column(Computed("lower(email)"))
    username: Mapped[str]
    username_lower: Mapped[str] = mapped_column(Computed("lower(username)"))
    full_name: Mapped[str]
    employee_code: Mapped[str | None]
    phone: Mapped[str | None]
    locale: Mapped[str]
    all_plants: Mapped[bool]
    archived_at: Mapped[datetime | None]


class Role(TenantTable):
    __tablename__ = "roles"

    code: Mapped[str]
    name: Mapped[str]
    description: Mapped[str | None]
    is_system: Mapped[bool]
    permissions: Mapped[list[str]]
    archived_at: Mapped[datetime | None]


class RoleGrant(TenantTable):
    __tablename__ = "role_grants"

    user_id: Mapped[int] = ref("User")
    role_id: Mapped[int] = ref("Role")
    plant_id: Mapped[int | None] = ref("Plant")
    department_id: Mapped[int | None] = ref("Department")


class PlantAccess(TenantTable):
    __tablename__ = "user_plant_access"

    user_id: Mapped[int] = ref("User")
    plant_id: Mapped[int] = ref("Plant")
    can_read: Mapped[bool]
    can_write: Mapped[bool]
    can_delete: Mapped[bool]


class App(TenantTable):
    __tablename__ = "apps"

    code: Mapped[str]
    name: Mapped[str]
    description: Mapped[str | None]
    document_policy: Mapped[rules.DocumentPolicy] = enum(rules.DocumentPolicy)
    archived_at: Mapped[datetime | None]


class AppKey(TenantTable):
    __tablename__ = "app_keys"

    app_id: Mapped[int] = ref("App")
    name: Mapped[str]
    prefix: Mapped[str]
    scopes: Mapped[list[str]]
    plant_id: Mapped[int | None] = ref("Plant")
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class AppKeyUse(LedgerTable):
    """When a key was last used; its id is the key's."""

    __tablename__ = "app_key_uses"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, sort_order=-1)
    last_used_at: Mapped[datetime]

"""What tests of identity arrange again and again, each through the service itself."""

from datetime import UTC, datetime
from types import SimpleNamespace

import asyncpg
from strawberry import Some

from db.actor import Actor
from db.session import Database
from modules.identity.access import service as access
from modules.identity.apps import service as apps
from modules.identity.people import service as people
from modules.identity.public import load_user_actor
from modules.identity.sites import service as sites
from modules.identity.tables import User
from tests.support import Tenant

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)


async def role_id(admin: asyncpg.Connection, tenant: Tenant, code: str) -> int:
    return await admin.fetchval(
        "select id from app.roles where organization_id = $1 and code = $2", tenant.organization_id, code
    )


async def grant_id(admin: asyncpg.Connection, tenant: Tenant, user: str) -> int:
    return await admin.fetchval(
        "select id from app.role_grants where organization_id = $1 and user_id = $2",
        tenant.organization_id,
        tenant.users[user],
    )


async def loaded(database: Database, tenant: Tenant, user_id: int) -> Actor:
    actor = await load_user_actor(database, tenant.organization_id, user_id, None)
    assert actor is not None
    return actor


async def new_user(database: Database, tenant: Tenant, name: str, **more: object) -> User:
    async with database.write(tenant.actor()) as tx:
        return await people.create(tx, email=f"{name}@acme.example", full_name=name.title(), now=NOW, **more)


async def give(
    database: Database, actor: Actor, user: int, role: int, plant: int | None = None, department: int | None = None
):
    async with database.write(actor) as tx:
        return await access.grant(tx, user_id=user, role_id=role, plant_id=plant, department_id=department)


def patch(**given: object) -> SimpleNamespace:
    """An input in which only these fields were provided."""
    names = {*people.FIELDS, *sites.PLANT, *sites.ORGANIZATION, *apps.FIELDS}
    return SimpleNamespace(**{n: Some(given[n]) if n in given else None for n in names})


async def new_role(database: Database, tenant: Tenant, code: str, permissions: list[str]) -> int:
    async with database.write(tenant.actor()) as tx:
        return (await access.create_role(tx, code=code, name=code, description=None, permissions=permissions)).id

"""The demo factory in a database of its own: two organizations full of rows of every kind."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import asyncpg
import pytest

from api.seeding import seed
from db.actor import EVERYWHERE, Actor, Scope
from db.migrate import app_url, migrate
from db.session import Database
from modules.platform.public import S3, FileStorage
from schema.build import build, permissions
from schema.ids import encode
from schema.node import NODES
from tests.conftest import SECRET
from tests.support import House

FILES = """insert into app.files (organization_id, plant_id, key, filename, content_type, size, sha256, status, status_at)
  select organization_id, id, organization_id || '/' || md5(id::text), code, 'image/png', 1, repeat('0', 64), 'ready', now()
  from app.plants
  union all
  select organization_id, null, organization_id || '/' || md5(code), code, 'image/png', 1, repeat('0', 64), 'ready', now()
  from app.organizations"""


BATCHES = """insert into app.offline_batches (organization_id, device_id, sent_at, received_at, items)
  select organization_id, 'terminal', now(), now(), 1 from app.organizations"""


@dataclass
class Factory:
    house: House
    admin: asyncpg.Connection

    async def organization(self, code: str) -> int:
        return int(await self.admin.fetchval("select organization_id from app.organizations where code = $1", code))

    async def actor(self, code: str) -> Actor:
        """The organization's administrator, who holds every permission everywhere."""
        org = await self.organization(code)
        user = await self.admin.fetchval(
            "select id from app.users where organization_id = $1 and email_lower = $2", org, f"admin@{code}.example"
        )
        held = dict.fromkeys(permissions(), EVERYWHERE)
        return Actor(org, user_id=user, permissions=held, readable=None, writable=None, deletable=None)

    async def plants(self, code: str) -> list[int]:
        org = await self.organization(code)
        return [
            r["id"]
            for r in await self.admin.fetch("select id from app.plants where organization_id = $1 order by id", org)
        ]

    def within(self, actor: Actor, plants: list[int]) -> Actor:
        scope, ids = Scope.of_plants(plants), frozenset(plants)
        held = dict.fromkeys(actor.permissions, scope)
        return replace(actor, permissions=held, readable=ids, writable=ids, deletable=ids)

    def in_department(self, actor: Actor, plant: int, department: int) -> Actor:
        """Whose grants hold in one department, whatever plants the person may enter."""
        return replace(actor, permissions=dict.fromkeys(actor.permissions, Scope.of_department(plant, department)))

    async def ids(self, code: str, *, most: int = 4, plant: int | None = None) -> dict[str, list[str]]:
        """Some ids of every type, of an organization, or of one plant of it."""
        org, found = await self.organization(code), {}
        for name, node in NODES.items():
            columns = node.__declared__.table.__table__.columns
            if name not in self.house.schema._schema.type_map:
                continue
            own = "id" if name == "Plant" else "plant_id" if "plant_id" in columns else None
            if plant is not None and own is None:
                continue
            where = f" and {own} = {int(plant)}" if plant is not None else ""
            if (
                node.__declared__.personal
            ):  # nobody else's, not even the administrator's, are shown to the administrator
                where += f" and user_id = (select id from app.users where email_lower = 'admin@{code}.example')"
            base = await self.base(name)
            rows = await self.admin.fetch(
                f"select id from {base} where organization_id = $1{where} order by id limit {most}", org
            )
            found[name] = [encode(name, r["id"]) for r in rows]
        return found

    async def base(self, type_name: str) -> str:
        """The table behind a type; a superuser without a tenant sees nothing through a barrier view."""
        table = NODES[type_name].__declared__.table.__table__
        hidden = await self.admin.fetchval("select to_regclass('tsdata.' || $1)::text", table.name)
        return hidden or table.fullname

    async def rows(self, type_name: str, keys: set[int]) -> dict[int, dict[str, Any]]:
        """Rows by key, whoever's they are."""
        found = await self.admin.fetch(
            f"select id, to_jsonb(t)::text as row from {await self.base(type_name)} t where id = any ($1)", list(keys)
        )
        return {r["id"]: json.loads(r["row"]) for r in found}

    async def fingerprint(self, org: int) -> dict[str, str]:
        """Every row of an organization, table by table, in one line each."""
        tables = await self.admin.fetch(
            """select c.oid::regclass::text as name from pg_class c join pg_attribute a on a.attrelid = c.oid
               where c.relnamespace::regnamespace::text in ('app', 'tsdata', 'auth') and c.relkind in ('r', 'p') and not c.relispartition
                 and a.attname = 'organization_id' order by 1"""
        )
        return {
            t["name"]: await self.admin.fetchval(
                f"select count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0) from {t['name']} t where organization_id = $1",
                org,
            )
            for t in tables
        }


@pytest.fixture(scope="session")
async def factory(server: str) -> AsyncIterator[Factory]:
    connection = await asyncpg.connect(server)
    name = f"factory_{secrets.token_hex(4)}"  # sweeps and plans each have their own
    await connection.execute(f"create database {name}")
    await connection.close()
    url = server.rsplit("/", 1)[0] + f"/{name}"
    await migrate(url, SECRET)
    await seed(url)
    admin = await asyncpg.connect(url)
    await admin.execute(FILES)  # the demo has none: there would be nothing to download
    await admin.execute(BATCHES)  # nor was a terminal of the demo ever offline
    database = Database.connect(app_url(url, SECRET), pool_size=10)
    house = House(build(), database)
    house.storage = FileStorage(S3("127.0.0.1:9", "access-key", "secret-key", "files"))  # links are signed without it
    yield Factory(house, admin)
    await database.close()
    await admin.close()

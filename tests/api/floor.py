"""Machines and projects that change, and the log they leave."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import asyncpg

from schema.feed import Cursor
from tests.support import Tenant

_number = itertools.count(1)


class Floor:
    """Writes as superuser in the name of an organization: what happens is arranged, what is heard is asked."""

    def __init__(self, connection: asyncpg.Connection, tenant: Tenant) -> None:
        self.connection = connection
        self.tenant = tenant

    async def machine(self, plant: int = 0, department: int | None = None) -> int:
        return await self._in_tenant(
            "insert into app.machines (organization_id, plant_id, department_id, code, name, status_since)"
            " values ($1, $2, $3, $4, '0', now()) returning id",
            self.tenant.plants[plant],
            None if department is None else self.tenant.departments[department],
            f"M{next(_number)}",
        )

    async def project(self, plant: int | None = None) -> int:
        return await self._in_tenant(
            "insert into app.projects (organization_id, plant_id, number, name) values ($1, $2, $3, '0') returning id",
            None if plant is None else self.tenant.plants[plant],
            f"P{next(_number)}",
        )

    async def change(self, table: str, id: int, **columns: Any) -> None:
        sets = ", ".join(f"{name} = ${n}" for n, name in enumerate(columns, 3))
        await self._in_tenant(
            f"update app.{table} set {sets} where organization_id = $1 and id = $2 returning id", id, *columns.values()
        )

    async def _in_tenant(self, statement: str, *values: Any) -> int:
        async with self.connection.transaction():
            await self.connection.execute(f"set local app.org_id = '{self.tenant.organization_id}'")
            return int(await self.connection.fetchval(statement, self.tenant.organization_id, *values))

    async def settled(self) -> int:
        """Wait until the relay has moved everything; answers the newest position."""
        async with asyncio.timeout(10):
            while await self.connection.fetchval("select count(*) from ev.inbox"):
                await asyncio.sleep(0.01)
        return int(await self.connection.fetchval("select pos from ev.head"))

    async def log(self, topic: str, after: int = 0) -> list[str]:
        """The cursors of all events of a topic."""
        rows = await self.connection.fetch(
            "select pos from ev.log where organization_id = $1 and topic = $2 and pos > $3 order by pos",
            self.tenant.organization_id,
            topic,
            after,
        )
        return [str(Cursor(row["pos"])) for row in rows]

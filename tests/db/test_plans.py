"""A page of a long list is read along its index, whoever asks: row-level security must not make the planner read it all."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from db.actor import Actor
from db.session import Database
from tests.support import Tenant, new_tenant

ROWS, PAGE = 6_000, 200
FURNISH = """insert into app.work_orders (organization_id, plant_id, department_id, number, quantity_ordered, unit)
  select $1, $2, $3, 'WO-' || lpad(n::text, 6, '0'), 10, 'pcs' from generate_series(1, $4) n"""
LIST = f"""explain (analyze, format json) select * from app.work_orders
  where organization_id = :org and (number, id) > (:number, 0) order by number, id limit {PAGE}"""


@pytest.fixture(scope="module")
async def long_list(admin: asyncpg.Connection, database: Database) -> AsyncIterator[Tenant]:
    tenant = await new_tenant(admin)
    async with admin.transaction():
        await admin.execute("set local session_replication_role = replica")
        await admin.execute(FURNISH, tenant.organization_id, tenant.plants[0], tenant.departments[0], ROWS)
    await admin.execute("analyze app.work_orders")
    yield tenant
    await admin.execute("delete from app.work_orders where organization_id = $1", tenant.organization_id)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


@pytest.mark.parametrize("whose", ["all plants", "one plant", "one department"])
@pytest.mark.parametrize("number", ["", "WO-003000"])
async def test_a_page_of_a_long_list_is_read_along_its_index(
    long_list: Tenant, database: Database, whose: str, number: str
) -> None:
    callers: dict[str, Actor] = {
        "all plants": long_list.actor(),
        "one plant": long_list.actor(plants=long_list.plants[:1]),
        "one department": long_list.in_department(),
    }
    async with database.read(callers[whose], "production.read") as tx:
        told = await tx.scalar(text(LIST), {"org": long_list.organization_id, "number": number})
    plan = (json.loads(told) if isinstance(told, str) else told)[0]["Plan"]
    scans = [node for node in nodes(plan) if "Scan" in node["Node Type"]]
    read = sum(node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in scans)
    assert plan["Actual Rows"] == PAGE
    assert read <= 2 * PAGE, json.dumps(plan, indent=1)
    assert {node.get("Index Name") for node in scans} == {"work_orders_organization_id_number_key"}

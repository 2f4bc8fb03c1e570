"""The demo factory obeys the rules it was made by."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from sqlalchemy import select

from db.demo import CONTEXT, Demo
from db.session import Database
from modules.equipment.module import MODULE as EQUIPMENT
from modules.production.module import MODULE as PRODUCTION
from modules.production.tables import WorkOrder
from modules.projects.module import MODULE as PROJECTS
from tests.modules.production.shop import Shop
from tests.support import Tenant, new_tenant

NOW = datetime(2026, 6, 17, 13, 37, tzinfo=UTC)


async def furnished(admin: asyncpg.Connection, now: datetime) -> Tenant:
    tenant = await new_tenant(admin)
    async with admin.transaction():
        for name, value in {"app.org_id": str(tenant.organization_id), **dict.fromkeys(CONTEXT, "all")}.items():
            await admin.execute("select set_config($1, $2, true)", name, value)
        demo = Demo(admin, tenant.organization_id, "acme", now=now, scale=0.2)
        for module in (PROJECTS, EQUIPMENT, PRODUCTION):
            assert module.demo is not None
            await module.demo(demo)
    return tenant


@pytest.fixture(scope="module")
async def factory(admin: asyncpg.Connection, database: Database, house: object) -> Shop:
    return Shop(database, await furnished(admin, datetime.now(UTC)))


async def test_every_order_is_what_its_log_says(factory: Shop) -> None:
    async with factory.database.read(factory.actor) as tx:
        ids = await tx.scalars(select(WorkOrder.id).where(WorkOrder.organization_id == tx.org))
    assert len(ids) == 60
    for id in ids:
        await factory.check(id)


async def test_there_are_orders_in_every_state_and_rows_of_every_kind(factory: Shop, admin: asyncpg.Connection) -> None:
    org = factory.tenant.organization_id
    states = await admin.fetch("select distinct status from app.work_orders where organization_id = $1", org)
    assert len(states) == 7
    kinds = await admin.fetch("select distinct kind from tsdata.production_logs where organization_id = $1", org)
    assert len(kinds) == 7
    steps = await admin.fetch(
        "select distinct count(*) as n from app.routing_operations where organization_id = $1 group by routing_id", org
    )
    assert {row["n"] for row in steps} <= {4, 5, 6}


async def test_nothing_happens_in_the_future_or_before_its_order(factory: Shop, admin: asyncpg.Connection) -> None:
    wrong = await admin.fetchval(
        "select count(*) from tsdata.production_logs l join app.work_orders o"
        " on o.organization_id = l.organization_id and o.id = l.work_order_id"
        " where l.organization_id = $1 and (l.logged_at > now() or l.logged_at < o.released_at or l.created_at < l.logged_at)",
        factory.tenant.organization_id,
    )
    assert wrong == 0


async def test_people_work_on_machines_only_while_they_run(factory: Shop, admin: asyncpg.Connection) -> None:
    outside = await admin.fetchval(
        "select count(*) from tsdata.production_logs l where l.organization_id = $1 and l.kind = 'start'"
        " and l.machine_id is not null and not exists (select from app.machine_status_history h"
        "  where h.organization_id = l.organization_id and h.machine_id = l.machine_id and h.status = 'running'"
        "  and h.started_at <= l.logged_at and coalesce(h.ended_at, 'infinity') > l.logged_at)",
        factory.tenant.organization_id,
    )
    assert outside == 0


async def test_orders_belong_to_projects_that_were_under_way(factory: Shop, admin: asyncpg.Connection) -> None:
    found = await admin.fetch(
        "select o.status, p.status as project, o.created_at::date - p.start_date as begun,"
        " p.actual_end_date - o.actual_end_at::date as left from app.work_orders o"
        " join app.projects p on p.organization_id = o.organization_id and p.id = o.project_id"
        " where o.organization_id = $1",
        factory.tenant.organization_id,
    )
    assert len(found) > 5
    assert all(row["begun"] >= 0 and (row["left"] is None or row["left"] >= 0) for row in found)
    open_ = {row["project"] for row in found if row["status"] in ("planned", "released", "in_progress", "on_hold")}
    assert open_ <= {"active", "on_hold"}


async def test_the_next_order_takes_the_next_number(factory: Shop, admin: asyncpg.Connection) -> None:
    year = datetime.now(UTC).year
    last = await admin.fetchval(
        "select max(number) from app.work_orders where organization_id = $1 and number like $2",
        factory.tenant.organization_id,
        f"WO-{year}-%",
    )
    order = await factory.get(await factory.order())
    assert order.number == f"WO-{year}-{int(last.rsplit('-', 1)[1]) + 1:06}"


async def test_the_same_moment_gives_the_same_factory(admin: asyncpg.Connection, house: object) -> None:
    async def told() -> list[Any]:
        tenant = await furnished(admin, NOW)
        return await admin.fetch(
            "select o.number, o.status, o.quantity_good, l.kind, l.quantity_good, l.quantity_scrapped, l.logged_at"
            " from app.work_orders o left join tsdata.production_logs l"
            " on l.organization_id = o.organization_id and l.work_order_id = o.id where o.organization_id = $1"
            " order by o.number, l.id",
            tenant.organization_id,
        )

    once = await told()
    assert len(once) > 1_000
    assert once == await told()

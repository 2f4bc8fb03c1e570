"""Where the log is kept: who reaches it, and how months get their partitions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import asyncpg
import pytest
from sqlalchemy import select, text

from db.actor import Actor, Scope
from db.demo import CONTEXT
from db.refusal import NotFound
from modules.production.logs import service
from modules.production.logs.rules import LogKind
from modules.production.logs.service import Entry
from modules.production.operations.rules import Amounts
from modules.production.tables import ProductionLog
from tests.modules.production.shop import D, Shop, now
from tests.support import Tenant


def of_department(tenant: Tenant) -> Actor:
    """A person who holds rights in the first plant's department alone."""
    here = Scope.of_department(tenant.plants[0], tenant.departments[0])
    return replace(tenant.actor("operator"), permissions={"production.read": here, "production.report": here})


async def test_a_right_in_a_department_reaches_the_orders_of_that_department(shop: Shop, tenant: Tenant) -> None:
    own = await shop.order(department_id=tenant.departments[0])
    other = await shop.order()
    actor = of_department(tenant)
    for order, reached in ((own, True), (other, False)):
        (step,) = await shop.operations(order)
        await shop.report(step, good=1)
        entry = Entry(step.id, LogKind.REPORT, moment := now(), Amounts(good=D(1)))
        async with shop.database.read(actor, "production.read") as tx:
            seen = await tx.scalars(
                select(ProductionLog.id).where(
                    ProductionLog.organization_id == tx.org, ProductionLog.work_order_id == order
                )
            )
        assert len(seen) == reached
        try:
            async with shop.database.write(actor, "production.report") as tx:
                await service.record(tx, entry, moment)
        except Exception as refused:
            assert not reached
            assert type(refused).__name__ == "NotPermitted"
        else:
            assert reached
        await shop.check(order)


async def test_the_view_refuses_rows_of_other_places(shop: Shop, tenant: Tenant, stranger: Tenant) -> None:
    order = await shop.order(plant_id=tenant.plants[0])
    (step,) = await shop.operations(order)
    insert = text(
        "insert into app.production_logs (organization_id, plant_id, work_order_id, operation_id, kind, unit, reworked,"
        " logged_at) values (:org, :plant, :order, :step, 'issue', 'pcs', false, now())"
    )
    values = {"org": tenant.organization_id, "plant": tenant.plants[0], "order": order, "step": step.id}
    for actor in (tenant.actor("operator", plants=[tenant.plants[1]]), stranger.actor(), of_department(tenant)):
        with pytest.raises(asyncpg.PostgresError, match=r"outside the caller's departments|check option"):
            async with shop.database.write(actor, "production.report") as tx:
                await tx.execute(insert, values)
    async with shop.database.write(tenant.actor("operator"), "production.report") as tx:
        await tx.execute(insert, values)


async def test_rows_move_from_the_default_partition_into_that_of_their_month(
    shop: Shop, admin: asyncpg.Connection
) -> None:
    order = await shop.order()
    (step,) = await shop.operations(order)
    long_ago = datetime(2019, 3, 31, 23, 59, 59, tzinfo=UTC)
    async with admin.transaction():
        for name, value in {"app.org_id": str(shop.tenant.organization_id), **dict.fromkeys(CONTEXT, "all")}.items():
            await admin.execute("select set_config($1, $2, true)", name, value)
        id = await admin.fetchval(
            "insert into tsdata.production_logs (organization_id, plant_id, work_order_id, operation_id, kind, unit,"
            " logged_at) values ($1, $2, $3, $4, 'issue', 'pcs', $5) returning id",
            shop.tenant.organization_id, shop.plant, order, step.id, long_ago,
        )  # fmt: skip
    where = "select tableoid::regclass::text from tsdata.production_logs where organization_id = $1 and id = $2"
    assert await admin.fetchval(where, shop.tenant.organization_id, id) == "tsdata.production_logs_default"
    for _ in range(2):
        await admin.execute("select tsdata.production_log_partitions('2019-03-01', '2019-04-01')")
    assert await admin.fetchval(where, shop.tenant.organization_id, id) == "tsdata.production_logs_2019_03"
    async with shop.database.read(shop.actor) as tx:
        assert (await tx.found(ProductionLog, id)).logged_at == long_ago
        with pytest.raises(NotFound):
            await tx.found(ProductionLog, id + 10**9)

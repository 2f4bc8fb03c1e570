"""Who is told of work orders that are released or held."""

from __future__ import annotations

import asyncpg
import pytest

from db.refusal import InvalidTransition
from modules.production.orders import service as orders
from modules.production.tables import WorkOrder
from tests.modules.production.shop import Shop


async def told(admin: asyncpg.Connection, shop: Shop) -> list[tuple[str, str, str]]:
    rows = await admin.fetch(
        "select u.username, n.title, n.body from app.notifications n join app.users u on u.id = n.user_id"
        " where n.organization_id = $1 order by n.id",
        shop.tenant.organization_id,
    )
    return [tuple(row) for row in rows]


async def test_those_who_lead_the_work_are_told(shop: Shop, admin: asyncpg.Connection):
    planner = shop.as_("planner")
    id = await planner.order(ordered="12.500", product_name="Bracket")
    leads = {"admin", "plant_manager", "supervisor", "integration"}
    released = await told(admin, shop)
    assert {name for name, _, _ in released} == leads
    ((title, body),) = {(title, body) for _, title, body in released}
    assert title.endswith("was released")
    assert body.startswith("12.5 pcs of Bracket.")
    async with planner.tx("production.release") as tx:
        order = await tx.found(WorkOrder, id)
        await orders.hold(tx, id, version=order.version, reason="No steel")
    held = (await told(admin, shop))[len(released) :]
    assert {name for name, _, _ in held} == leads
    assert all(title == f"Work order {order.number} is on hold" and "No steel" in body for _, title, body in held)


async def test_a_refused_change_tells_nobody(shop: Shop, admin: asyncpg.Connection):
    id = await shop.order(released=False)
    with pytest.raises(InvalidTransition):
        async with shop.tx("production.release") as tx:
            order = await tx.found(WorkOrder, id)
            await orders.hold(tx, id, version=order.version, reason="No steel")
    assert await told(admin, shop) == []

"""What a board is told while an order is worked on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from api.hub import Hub
from db.actor import Actor
from schema.context import Context
from tests.conftest import Urls
from tests.modules.production.shop import Shop
from tests.support import House, NoTokens, Tenant

ORDERS = """subscription($where: WorkOrderWhere) { workOrderEvents(where: $where) {
  type changedFields object { number status quantityGood { value } } } }"""
LOGS = "subscription { productionLogEvents { type object { kind good { value } operation { sequence } } } }"


async def relay(admin: asyncpg.Connection) -> None:
    while await admin.fetchval("select ev.relay(500)"):
        pass


@pytest.fixture
async def hub(urls: Urls, admin: asyncpg.Connection) -> AsyncIterator[Hub]:
    await relay(admin)
    hub = Hub(urls.events)
    await hub.start()
    async with asyncio.timeout(5):
        while not hub.connected:
            await asyncio.sleep(0.01)
    yield hub
    await hub.stop()


class Board:
    """A subscriber that keeps what it was told."""

    def __init__(
        self, house: House, hub: Hub, actor: Actor, document: str, variables: dict[str, Any] | None = None
    ) -> None:
        self.seen: list[dict[str, Any]] = []
        self._context = Context(actor, house.database, hub, NoTokens())
        self._task = asyncio.create_task(self._watch(house, document, variables))

    async def _watch(self, house: House, document: str, variables: dict[str, Any] | None) -> None:
        stream = await house.schema.subscribe(document, variable_values=variables, context_value=self._context)
        async for result in stream:
            assert result.errors is None, result.errors
            self.seen += result.data.values()

    async def wait(self, count: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(5):
            while len(self.seen) < count and not self._task.done():
                await asyncio.sleep(0.01)
        return self.seen

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._context.close()


async def test_boards_see_reports_of_their_plant_and_tenant_alone(
    shop: Shop, house: House, hub: Hub, admin: asyncpg.Connection, tenant: Tenant, stranger: Tenant
) -> None:
    order = await shop.order(ordered=5)
    (step,) = await shop.operations(order)
    await relay(admin)
    await asyncio.sleep(0.2)
    boards = [
        Board(house, hub, tenant.actor("viewer"), ORDERS, {"where": {"status": {"in": ["IN_PROGRESS", "COMPLETED"]}}}),
        Board(house, hub, tenant.actor("viewer"), LOGS),
        Board(house, hub, tenant.actor("viewer", plants=tenant.plants[1:]), LOGS),
        Board(house, hub, stranger.actor(), LOGS),
    ]
    try:
        await asyncio.sleep(0.2)
        await shop.report(step, good=2)
        await relay(admin)
        (event,) = await boards[0].wait(1)
        assert event["type"] == "UPDATED"
        assert event["object"]["status"] == "IN_PROGRESS"
        assert {"status", "quantity_good", "actual_start_at"} <= set(event["changedFields"])
        assert await boards[1].wait(1) == [
            {"type": "CREATED", "object": {"kind": "REPORT", "good": {"value": "2"}, "operation": {"sequence": 10}}}
        ]
        made = await shop.report(step, good=3)
        await shop.reverse(made.log.id)
        await relay(admin)
        await boards[1].wait(3)
        assert [e["object"]["good"]["value"] for e in boards[1].seen] == ["2", "3", "-3"]
        assert (await boards[0].wait(3))[-1]["object"]["status"] == "IN_PROGRESS"
        assert boards[2].seen == boards[3].seen == []
    finally:
        for board in boards:
            await board.close()

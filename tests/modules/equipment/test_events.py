"""Live status: what a board that watches machines is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from api.hub import Hub
from db.actor import Actor
from modules.equipment.status import service
from modules.equipment.status.rules import MachineStatus
from schema.context import Context
from schema.ids import encode
from tests.conftest import Urls
from tests.support import House, NoTokens, Tenant

from .conftest import Floor

WATCH = """subscription($where: StatusPeriodWhere) { machineStatusEvents(where: $where) {
  type changedFields object { status endedAt machine { code status } reasonCode { code } } } }"""
MACHINES = "subscription { machineEvents { type changedFields object { code status version } } }"


async def relay(admin: asyncpg.Connection) -> None:
    while await admin.fetchval("select ev.relay(500)"):
        pass


@pytest.fixture
async def hub(urls: Urls, floor: Floor, admin: asyncpg.Connection) -> AsyncIterator[Hub]:
    """Begins after the floor was arranged."""
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


async def record(floor: Floor, machine: int, status: MachineStatus, reason: int | None, minutes_ago: float) -> None:
    async with floor.database.write(floor.admin, "equipment.status.record") as tx:
        await service.record(
            tx, machine, status=status, reason_code_id=reason,
            occurred_at=floor.now - timedelta(minutes=minutes_ago), now=floor.now,
        )  # fmt: skip


async def test_a_board_is_told_what_begins_in_its_plants(
    house: House, floor: Floor, hub: Hub, admin: asyncpg.Connection, stranger: Tenant
) -> None:
    beginning = {"where": {"endedAt": {"isNull": True}}}
    boards = [
        Board(house, hub, floor.tenant.actor("viewer"), WATCH, beginning),
        Board(house, hub, floor.tenant.actor("viewer", plants=floor.tenant.plants[1:]), WATCH, beginning),
        Board(house, hub, stranger.actor(), WATCH, beginning),
        Board(house, hub, floor.admin, WATCH, {"where": {"machine": {"eq": encode("Machine", floor.machine.id)}}}),
        Board(house, hub, floor.admin, MACHINES),
    ]
    try:
        await asyncio.sleep(0.2)
        await record(floor, floor.machine.id, MachineStatus.DOWN, floor.repair, 10)
        await record(floor, floor.other.id, MachineStatus.RUNNING, None, 5)
        await relay(admin)
        everything = await boards[0].wait(2)
        assert (everything[0]["type"], everything[0]["object"]) == (
            "CREATED",
            {
                "status": "DOWN",
                "endedAt": None,
                "machine": {"code": "M-A", "status": "DOWN"},
                "reasonCode": {"code": "REP"},
            },
        )
        assert [e["object"]["machine"]["code"] for e in everything] == ["M-A", "M-B"]
        assert [e["object"]["machine"]["code"] for e in await boards[1].wait(1)] == ["M-B"]
        one_machine = await boards[3].wait(2)
        assert [(e["type"], e["object"]["status"]) for e in one_machine] == [
            ("UPDATED", "AVAILABLE"),
            ("CREATED", "DOWN"),
        ]
        assert one_machine[0]["changedFields"] == ["ended_at"]
        assert [
            (e["object"]["code"], e["object"]["status"], e["object"]["version"]) for e in await boards[4].wait(2)
        ] == [
            ("M-A", "DOWN", 1),
            ("M-B", "RUNNING", 1),
        ]
        assert boards[2].seen == []
        assert len(boards[1].seen) == 1
    finally:
        for board in boards:
            await board.close()

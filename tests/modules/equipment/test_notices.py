"""Who is told of a machine that goes down, and when nobody is."""

from __future__ import annotations

from datetime import datetime, timedelta

import asyncpg

from modules.equipment.status import service
from modules.equipment.status.rules import MachineStatus as S
from modules.platform.public import use_mail

from .conftest import Floor


async def put(floor: Floor, status: S, at: datetime, *, reason: int | None = None, notes: str | None = None) -> None:
    async with floor.database.write(floor.tenant.actor("operator"), "equipment.status.record") as tx:
        await service.record(
            tx, floor.machine.id, status=status, reason_code_id=reason, occurred_at=at, notes=notes, now=floor.now
        )


async def told(admin: asyncpg.Connection, floor: Floor) -> list[tuple[str, str]]:
    rows = await admin.fetch(
        "select u.username, n.title from app.notifications n join app.users u on u.id = n.user_id"
        " where n.organization_id = $1 order by n.id",
        floor.tenant.organization_id,
    )
    return [(row["username"], row["title"]) for row in rows]


async def test_those_who_answer_for_its_time_are_told_once(floor: Floor, admin: asyncpg.Connection):
    use_mail(None)
    await put(floor, S.DOWN, floor.now - timedelta(minutes=9), reason=floor.jam, notes="Belt\r\ntorn")
    people = {"admin", "plant_manager", "supervisor", "maintenance_technician"}
    assert {name for name, _ in await told(admin, floor)} == people
    assert {title for _, title in await told(admin, floor)} == {"M-A is down: Jam"}
    row = await admin.fetchrow(
        "select * from app.notifications where organization_id = $1 limit 1", floor.tenant.organization_id
    )
    assert (row["entity_type"], row["entity_id"], row["severity"]) == ("Machine", floor.machine.id, "critical")
    assert row["plant_id"] == floor.tenant.plants[0]
    assert row["body"].endswith("Belt\ntorn")
    await put(
        floor, S.DOWN, floor.now - timedelta(minutes=8), reason=floor.repair
    )  # down as before, for another reason
    await put(floor, S.AVAILABLE, floor.now - timedelta(minutes=7))
    assert len(await told(admin, floor)) == len(people)


async def test_nobody_is_told_of_what_is_over(floor: Floor, admin: asyncpg.Connection):
    await put(floor, S.SETUP, floor.now - timedelta(minutes=5))
    await put(floor, S.DOWN, floor.now - timedelta(minutes=9), reason=floor.jam)  # reported late
    assert await told(admin, floor) == []

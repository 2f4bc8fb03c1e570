"""What time adds up to inside a window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest

from modules.equipment.status.rules import MachineStatus
from modules.equipment.status.utilization import Times, of_machines, together

from .conftest import Floor

S = MachineStatus
NIGHT = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)
"""The night the clocks of Berlin are put forward, at 01:00 UTC: instants do not care."""


async def write(admin: asyncpg.Connection, floor: Floor, machine: int, periods: list[tuple[S, datetime]]) -> None:
    """The machine's time from scratch; the last period stays open."""
    plant = await admin.fetchval("select plant_id from app.machines where id = $1", machine)
    ends = [start for _, start in periods[1:]] + [None]
    async with admin.transaction():
        await admin.execute("delete from app.machine_status_history where machine_id = $1", machine)
        for (status, start), end in zip(periods, ends, strict=True):
            await admin.execute(
                "insert into app.machine_status_history (organization_id, plant_id, machine_id, status, started_at, ended_at,"
                " received_at) values ($1, $2, $3, $4, $5, $6, $5)",
                floor.tenant.organization_id, plant, machine, str(status), start, end,
            )  # fmt: skip


def at(minutes: float) -> datetime:
    return NIGHT + timedelta(minutes=minutes)


async def times(
    floor: Floor, start: float, end: float, *, now: float = 10_000, plant: int | None = None
) -> dict[int, Times]:
    async with floor.database.read(floor.admin) as tx:
        return await of_machines(
            tx, machine=None if plant else floor.machine.id, plant=plant, start=at(start), end=at(end), now=at(now)
        )


@pytest.mark.parametrize(
    ("start", "end", "now", "expected"),
    [
        (0, 240, 10_000, {S.AVAILABLE: 3600, S.RUNNING: 5400, S.DOWN: 45, S.IDLE: 5355}),
        (-60, 30, 10_000, {S.AVAILABLE: 5400}),
        (70, 80, 10_000, {S.RUNNING: 600}),
        (60, 150, 10_000, {S.RUNNING: 5400}),
        (150, 151, 10_000, {S.DOWN: 45, S.IDLE: 15}),
        (120, 10_000, 180, {S.RUNNING: 1800, S.DOWN: 45, S.IDLE: 1755}),
        (-500, -400, 10_000, {}),
        (200, 300, 190, {}),
    ],
)
async def test_periods_are_clipped_to_the_window_and_an_open_one_ends_now(
    floor: Floor, admin: asyncpg.Connection, start: float, end: float, now: float, expected: dict[S, int]
) -> None:
    await write(
        admin,
        floor,
        floor.machine.id,
        [(S.AVAILABLE, at(-120)), (S.RUNNING, at(60)), (S.DOWN, at(150)), (S.IDLE, at(150.75))],
    )
    found = await times(floor, start, end, now=now)
    assert (
        {status: int(s) for status, s in found[floor.machine.id].seconds.items()} == expected
        if expected
        else found == {}
    )


async def test_a_microsecond_is_not_lost(floor: Floor, admin: asyncpg.Connection) -> None:
    moment = at(60) + timedelta(microseconds=1)
    await write(admin, floor, floor.machine.id, [(S.RUNNING, at(0)), (S.IDLE, moment)])
    found = (await times(floor, 0, 120))[floor.machine.id]
    assert found.seconds == {S.RUNNING: Decimal("3600.000001"), S.IDLE: Decimal("3599.999999")}
    assert found.in_service == 7200


async def test_a_plant_adds_seconds_and_never_means_of_ratios(floor: Floor, admin: asyncpg.Connection) -> None:
    plant = floor.tenant.plants[0]
    second = await admin.fetchval(
        "insert into app.machines (organization_id, plant_id, code, name, status_since)"
        " values ($1, $2, 'Z', 'Z', $3) returning id",
        floor.tenant.organization_id, plant, NIGHT,
    )  # fmt: skip
    await write(admin, floor, floor.machine.id, [(S.RUNNING, at(0)), (S.IDLE, at(360)), (S.DECOMMISSIONED, at(400))])
    await write(admin, floor, second, [(S.RUNNING, at(300)), (S.DOWN, at(350))])
    found = await times(floor, 0, 400, plant=plant)
    assert list(found) == [floor.machine.id, second]
    assert [t.ratio for t in found.values()] == [Decimal("0.9"), Decimal("0.5")]
    whole = together(list(found.values()))
    assert (whole.running, whole.in_service) == ((360 + 50) * 60, 500 * 60)
    assert whole.ratio == Decimal("0.82")
    later = together(list((await times(floor, 500, 600, plant=plant)).values()))
    assert (later.in_service, later.seconds[S.DECOMMISSIONED]) == (6000, 6000)


async def test_nothing_adds_up_to_nothing() -> None:
    assert together([]).ratio is None

"""Meters and readings as PostgreSQL keeps them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from db.refusal import (
    AlreadyExists,
    Archived,
    NotFound,
    NotPermitted,
    Refused,
    TimeOutOfRange,
    ValidationFailed,
    VersionConflict,
)
from modules.equipment import tables as t
from modules.equipment.meters import service
from modules.equipment.meters.rules import MeterKind, ReadingKind, ReadingNotMonotonic
from tests.support import Tenant

from .conftest import Floor

K = ReadingKind


@pytest.fixture
async def meter(floor: Floor) -> t.Meter:
    async with floor.database.write(floor.admin, "equipment.manage") as tx:
        return await service.create(
            tx,
            floor.machine.id,
            code="CYC",
            name="Strokes",
            kind=MeterKind.CYCLES,
            unit="strokes",
            rollover_at=Decimal(100_000),
        )


async def read(floor: Floor, meter: t.Meter, value: Any, hours_ago: float, **more: Any) -> t.MeterReading:
    async with floor.database.write(more.pop("actor", floor.admin), "equipment.meter.record") as tx:
        return await service.record(
            tx, meter.id, value=Decimal(value), read_at=floor.now - timedelta(hours=hours_ago), now=floor.now, **more
        )


async def void(floor: Floor, reading: t.MeterReading, version: int = 1) -> None:
    async with floor.database.write(floor.admin, "equipment.meter.record") as tx:
        await service.void(tx, reading.id, version=version, reason="misread", now=floor.now)


async def state(floor: Floor, meter: t.Meter) -> tuple[t.Meter, list[Decimal]]:
    """The meter and its totals in time, once they are seen to agree."""
    async with floor.database.read(floor.admin) as tx:
        row = await tx.found(t.Meter, meter.id)
        standing: list[t.MeterReading] = await tx.scalars(
            select(t.MeterReading)
            .where(t.MeterReading.meter_id == meter.id, t.MeterReading.voided_at.is_(None))
            .order_by(t.MeterReading.read_at)
        )
    totals = [reading.total for reading in standing]
    assert totals == sorted(totals)
    if standing:
        last = standing[-1]
        assert (row.latest_value, row.latest_total, row.latest_read_at) == (last.value, last.total, last.read_at)
    else:
        assert row.latest_value is row.latest_total is row.latest_read_at is None
    return row, totals


async def test_totals_go_on_over_a_rollover_and_a_replaced_meter(floor: Floor, meter: t.Meter) -> None:
    await read(floor, meter, 99_000, 50)
    await read(floor, meter, 500, 40, kind=K.ROLLOVER)
    await read(floor, meter, 20, 30, kind=K.REPLACEMENT, final_value=Decimal(800))
    await read(floor, meter, 120, 20)
    await read(floor, meter, 700, 35)
    row, totals = await state(floor, meter)
    assert totals == [99_000, 100_500, 100_700, 100_800, 100_900]
    assert row.version == 1, "a reading is no edit of the meter"


async def test_readings_that_are_refused(floor: Floor, meter: t.Meter) -> None:
    await read(floor, meter, 1000, 10)
    cases: tuple[tuple[type[Refused], Any, float], ...] = (
        (ReadingNotMonotonic, 999, 5),
        (ReadingNotMonotonic, 1001, 15),
        (AlreadyExists, 1000, 10),
        (TimeOutOfRange, 1001, -1),
        (ValidationFailed, 100_000, 5),
    )
    for refusal, value, hours_ago in cases:
        with pytest.raises(refusal):
            await read(floor, meter, value, hours_ago)
    assert (await state(floor, meter))[1] == [1000]


async def test_five_readings_at_once_keep_their_order(floor: Floor, meter: t.Meter) -> None:
    results = await asyncio.gather(*(read(floor, meter, 100 * n, 10 - n) for n in range(5)), return_exceptions=True)
    assert all(not isinstance(r, BaseException) or isinstance(r, ReadingNotMonotonic) for r in results)
    assert (await state(floor, meter))[1] == [0, 100, 200, 300, 400]


async def test_a_mistaken_reading_is_voided_and_counts_no_more(floor: Floor, meter: t.Meter) -> None:
    await read(floor, meter, 1000, 10)
    wrong = await read(floor, meter, 12_000, 5)
    with pytest.raises(ReadingNotMonotonic):
        await read(floor, meter, 1200, 1)
    with pytest.raises(VersionConflict):
        await void(floor, wrong, version=7)
    await void(floor, wrong)
    await read(floor, meter, 1200, 1)
    await read(floor, meter, 1100, 5)
    assert (await state(floor, meter))[1] == [1000, 1100, 1200]
    with pytest.raises(ValidationFailed):
        await void(floor, wrong, version=2)


async def test_readings_that_later_totals_stand_on_are_voided_last_first(floor: Floor, meter: t.Meter) -> None:
    first = await read(floor, meter, 99_000, 10)
    rolled = await read(floor, meter, 5, 5, kind=K.ROLLOVER)
    with pytest.raises(ValidationFailed):
        await void(floor, first)
    await void(floor, rolled)
    await void(floor, first)
    assert (await state(floor, meter))[1] == []


async def test_an_archived_meter_and_a_smaller_dial(floor: Floor, meter: t.Meter) -> None:
    await read(floor, meter, 5000, 10)
    with pytest.raises(ValidationFailed):
        async with floor.database.write(floor.admin, "equipment.manage") as tx:
            await service.update(tx, meter.id, version=1, changes={"rollover_at": Decimal(5000)})
    async with floor.database.write(floor.admin, "equipment.manage", "delete") as tx:
        await service.archive(tx, meter.id, version=1, now=floor.now)
    with pytest.raises(Archived):
        await read(floor, meter, 6000, 1)


async def test_a_meter_of_another_plant_or_organization(floor: Floor, meter: t.Meter, stranger: Tenant) -> None:
    for actor in (
        stranger.actor("maintenance_technician"),
        floor.tenant.actor("maintenance_technician", plants=floor.tenant.plants[1:]),
    ):
        with pytest.raises(NotFound):
            await read(floor, meter, 1, 1, actor=actor)
    with pytest.raises(AlreadyExists) as refused:
        async with floor.database.write(floor.admin, "equipment.manage") as tx:
            await service.create(tx, floor.machine.id, code="CYC", name="X", kind=MeterKind.OTHER, unit="x")
    assert refused.value.path == ("code",)


async def test_a_right_in_one_department_reads_no_meter_of_another(floor: Floor, meter: t.Meter) -> None:
    narrow = floor.tenant.in_department("maintenance_technician")
    await read(floor, meter, 1, 2, actor=narrow)
    async with floor.database.write(floor.admin) as tx:
        machine = await tx.locked(t.Machine, floor.machine.id)
        machine.department_id = None
    with pytest.raises(NotPermitted):
        await read(floor, meter, 2, 1, actor=narrow)

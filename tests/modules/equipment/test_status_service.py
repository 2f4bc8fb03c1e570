"""Time of machines as PostgreSQL keeps it: a partition, whatever is recorded, in whatever order, by however many."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from db.refusal import (
    AlreadyExists,
    Archived,
    InvalidTransition,
    NotFound,
    NotPermitted,
    Refused,
    TimeOutOfRange,
    ValidationFailed,
)
from modules.equipment import tables as t
from modules.equipment.machines import service as machines
from modules.equipment.status import service
from modules.equipment.status.rules import MachineStatus
from tests.support import Tenant

from .conftest import Floor
from .periods import partition, record, statuses

S = MachineStatus


async def test_a_machine_is_available_from_the_beginning(floor: Floor) -> None:
    assert await partition(floor) == [(floor.now - timedelta(days=30), S.AVAILABLE, None)]


async def test_a_fact_closes_one_period_and_opens_another(floor: Floor) -> None:
    period = await record(floor, S.RUNNING, 60, notes="order 7")
    assert (period.received_at, period.recorded_by_id) == (floor.now, floor.tenant.users["admin"])
    await record(floor, S.DOWN, 30, floor.repair)
    assert statuses(await partition(floor)) == [S.AVAILABLE, S.RUNNING, S.DOWN]


async def test_a_late_fact_divides_the_period_that_holds_its_moment(floor: Floor) -> None:
    await record(floor, S.RUNNING, 60)
    await record(floor, S.SETUP, 10)
    await record(floor, S.IDLE, 40, floor.jam)
    assert statuses(await partition(floor)) == [S.AVAILABLE, S.RUNNING, S.IDLE, S.SETUP]


async def test_a_late_fact_that_does_not_fit_is_refused_and_nothing_changes(floor: Floor) -> None:
    await record(floor, S.SETUP, 60)
    await record(floor, S.RUNNING, 10)
    before = await partition(floor)
    with pytest.raises(InvalidTransition) as refused:
        await record(floor, S.MAINTENANCE, 30)
    assert (refused.value.from_, refused.value.to) == ("MAINTENANCE", "RUNNING")
    assert await partition(floor) == before


@pytest.mark.parametrize(
    ("minutes_ago", "refusal"),
    [(-3, TimeOutOfRange), (60 * 24 * 8, TimeOutOfRange), (60 * 24 * 31, TimeOutOfRange), (60, AlreadyExists)],
)
async def test_moments_that_are_refused(floor: Floor, minutes_ago: float, refusal: type[Refused]) -> None:
    await record(floor, S.RUNNING, 60)
    with pytest.raises(refusal):
        await record(floor, S.IDLE, minutes_ago, floor.jam)
    assert statuses(await partition(floor)) == [S.AVAILABLE, S.RUNNING]


async def test_an_organization_sets_how_late_is_too_late(floor: Floor, admin: asyncpg.Connection) -> None:
    await record(floor, S.RUNNING, 10)
    await admin.execute(
        "insert into app.settings (organization_id, key, value, is_set, set_at) values ($1, $2, '1', true, now())",
        floor.tenant.organization_id,
        service.LATE_TOLERANCE.key,
    )
    await record(floor, S.SETUP, 60)
    with pytest.raises(TimeOutOfRange) as refused:
        await record(floor, S.SETUP, 61)
    assert refused.value.earliest == floor.now - timedelta(hours=1)


async def test_a_clock_that_runs_a_little_ahead_is_believed(floor: Floor) -> None:
    await record(floor, S.RUNNING, -2)
    assert statuses(await partition(floor)) == [S.AVAILABLE, S.RUNNING]


@pytest.mark.parametrize(
    ("status", "reason", "refusal"),
    [
        (S.DOWN, None, ValidationFailed),
        (S.DOWN, "end_of_life", ValidationFailed),
        (S.RUNNING, "jam", ValidationFailed),
        (S.DECOMMISSIONED, "end_of_life", ValidationFailed),
        (S.DOWN, -1, NotFound),
        (S.AVAILABLE, None, InvalidTransition),
    ],
)
async def test_what_is_not_recorded(floor: Floor, status: S, reason: Any, refusal: type[Refused]) -> None:
    with pytest.raises(refusal):
        await record(floor, status, 5, getattr(floor, reason) if isinstance(reason, str) else reason)
    assert len(await partition(floor)) == 1


async def test_reasons_and_machines_that_are_archived(floor: Floor) -> None:
    async with floor.database.write(floor.admin) as tx:
        (await tx.found(t.ReasonCode, floor.jam)).archived_at = floor.now
        (await tx.found(t.Machine, floor.other.id)).archived_at = floor.now
    with pytest.raises(Archived):
        await record(floor, S.DOWN, 5, floor.jam)
    with pytest.raises(Archived):
        await record(floor, S.RUNNING, 5, machine=floor.other.id)
    with pytest.raises(Archived):
        async with floor.database.write(floor.admin, "equipment.manage") as tx:
            await machines.decommission(
                tx, floor.other.id, version=2, occurred_at=None, reason_code_id=None, notes=None, now=floor.now
            )


async def test_a_machine_of_another_plant_or_organization(floor: Floor, stranger: Tenant) -> None:
    first_only = floor.tenant.actor("operator", plants=floor.tenant.plants[:1])
    await record(floor, S.RUNNING, 5, actor=first_only)
    with pytest.raises(NotFound):
        await record(floor, S.RUNNING, 5, actor=first_only, machine=floor.other.id)
    with pytest.raises(NotFound):
        await record(floor, S.RUNNING, 5, actor=stranger.actor("operator"))
    assert len(await partition(floor, floor.other.id)) == 1


async def test_a_machine_that_may_be_seen_but_not_written(floor: Floor) -> None:
    reader = replace(floor.tenant.actor("operator"), writable=frozenset())
    with pytest.raises(NotPermitted):
        await record(floor, S.RUNNING, 5, actor=reader)


@pytest.mark.parametrize("seed", range(12))
async def test_any_order_of_recording_comes_to_the_same_time(floor: Floor, seed: int) -> None:
    rng = random.Random(seed)
    facts = [
        (rng.choice([s for s in S if s is not S.DECOMMISSIONED]), rng.randint(1, 90) + rng.random())
        for _ in range(rng.randint(5, 25))
    ]
    reasons = {S.DOWN: (floor.jam, floor.repair), S.IDLE: (None, floor.jam), S.MAINTENANCE: (None, floor.repair)}
    accepted = []
    for status, ago in facts:
        reason = rng.choice(reasons.get(status, (None,)))
        try:
            await record(floor, status, ago, reason)
        except InvalidTransition:
            continue
        accepted.append((status, ago, reason))
    for status, ago, reason in sorted(accepted, key=lambda fact: -fact[1]):
        await record(floor, status, ago, reason, machine=floor.other.id)
    assert await partition(floor) == await partition(floor, floor.other.id)
    assert len(accepted) >= 3


async def test_five_recordings_at_once_leave_a_partition(floor: Floor) -> None:
    facts = [
        (S.RUNNING, 50, None),
        (S.IDLE, 40, floor.jam),
        (S.SETUP, 30, None),
        (S.DOWN, 20, floor.repair),
        (S.OFFLINE, 10, None),
    ]
    await asyncio.gather(*(record(floor, status, ago, reason) for status, ago, reason in facts))
    assert statuses(await partition(floor)) == [S.AVAILABLE, S.RUNNING, S.IDLE, S.SETUP, S.DOWN, S.OFFLINE]


async def test_of_five_recordings_of_one_moment_one_is_kept(floor: Floor) -> None:
    results = await asyncio.gather(*(record(floor, S.RUNNING, 10) for _ in range(5)), return_exceptions=True)
    assert sorted(type(r).__name__ for r in results) == ["AlreadyExists"] * 4 + ["StatusPeriod"]
    assert statuses(await partition(floor)) == [S.AVAILABLE, S.RUNNING]

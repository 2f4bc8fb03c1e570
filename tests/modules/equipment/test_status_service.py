"""Time of machines as PostgreSQL keeps it: a partition, whatever is recorded, in whatever order, by however many."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import asyncpg
import pytest
from sqlalchemy import select

from db.refusal import (
    AlreadyExists,
    Archived,
    InvalidTransition,
    NotFound,
    NotPermitted,
    Refused,
    TimeOutOfRange,
    ValidationFailed,
    VersionConflict,
)
from db.session import Database
from modules.equipment import tables as t
from modules.equipment.machines import service as machines
from modules.equipment.status import service
from modules.equipment.status.rules import MachineStatus
from tests.support import Tenant

from .conftest import Floor

S = MachineStatus


async def history(floor: Floor, machine: int | None = None) -> list[t.StatusPeriod]:
    async with floor.database.read(floor.admin) as tx:
        found: list[t.StatusPeriod] = await tx.scalars(
            select(t.StatusPeriod)
            .where(t.StatusPeriod.machine_id == (machine or floor.machine.id))
            .order_by(t.StatusPeriod.started_at)
        )
    return found


async def partition(floor: Floor, machine: int | None = None) -> list[tuple[datetime, S, int | None]]:
    """The machine's periods, once they are seen to be a partition the machine's row agrees with."""
    periods = await history(floor, machine)
    assert all(a.ended_at == b.started_at for a, b in pairwise(periods)), "gap-free and overlap-free"
    assert [p for p in periods if p.ended_at is None] == periods[-1:], "exactly one open period, the last"
    async with floor.database.read(floor.admin) as tx:
        row = await tx.found(t.Machine, machine or floor.machine.id)
    last = periods[-1]
    assert (row.status, row.status_since, row.status_reason_id) == (last.status, last.started_at, last.reason_code_id)
    return [(p.started_at, p.status, p.reason_code_id) for p in periods]


async def record(floor: Floor, status: S, minutes_ago: float, reason: int | None = None, **more: Any) -> t.StatusPeriod:
    async with floor.database.write(more.pop("actor", floor.admin), "equipment.status.record") as tx:
        return await service.record(
            tx,
            more.pop("machine", floor.machine.id),
            status=status,
            reason_code_id=reason,
            occurred_at=floor.now - timedelta(minutes=minutes_ago),
            now=more.pop("now", floor.now),
            **more,
        )


def statuses(found: list[tuple[datetime, S, int | None]]) -> list[S]:
    return [status for _, status, _ in found]


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


# --- corrections ----------------------------------------------------------------------------------------------------------


async def correct(floor: Floor, period: t.StatusPeriod, version: int, **changes: Any) -> t.StatusPeriod:
    async with floor.database.write(floor.admin, "equipment.status.correct") as tx:
        return await service.correct(tx, period.id, version=version, changes=changes, reason="typo", now=floor.now)


async def test_a_correction_says_what_was_the_matter_and_keeps_what_it_said(
    floor: Floor, admin: asyncpg.Connection
) -> None:
    await record(floor, S.RUNNING, 60)
    down = await record(floor, S.DOWN, 40, floor.jam)
    await record(floor, S.RUNNING, 20)
    corrected = await correct(floor, down, 2, reason_code_id=floor.repair)
    assert (corrected.corrected_at, corrected.correction_reason) == (floor.now, "typo")
    assert corrected.corrected_by_id == floor.tenant.users["admin"]
    assert (await partition(floor))[2][2] == floor.repair
    trail = await admin.fetch(
        "select before ->> 'reason_code_id' as was from app.audit_logs where organization_id = $1 and entity_type ="
        " 'StatusPeriod' and entity_id = $2 and action = 'update' and 'reason_code_id' = any (changed_fields)",
        floor.tenant.organization_id, down.id,
    )  # fmt: skip
    assert [row["was"] for row in trail] == [str(floor.jam)]


async def test_a_correction_of_the_open_period_shows_on_the_machine(floor: Floor) -> None:
    running = await record(floor, S.RUNNING, 60)
    await correct(floor, running, 1, status=S.DOWN, reason_code_id=floor.repair)
    assert (await partition(floor))[-1][1:] == (S.DOWN, floor.repair)


@pytest.mark.parametrize("minutes", [-15, 15])
async def test_a_corrected_beginning_moves_the_end_of_the_period_before(floor: Floor, minutes: int) -> None:
    await record(floor, S.RUNNING, 60)
    idle = await record(floor, S.IDLE, 40, floor.jam)
    await record(floor, S.RUNNING, 20)
    moved = idle.started_at + timedelta(minutes=minutes)
    await correct(floor, idle, 2, started_at=moved)
    assert (await partition(floor))[2][0] == moved


async def test_corrections_that_are_refused(floor: Floor) -> None:
    first = (await history(floor))[0]
    running = await record(floor, S.RUNNING, 60)
    setup = await record(floor, S.SETUP, 40)
    before = await partition(floor)
    for period, version, refusal, changes in (
        (running, 1, VersionConflict, {"status": S.IDLE}),
        (running, 2, InvalidTransition, {"status": S.AVAILABLE}),
        (running, 2, ValidationFailed, {"status": S.DOWN}),
        (running, 2, ValidationFailed, {"reason_code_id": floor.jam}),
        (setup, 1, ValidationFailed, {"status": S.DECOMMISSIONED}),
        (setup, 1, TimeOutOfRange, {"started_at": running.started_at}),
        (setup, 1, TimeOutOfRange, {"started_at": floor.now + timedelta(minutes=3)}),
        (running, 2, TimeOutOfRange, {"started_at": setup.started_at}),
        (first, 2, TimeOutOfRange, {"started_at": first.started_at - timedelta(days=1)}),
    ):
        with pytest.raises(refusal):
            await correct(floor, period, version, **changes)
    assert await partition(floor) == before


# --- decommissioning and archiving ----------------------------------------------------------------------------------------


async def decommission(floor: Floor, minutes_ago: float = 0) -> t.Machine:
    async with floor.database.write(floor.admin, "equipment.manage") as tx:
        return await machines.decommission(
            tx, floor.machine.id, version=1, occurred_at=floor.now - timedelta(minutes=minutes_ago),
            reason_code_id=floor.end_of_life, notes=None, now=floor.now,
        )  # fmt: skip


async def test_after_decommissioning_nothing_follows(floor: Floor) -> None:
    await decommission(floor, 30)
    with pytest.raises(InvalidTransition):
        await record(floor, S.AVAILABLE, 5)
    with pytest.raises(ValidationFailed):
        await correct(floor, (await history(floor))[-1], 1, status=S.AVAILABLE)
    await record(floor, S.DOWN, 60, floor.repair)
    assert statuses(await partition(floor)) == [S.AVAILABLE, S.DOWN, S.DECOMMISSIONED]
    with pytest.raises(InvalidTransition):
        await record(floor, S.RUNNING, 45)


async def test_a_machine_at_work_is_neither_decommissioned_nor_archived(floor: Floor) -> None:
    await record(floor, S.RUNNING, 30)
    with pytest.raises(InvalidTransition):
        await decommission(floor)
    with pytest.raises(InvalidTransition):
        async with floor.database.write(floor.admin, "equipment.manage", "delete") as tx:
            await machines.archive(tx, floor.machine.id, version=1, now=floor.now)


async def test_recording_a_status_is_no_edit_of_the_machine(floor: Floor) -> None:
    await record(floor, S.RUNNING, 30)
    async with floor.database.write(floor.admin, "equipment.manage") as tx:
        await machines.update(tx, floor.machine.id, version=1, changes={"name": "Renamed"})
    await record(floor, S.IDLE, 20, floor.jam)
    async with floor.database.read(floor.admin) as tx:
        changed = await tx.found(t.Machine, floor.machine.id)
    assert (changed.version, changed.name, changed.status) == (2, "Renamed", S.IDLE)


# --- PostgreSQL holds the promise even against code that breaks it --------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("update {t} set ended_at = ended_at - interval '1 second' where id = {closed}", "no_gap"),
        ("delete from {t} where id = {open}", "no_gap"),
        ("update {t} set ended_at = null where id = {closed}", "no_overlap|one_open"),
        ("update {t} set ended_at = ended_at + interval '1 second' where id = {closed}", "no_overlap"),
        ("update {t} set ended_at = started_at where id = {closed}", "check"),
    ],
)
async def test_the_database_refuses_what_is_no_partition(
    floor: Floor, admin: asyncpg.Connection, statement: str, constraint: str
) -> None:
    open_period = await record(floor, S.RUNNING, 30)
    closed = (await history(floor))[0]
    sql = statement.format(t="app.machine_status_history", closed=closed.id, open=open_period.id)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
        async with admin.transaction():
            await admin.execute(sql)
    assert any(name in str(refused.value.constraint_name) for name in constraint.split("|"))


async def test_a_database_without_context_shows_nothing(floor: Floor, database: Database) -> None:
    async with database.anonymous() as tx:
        assert await tx.scalars(select(t.StatusPeriod)) == []

"""Time of machines afterwards: corrected, ended for good, and whole even where code would break it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import select

from db.refusal import (
    InvalidTransition,
    TimeOutOfRange,
    ValidationFailed,
    VersionConflict,
)
from db.session import Database
from modules.equipment import tables as t
from modules.equipment.machines import service as machines
from modules.equipment.status import service
from modules.equipment.status.rules import MachineStatus

from .conftest import Floor
from .periods import history, partition, record, statuses

S = MachineStatus


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

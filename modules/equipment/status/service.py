"""What can be done with a machine's time. Every change holds the machine's row, so its periods stay a partition."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, select

from db.refusal import AlreadyExists, Archived, NotFound, TimeOutOfRange, ValidationFailed
from db.session import ReadTx, WriteTx
from modules.equipment.tables import Machine, ReasonCode, StatusPeriod
from modules.platform.public import SettingKey, SettingType, get_setting

from . import notices, rules
from .rules import Condition, MachineStatus

LATE_TOLERANCE: Final = SettingKey(
    key="equipment.late_status_tolerance_hours",
    type=SettingType.INTEGER,
    default=rules.LATE_TOLERANCE // timedelta(hours=1),
    least=0,
    most=24 * 400,
    description="How many hours back a late status may divide time that was recorded already",
)


async def record(
    tx: WriteTx,
    machine_id: int,
    *,
    status: MachineStatus,
    reason_code_id: int | None = None,
    occurred_at: datetime,
    notes: str | None = None,
    now: datetime,
) -> StatusPeriod:
    """Post a fact: from `occurred_at` on the machine was in this status, until the next fact says otherwise."""
    rules.check_recordable(status)
    machine = await tx.locked(Machine, machine_id, path=("machineId",))
    if machine.archived_at is not None:
        raise Archived("The machine is archived", path=("machineId",))
    await check_reason(tx, status, reason_code_id)
    before = machine.status
    period = await place(tx, machine, Condition(status, reason_code_id), occurred_at, notes=notes, now=now)
    if machine.status is MachineStatus.DOWN and before is not MachineStatus.DOWN:
        await notices.tell_down(tx, machine, notes)
    return period


async def begin(tx: WriteTx, machine: Machine, *, now: datetime) -> StatusPeriod:
    """The first period of a machine that was just registered, from `status_since` on."""
    period = _period(tx, machine, Condition(machine.status), machine.status_since, None, notes=None, now=now)
    await tx.flush()
    return period


async def place(
    tx: WriteTx, machine: Machine, fact: Condition, at: datetime, *, notes: str | None, now: datetime
) -> StatusPeriod:
    """Divide the period that holds the moment; the machine's row is locked by the caller."""
    first, tolerance = machine.status_since, rules.LATE_TOLERANCE
    if at <= machine.status_since:
        first, tolerance = await _first_start(tx, machine), timedelta(hours=await get_setting(tx, LATE_TOLERANCE.key))
    rules.check_moment(at, now=now, first=first, open_since=machine.status_since, tolerance=tolerance)
    held = await _holding(tx, machine, at)
    if held.started_at == at:
        raise AlreadyExists("Another status begins at this very moment", path=("occurredAt",))
    after = await _starting(tx, machine, held.ended_at)
    rules.check_fits(_condition(held), fact, _condition(after) if after else None)
    ended_at, held.ended_at = held.ended_at, at
    await tx.flush()  # the old period gives the time up before the new one takes it
    period = _period(tx, machine, fact, at, ended_at, notes=notes, now=now)
    if ended_at is None:
        _mirror(machine, period)
    await tx.flush()
    return period


async def correct(
    tx: WriteTx, period_id: int, *, version: int, changes: dict[str, Any], reason: str, now: datetime
) -> StatusPeriod:
    """Say that a period was recorded wrongly: `changes` may hold status, reason_code_id, notes and started_at."""
    found = await tx.found(StatusPeriod, period_id)
    machine = await tx.locked(Machine, found.machine_id)
    period = await tx.locked(StatusPeriod, period_id, version=version)
    if period.status is MachineStatus.DECOMMISSIONED:
        raise ValidationFailed("Decommissioning stands", path=("id",), constraint="not DECOMMISSIONED")
    before = await _ending(tx, machine, period.started_at)
    after = await _starting(tx, machine, period.ended_at)
    corrected = Condition(changes.get("status", period.status), changes.get("reason_code_id", period.reason_code_id))
    if corrected != _condition(period):
        rules.check_recordable(corrected.status)
        await check_reason(tx, corrected.status, corrected.reason)
        rules.check_fits(_condition(before) if before else None, corrected, _condition(after) if after else None)
    period.status, period.reason_code_id = corrected.status, corrected.reason
    period.notes = changes.get("notes", period.notes)
    period.corrected_at, period.corrected_by_id, period.correction_reason = now, tx.actor.user_id, reason
    await _move_start(tx, before, period, changes.get("started_at", period.started_at), now)
    if period.ended_at is None:
        _mirror(machine, period)
    await tx.flush()
    return period


async def check_reason(tx: ReadTx, status: MachineStatus, reason_code_id: int | None) -> None:
    """Refuse a reason that is unknown, archived or for another status, and a missing one where one is needed."""
    if reason_code_id is None:
        return rules.check_reason(status, None)
    reason = await tx.found(ReasonCode, reason_code_id, path=("reasonCodeId",))
    if reason.archived_at is not None:
        raise Archived("The reason code is archived", path=("reasonCodeId",))
    return rules.check_reason(status, [MachineStatus(one) for one in reason.applies_to])


async def _move_start(
    tx: WriteTx, before: StatusPeriod | None, period: StatusPeriod, start: datetime, now: datetime
) -> None:
    if start == period.started_at:
        return
    earliest, latest = (before.started_at if before else None), period.ended_at or now + rules.MAX_SKEW
    if before is None or not before.started_at < start < latest:
        raise TimeOutOfRange(
            "A period begins after the one before it and before the one after it"
            if before
            else "The first period of a machine keeps its beginning",
            path=("startedAt",),
            earliest=earliest,
            latest=latest,
        )
    steps = [(before, "ended_at"), (period, "started_at")]
    for row, edge in steps if start < period.started_at else reversed(steps):
        setattr(row, edge, start)  # who gives time up goes first, so that no two ever hold it
        await tx.flush()


def _period(
    tx: WriteTx,
    machine: Machine,
    fact: Condition,
    start: datetime,
    end: datetime | None,
    *,
    notes: str | None,
    now: datetime,
) -> StatusPeriod:
    return tx.add(
        StatusPeriod(
            plant_id=machine.plant_id,
            machine_id=machine.id,
            status=fact.status,
            reason_code_id=fact.reason,
            started_at=start,
            ended_at=end,
            notes=notes,
            received_at=now,
            recorded_by_id=tx.actor.user_id,
        )
    )


def _mirror(machine: Machine, period: StatusPeriod) -> None:
    machine.status = period.status
    machine.status_since = period.started_at
    machine.status_reason_id = period.reason_code_id


def _condition(period: StatusPeriod) -> Condition:
    return Condition(period.status, period.reason_code_id)


def _of(machine: Machine) -> Any:
    return select(StatusPeriod).where(
        StatusPeriod.organization_id == machine.organization_id, StatusPeriod.machine_id == machine.id
    )


async def _first_start(tx: ReadTx, machine: Machine) -> datetime:
    first: datetime = await tx.scalar(
        select(func.min(StatusPeriod.started_at)).where(
            StatusPeriod.organization_id == machine.organization_id, StatusPeriod.machine_id == machine.id
        )
    )
    return first


async def _holding(tx: ReadTx, machine: Machine, at: datetime) -> StatusPeriod:
    statement = _of(machine).where(StatusPeriod.started_at <= at).order_by(StatusPeriod.started_at.desc()).limit(1)
    found: list[StatusPeriod] = await tx.scalars(statement)
    if not found:
        raise NotFound("There is no such object", path=("machineId",))
    return found[0]


async def _starting(tx: ReadTx, machine: Machine, at: datetime | None) -> StatusPeriod | None:
    if at is None:
        return None
    found: list[StatusPeriod] = await tx.scalars(_of(machine).where(StatusPeriod.started_at == at))
    return found[0] if found else None


async def _ending(tx: ReadTx, machine: Machine, at: datetime) -> StatusPeriod | None:
    found: list[StatusPeriod] = await tx.scalars(_of(machine).where(StatusPeriod.ended_at == at))
    return found[0] if found else None

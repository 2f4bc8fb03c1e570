"""Time of machines: recorded, and looked at."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import select

from modules.equipment import tables as t
from modules.equipment.status import service
from modules.equipment.status.rules import MachineStatus

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

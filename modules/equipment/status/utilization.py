"""What a machine's time adds up to inside a window: exact seconds per status, clipped to the window by PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import text

from db.session import ReadTx

from .rules import MachineStatus, ratio

# Machines are joined so that row-level security on them decides which machines a caller's sum is made of.
_SECONDS = text("""
    select m.id as machine_id, p.status,
           sum(extract(epoch from least(p.ended_at, :until) - greatest(p.started_at, :since))) as seconds
    from app.machines m
    join app.machine_status_history p on p.organization_id = m.organization_id and p.machine_id = m.id
    where m.organization_id = :org and (m.id = :machine or m.plant_id = :plant)
      and p.started_at < :until and (p.ended_at is null or p.ended_at > :since)
    group by m.id, m.code, p.status
    order by m.code, m.id, p.status
""")


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds per status. Time after decommissioning is no machine time and stays out of the whole."""

    seconds: Mapping[MachineStatus, Decimal]

    @property
    def running(self) -> Decimal:
        return self.seconds.get(MachineStatus.RUNNING, Decimal(0))

    @property
    def in_service(self) -> Decimal:
        return sum((s for status, s in self.seconds.items() if status is not MachineStatus.DECOMMISSIONED), Decimal(0))

    @property
    def ratio(self) -> Decimal | None:
        return ratio(self.running, self.in_service)


def together(parts: Sequence[Times]) -> Times:
    """The times of several machines: seconds are added, so a ratio of the sum is never a mean of ratios."""
    whole: dict[MachineStatus, Decimal] = {}
    for part in parts:
        for status, seconds in part.seconds.items():
            whole[status] = whole.get(status, Decimal(0)) + seconds
    return Times(whole)


async def of_machines(
    tx: ReadTx, *, machine: int | None = None, plant: int | None = None, start: datetime, end: datetime, now: datetime
) -> dict[int, Times]:
    """Times by machine, in the order of their codes; an open period ends now, or with the window."""
    until = min(end, now)
    if until <= start:
        return {}
    rows = await tx.rows(_SECONDS, {"org": tx.org, "machine": machine, "plant": plant, "since": start, "until": until})
    found: dict[int, dict[MachineStatus, Decimal]] = {}
    for row in rows:
        found.setdefault(row.machine_id, {})[MachineStatus(row.status)] = row.seconds
    return {machine_id: Times(seconds) for machine_id, seconds in found.items()}


async def known(tx: ReadTx, *, machine: int | None, plant: int | None) -> bool:
    """Whether the caller may see the machine or plant at all: without time it is not told from an unknown one."""
    return await tx.first(_KNOWN, {"org": tx.org, "machine": machine, "plant": plant}) is not None


_KNOWN = text("""
    select 1 from app.machines where organization_id = :org and id = :machine
    union all
    select 1 from app.plants where organization_id = :org and id = :plant
""")

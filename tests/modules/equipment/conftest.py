"""What tests of equipment arrange: reason codes, and machines that have been known for a month."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from db.actor import Actor
from db.session import Database
from modules.equipment import tables as t
from modules.equipment.machines import service as machines
from modules.equipment.reasons import service as reasons
from modules.equipment.reasons.rules import ReasonCategory
from tests.support import Tenant


@dataclass
class Floor:
    """A shop floor: machine A in the first plant, B in the second, and the reasons machines stop for."""

    database: Database
    tenant: Tenant
    now: datetime
    machine: t.Machine
    other: t.Machine
    jam: int
    repair: int
    end_of_life: int

    @property
    def admin(self) -> Actor:
        return self.tenant.actor()


@pytest.fixture
async def floor(database: Database, tenant: Tenant) -> Floor:
    now = datetime.now(UTC)
    async with database.write(tenant.actor()) as tx:
        jam = await reasons.create(
            tx, code="JAM", name="Jam", category=ReasonCategory.MINOR_STOP, applies_to=["idle", "down"]
        )
        repair = await reasons.create(
            tx, code="REP", name="Repair", category=ReasonCategory.EQUIPMENT, applies_to=["down", "maintenance"]
        )
        end = await reasons.create(
            tx, code="EOL", name="End of life", category=ReasonCategory.NO_DEMAND, applies_to=["decommissioned"]
        )
        made = []
        for n, (plant, department) in enumerate(zip(tenant.plants, tenant.departments, strict=True)):
            made.append(
                await machines.create(
                    tx,
                    plant_id=plant,
                    department_id=department,
                    since=now - timedelta(days=30),
                    now=now,
                    code=f"M-{'AB'[n]}",
                    name=f"Machine {'AB'[n]}",
                )
            )
    return Floor(database, tenant, now, made[0], made[1], jam.id, repair.id, end.id)


def iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")

"""The demo factory's machines keep every rule the API keeps."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from db.demo import Demo, furnishing
from modules.equipment.demo import make
from modules.equipment.demo.catalogue import HOURS, REASONS
from modules.equipment.demo.history import facts, running
from modules.equipment.reasons.rules import applicable
from modules.equipment.status.rules import (
    REASON_NEEDED,
    Condition,
    MachineStatus,
    ReasonNeed,
    check_follows,
    check_reason,
)

NOW = datetime(2026, 4, 2, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Sydney", "America/Chicago"])
@pytest.mark.parametrize("pattern", HOURS)
def test_drawn_time_keeps_the_rules_over_the_change_of_clocks(pattern: str, zone: str) -> None:
    found = facts(random.Random(1), pattern, ZoneInfo(zone), NOW - timedelta(days=90), NOW)
    assert found == facts(random.Random(1), pattern, ZoneInfo(zone), NOW - timedelta(days=90), NOW)
    assert all(a.at < b.at for a, b in pairwise(found))
    assert found[-1].at < NOW
    codes = {code: n for n, code in enumerate(REASONS)}
    conditions = [Condition(f.status, codes[f.reason] if f.reason else None) for f in found]
    for before, after in pairwise(conditions):
        check_follows(before, after)
    for fact in found:
        check_reason(fact.status, list(REASONS[fact.reason][2]) if fact.reason else None)
    ran = sum((end - start for start, end in running(found, NOW)), timedelta())
    assert 0.1 < ran / timedelta(days=90) < 0.95


def test_reasons_explain_statuses_that_take_one() -> None:
    for _, _, statuses in REASONS.values():
        assert set(applicable(statuses)) == set(statuses)
        assert all(REASON_NEEDED[status] is not ReasonNeed.NONE for status in statuses)


@pytest.fixture
async def demo(admin: asyncpg.Connection) -> AsyncIterator[Demo]:
    """An organization with two plants, furnished by this module alone."""
    async with furnishing(admin, "acme", now=NOW, scale=1) as demo:
        code = f"demo{demo.org}"
        await demo.insert(
            "app.organizations", [{"code": code, "name": code, "version": 1, "created_at": NOW, "updated_at": NOW}]
        )
        base = {"plant_type": "production", "version": 1, "created_at": NOW, "updated_at": NOW}
        await demo.insert(
            "app.plants",
            [
                {"code": "BER", "name": "Berlin", "time_zone": "Europe/Berlin", **base},
                {"code": "SYD", "name": "Sydney", "time_zone": "Australia/Sydney", **base},
            ],
        )
        await make(demo)
        await demo.execute("set constraints all immediate")
        yield demo


async def test_the_factory_is_a_partition_and_its_machines_mirror_it(demo: Demo) -> None:
    periods = await demo.connection.fetch(
        "select p.*, m.status as now, m.status_since, m.status_reason_id from app.machine_status_history p"
        " join app.machines m on m.organization_id = p.organization_id and m.id = p.machine_id"
        " where p.organization_id = $1 order by p.machine_id, p.started_at",
        demo.org,
    )
    machines = {id: list(found) for id, found in groupby(periods, key=lambda p: p["machine_id"])}
    assert len(machines) == len(demo.shared["machines"]) == 16
    for found in machines.values():
        assert all(a["ended_at"] == b["started_at"] for a, b in pairwise(found))
        last = found[-1]
        assert last["ended_at"] is None
        assert (last["now"], last["status_since"], last["status_reason_id"]) == (
            last["status"],
            last["started_at"],
            last["reason_code_id"],
        )
    assert {found[-1]["status"] for found in machines.values()} >= {"down", "decommissioned", "running"}
    assert {p["status"] for p in periods} == set(map(str, MachineStatus))


async def test_meters_count_on(demo: Demo) -> None:
    readings = await demo.connection.fetch(
        "select r.*, m.latest_total, m.latest_read_at from app.machine_meter_readings r join app.machine_meters m"
        " on m.organization_id = r.organization_id and m.id = r.meter_id where r.organization_id = $1"
        " order by r.meter_id, r.read_at",
        demo.org,
    )
    for _, group in groupby(readings, key=lambda r: r["meter_id"]):
        found = list(group)
        assert [r["total"] for r in found] == sorted(r["total"] for r in found)
        assert (found[-1]["total"], found[-1]["read_at"]) == (found[-1]["latest_total"], found[-1]["latest_read_at"])
    assert any(r["kind"] == "rollover" for r in readings)

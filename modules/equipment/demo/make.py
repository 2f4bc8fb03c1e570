"""Put the demo machines, their time and their meters into the database."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from db.demo import Demo
from modules.equipment.meters.rules import MeterKind, ReadingKind
from modules.equipment.status import notices
from modules.equipment.status.rules import MachineStatus as S
from modules.platform.public import Holders, tell_past

from .catalogue import KINDS, REASONS, Kind
from .history import Fact, ending_in, facts, running

DAYS = 90
PER_PLANT = {"acme": 8}
ELSEWHERE = 3
DIAL = Decimal(100_000)


async def make(demo: Demo) -> None:
    """Machines in every plant. Leaves `machines` (rows with id, plant_id, code, rated_rate, running stretches) and
    `reason_codes` (id by code) for the modules above."""
    reasons = await _reasons(demo)
    start = (demo.now - timedelta(days=DAYS)).replace(minute=0, second=0, microsecond=0)
    rows: list[dict[str, Any]] = []
    times: list[list[Fact]] = []
    for plant in await _plants(demo):
        for n in range(demo.times(PER_PLANT.get(demo.org_code, ELSEWHERE))):
            kind = KINDS[n % len(KINDS)]
            rng = random.Random(f"{demo.org_code} {plant['code']} {n}")
            found = facts(rng, kind.pattern, ZoneInfo(plant["time_zone"]), start, demo.now)
            if n % 8 == 1:
                found = ending_in(found, Fact(demo.now - timedelta(minutes=rng.randint(25, 110)), S.DOWN, "MECH"))
            if n % 8 == 6 and len(rows) < 8:
                found = ending_in(found, Fact(demo.now - timedelta(days=12), S.DECOMMISSIONED, "EOL"))
            rows.append(_machine(demo, plant, kind, n, found, reasons, rng))
            times.append(found)
    ids = await demo.insert("app.machines", rows)
    recorder = await demo.connection.fetchval(
        "select g.user_id from app.role_grants g join app.roles r using (organization_id)"
        " where g.organization_id = $1 and r.id = g.role_id and r.code = 'operator' order by g.id limit 1",
        demo.org,
    )
    machines = [{"id": id, **row} for id, row in zip(ids, rows, strict=True)]
    await demo.insert(
        "app.machine_status_history",
        (period for m, found in zip(machines, times, strict=True) for period in _periods(m, found, reasons, recorder)),
    )
    await _meters(demo, machines, times)
    for machine in machines:
        if machine["status"] is S.DOWN:
            given = notices.facts(machine, reason=REASONS["MECH"][0])
            await tell_past(
                demo, notices.MACHINE_DOWN, given, to=Holders(notices.TOLD_OF_DOWN, machine["department_id"]),
                at=machine["status_since"], plant_id=machine["plant_id"], about=("Machine", machine["id"]),
            )  # fmt: skip
    demo.shared["reason_codes"] = reasons
    demo.shared["machines"] = [
        {**m, "running": running(found, demo.now)} for m, found in zip(machines, times, strict=True)
    ]


async def _reasons(demo: Demo) -> dict[str, int]:
    rows = [
        {"code": code, "name": name, "category": category, "applies_to": list(map(str, statuses))}
        for code, (name, category, statuses) in REASONS.items()
    ]
    return dict(zip(REASONS, await demo.insert("app.reason_codes", rows), strict=True))


async def _plants(demo: Demo) -> list[dict[str, Any]]:
    """Plants with their departments, as identity made them."""
    found = await demo.connection.fetch(
        "select p.id, p.code, p.time_zone,"
        " array(select d.code from app.departments d where d.organization_id = $1 and d.plant_id = p.id order by d.id)"
        " as codes,"
        " array(select d.id from app.departments d where d.organization_id = $1 and d.plant_id = p.id order by d.id) as ids"
        " from app.plants p where p.organization_id = $1 order by p.id",
        demo.org,
    )
    return [{**row, "departments": dict(zip(row["codes"], row["ids"], strict=True))} for row in found]


def _machine(
    demo: Demo,
    plant: dict[str, Any],
    kind: Kind,
    n: int,
    found: list[Fact],
    reasons: dict[str, int],
    rng: random.Random,
) -> dict[str, Any]:
    last = found[-1]
    departments = (plant["departments"].get(code) for code in kind.departments)
    return {
        "plant_id": plant["id"],
        "department_id": next(filter(None, departments), None),
        "code": f"{plant['code']}-{kind.prefix}-{n // len(KINDS) + 1:02}",
        "name": f"{kind.name} {n // len(KINDS) + 1}",
        "machine_type": kind.machine_type,
        "manufacturer": kind.manufacturer,
        "model": kind.model,
        "serial_number": f"{kind.prefix}{rng.randint(10**6, 10**7 - 1)}",
        "location": f"Hall {'ABC'[n % 3]}, bay {n // 3 + 1}",
        "rated_rate": kind.rate,
        "rated_unit": "pcs",
        "installation_date": (demo.now - timedelta(days=rng.randint(400, 4000))).date(),
        "purchase_cost": kind.cost,
        "purchase_currency": "EUR",
        "status": last.status,
        "status_since": last.at,
        "status_reason_id": reasons[last.reason] if last.reason else None,
        "version": 1,
        "created_at": found[0].at,
        "updated_at": found[0].at,
    }


def _periods(machine: dict[str, Any], found: list[Fact], reasons: dict[str, int], recorder: int | None) -> Any:
    ends: list[datetime | None] = [*(fact.at for fact in found[1:]), None]
    for fact, end in zip(found, ends, strict=True):
        yield {
            "plant_id": machine["plant_id"],
            "machine_id": machine["id"],
            "status": fact.status,
            "reason_code_id": reasons[fact.reason] if fact.reason else None,
            "started_at": fact.at,
            "ended_at": end,
            "received_at": fact.at + timedelta(seconds=2),
            "recorded_by_id": recorder if fact.reason else None,
            "version": 1 if end is None else 2,
            "created_at": fact.at + timedelta(seconds=2),
            "updated_at": (end or fact.at) + timedelta(seconds=2),
        }


async def _meters(demo: Demo, machines: list[dict[str, Any]], times: list[list[Fact]]) -> None:
    """Hours read weekly on every machine, cycles on presses, all in step with the time the machine ran."""
    meters: list[dict[str, Any]] = []
    readings: list[list[dict[str, Any]]] = []
    for machine, found in zip(machines, times, strict=True):
        ran = running(found, demo.now)
        base = Decimal(demo.rng.randint(800, 30_000))
        series: list[tuple[str, str, MeterKind, str, Decimal | None, Decimal, Decimal]] = [
            ("OH", "Operating hours", MeterKind.OPERATING_HOURS, "h", None, base, Decimal(1))
        ]
        if machine["machine_type"] == "Press":
            series.append(("CYC", "Strokes", MeterKind.CYCLES, "strokes", DIAL, Decimal(40_000), Decimal(110)))
        for code, name, kind, unit, rollover, begin, per_hour in series:
            shown = _read(found[0].at, demo.now, ran, begin, per_hour, rollover)
            meters.append(_meter(machine, code, name, kind, unit, rollover, shown[-1]))
            readings.append(shown)
    ids = await demo.insert("app.machine_meters", meters)
    await demo.insert(
        "app.machine_meter_readings",
        (
            {"plant_id": m["plant_id"], "machine_id": m["machine_id"], "meter_id": id, **r}
            for id, m, shown in zip(ids, meters, readings, strict=True)
            for r in shown
        ),
    )


def _read(
    start: datetime, now: datetime, ran: list[tuple[datetime, datetime]], begin: Decimal, per_hour: Decimal,
    rollover: Decimal | None,
) -> list[dict[str, Any]]:  # fmt: skip
    shown: list[dict[str, Any]] = []
    step = Decimal("0.1") if rollover is None else Decimal(1)  # hours in tenths, strokes whole
    offset = Decimal(0)
    at = start
    while at <= now:
        seconds = sum((max(timedelta(), min(end, at) - begun) for begun, end in ran if begun < at), timedelta())
        total = (begin + per_hour * Decimal(int(seconds.total_seconds())) / 3600).quantize(step)
        kind = ReadingKind.READING
        if rollover is not None and total - offset >= rollover:
            offset, kind = offset + rollover, ReadingKind.ROLLOVER
        shown.append(
            {"kind": kind, "value": total - offset, "offset_value": offset, "read_at": at, "received_at": at, "version": 1,
             "created_at": at, "updated_at": at}
        )  # fmt: skip
        at += timedelta(days=7)
    return shown


def _meter(
    machine: dict[str, Any],
    code: str,
    name: str,
    kind: MeterKind,
    unit: str,
    rollover: Decimal | None,
    last: dict[str, Any],
) -> dict[str, Any]:
    return {
        "plant_id": machine["plant_id"],
        "machine_id": machine["id"],
        "code": code,
        "name": name,
        "kind": kind,
        "unit": unit,
        "rollover_at": rollover,
        "latest_value": last["value"],
        "latest_total": last["value"] + last["offset_value"],
        "latest_read_at": last["read_at"],
        "version": 1,
        "created_at": last["read_at"] - timedelta(days=DAYS),
        "updated_at": last["read_at"] - timedelta(days=DAYS),
    }

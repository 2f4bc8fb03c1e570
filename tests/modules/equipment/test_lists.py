"""Lists of equipment: pages join into the whole list, filters find what they say."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from db.actor import Scope
from schema.ids import encode
from tests.support import House, Statements, Tenant

from .conftest import Floor

MACHINES = """query($where: MachineWhere, $order: [MachineOrder!], $first: Int, $after: String, $last: Int, $before: String) {
  machines(where: $where, orderBy: $order, first: $first, after: $after, last: $last, before: $before) {
    nodes { id code } totalCount { value exact } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""
PERIODS = """query($where: StatusPeriodWhere, $order: [StatusPeriodOrder!], $first: Int, $after: String) {
  statusPeriods(where: $where, orderBy: $order, first: $first, after: $after) {
    nodes { id status } pageInfo { hasNextPage endCursor } } }"""
TYPES = (None, "Lathe", "Press", "CNC mill")
STATUSES = ("available", "running", "idle", "down")


@pytest.fixture
async def many(floor: Floor, admin: asyncpg.Connection) -> Floor:
    """Thirty machines more, each with a day of time, equal in most of what they are ordered by."""
    rng = random.Random(3)
    tenant = floor.tenant
    for _ in range(30):
        since = floor.now - timedelta(hours=rng.randrange(4))
        id = await admin.fetchval(
            "insert into app.machines (organization_id, plant_id, department_id, code, name, machine_type, status, status_since)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8) returning id",
            tenant.organization_id, tenant.plants[0], rng.choice([None, tenant.departments[0]]), f"X{rng.randrange(10**6)}",
            f"Name {rng.randrange(5)}", rng.choice(TYPES), status := rng.choice(STATUSES), since,
        )  # fmt: skip
        await admin.execute(
            "insert into app.machine_status_history (organization_id, plant_id, machine_id, status, started_at, received_at)"
            " values ($1, $2, $3, $4, $5, $5)",
            tenant.organization_id, tenant.plants[0], id, status, since,
        )  # fmt: skip
    return floor


async def walk(house: House, floor: Floor, document: str, field: str, size: int, **variables: Any) -> list[str]:
    seen: list[str] = []
    after = None
    while True:
        page = (await house.data(floor.admin, document, {**variables, "first": size, "after": after}))[field]
        seen += [n["id"] for n in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            return seen


ORDERS = [
    ([], "code, id"),
    ([("NAME", "ASC")], "name, id"),
    ([("NAME", "DESC")], "name desc, id desc"),
    ([("MACHINE_TYPE", "ASC")], "machine_type nulls last, id"),
    ([("MACHINE_TYPE", "DESC"), ("STATUS", "ASC")], "machine_type desc nulls last, status, id"),
    ([("STATUS_SINCE", "DESC"), ("NAME", "ASC")], "status_since desc, name, id"),
    ([("STATUS", "ASC"), ("CODE", "DESC")], "status, code desc, id desc"),
]


@pytest.mark.parametrize(("order", "sql"), ORDERS)
@pytest.mark.parametrize("size", [7, 200])
async def test_pages_of_machines_join_into_the_whole_list(
    house: House, many: Floor, admin: asyncpg.Connection, order: list[tuple[str, str]], sql: str, size: int
) -> None:
    given = [{"field": field, "direction": direction} for field, direction in order]
    rows = await admin.fetch(
        f"select id from app.machines where organization_id = $1 order by {sql}", many.tenant.organization_id
    )
    wanted = [encode("Machine", row["id"]) for row in rows]
    assert await walk(house, many, MACHINES, "machines", size, order=given) == wanted
    last = (await house.data(many.admin, MACHINES, {"order": given, "last": 5}))["machines"]
    assert [n["id"] for n in last["nodes"]] == wanted[-5:]
    assert last["pageInfo"]["hasPreviousPage"] is True
    back = await house.data(
        many.admin, MACHINES, {"order": given, "last": 5, "before": last["pageInfo"]["startCursor"]}
    )
    assert [n["id"] for n in back["machines"]["nodes"]] == wanted[-10:-5]


async def test_pages_of_time_join_newest_first(house: House, many: Floor, admin: asyncpg.Connection) -> None:
    rows = await admin.fetch(
        "select id from app.machine_status_history where organization_id = $1 order by started_at desc, id desc",
        many.tenant.organization_id,
    )
    wanted = [encode("StatusPeriod", row["id"]) for row in rows]
    assert await walk(house, many, PERIODS, "statusPeriods", 3) == wanted


@pytest.mark.parametrize(
    ("where", "sql"),
    [
        ({"status": {"eq": "DOWN"}}, "status = 'down'"),
        ({"status": {"in": ["DOWN", "IDLE"]}}, "status in ('down', 'idle')"),
        ({"status": {"in": []}}, "false"),
        ({"machineType": {"isNull": True}}, "machine_type is null"),
        ({"machineType": {"startsWith": "L"}}, "machine_type like 'L%'"),
        ({"name": {"contains": "AME 3"}}, "name = 'Name 3'"),
        ({"department": {"isNull": True}, "status": {"eq": "IDLE"}}, "department_id is null and status = 'idle'"),
        ({"or": [{"status": {"eq": "IDLE"}}, {"name": {"eq": "Name 1"}}]}, "status = 'idle' or name = 'Name 1'"),
        ({"not": {"machineType": {"eq": "Press"}}}, "not coalesce(machine_type = 'Press', null)"),
        ({"archivedAt": {"isNull": False}}, "archived_at is not null"),
    ],
)
async def test_filters_of_machines(
    house: House, many: Floor, admin: asyncpg.Connection, where: dict[str, Any], sql: str
) -> None:
    wanted = await admin.fetch(
        f"select id from app.machines where organization_id = $1 and ({sql}) order by code", many.tenant.organization_id
    )
    found = (await house.data(many.admin, MACHINES, {"where": where, "first": 200}))["machines"]
    assert [n["id"] for n in found["nodes"]] == [encode("Machine", row["id"]) for row in wanted]
    assert found["totalCount"] == {"value": len(wanted), "exact": True}


async def test_links_and_moments_are_filters(house: House, many: Floor) -> None:
    tenant = many.tenant
    by_plant = {"plant": {"eq": encode("Plant", tenant.plants[1])}}
    found = (await house.data(many.admin, MACHINES, {"where": by_plant}))["machines"]
    assert [n["code"] for n in found["nodes"]] == ["M-B"]
    open_of_a = {"machine": {"eq": encode("Machine", many.machine.id)}, "endedAt": {"isNull": True}}
    assert len(await walk(house, many, PERIODS, "statusPeriods", 50, where=open_of_a)) == 1
    early = {"startedAt": {"lt": (many.now - timedelta(days=1)).isoformat()}}
    assert len(await walk(house, many, PERIODS, "statusPeriods", 50, where=early)) == 2


async def test_lists_show_the_callers_plants_and_nobody_elses(house: House, many: Floor, stranger: Tenant) -> None:
    second_plant = many.tenant.actor("viewer", plants=many.tenant.plants[1:])
    found = (await house.data(second_plant, MACHINES, {}))["machines"]
    assert [n["code"] for n in found["nodes"]] == ["M-B"]
    for document, field in ((MACHINES, "machines"), (PERIODS, "statusPeriods")):
        assert (await house.data(stranger.actor(), document, {}))[field]["nodes"] == []


async def test_a_right_in_one_department_shows_its_machines(
    house: House, many: Floor, admin: asyncpg.Connection
) -> None:
    tenant = many.tenant
    scope = Scope.of_department(tenant.plants[0], tenant.departments[0])
    narrow = replace(tenant.actor("viewer"), permissions={"equipment.read": scope})
    wanted = await admin.fetch(
        "select code from app.machines where organization_id = $1 and department_id = $2 order by code",
        tenant.organization_id,
        tenant.departments[0],
    )
    found = (await house.data(narrow, MACHINES, {"first": 200}))["machines"]
    assert [n["code"] for n in found["nodes"]] == [row["code"] for row in wanted]
    kept = await house.data(narrow, "{ statusPeriods(first: 200) { nodes { machine { code } } } }")
    assert {n["machine"] and n["machine"]["code"] for n in kept["statusPeriods"]["nodes"]} == {
        r["code"] for r in wanted
    }
    trail = '{ auditEntries(first: 200, where: {entityType: {eq: "Machine"}}) { nodes { after } } }'
    auditor = replace(narrow, permissions={"audit.read": scope})
    told = (await house.data(auditor, trail))["auditEntries"]["nodes"]
    assert {n["after"]["code"] for n in told} == {row["code"] for row in wanted}


async def test_meters_are_seen_by_who_sees_their_machine(house: House, floor: Floor, admin: asyncpg.Connection) -> None:
    seen = "{ meters { nodes { code } } meterReadings { nodes { id } } }"
    meter = await admin.fetchval(
        "insert into app.machine_meters (organization_id, plant_id, machine_id, code, name, kind, unit)"
        " values ($1, $2, $3, 'CYC', 'Strokes', 'cycles', 'strokes') returning id",
        floor.tenant.organization_id, floor.tenant.plants[0], floor.machine.id,
    )  # fmt: skip
    await admin.execute(
        "insert into app.machine_meter_readings (organization_id, plant_id, machine_id, meter_id, kind, value, offset_value,"
        " read_at, received_at) values ($1, $2, $3, $4, 'reading', 1, 0, $5, $5)",
        floor.tenant.organization_id, floor.tenant.plants[0], floor.machine.id, meter, floor.now,
    )  # fmt: skip
    narrow = floor.tenant.in_department("viewer")
    found = await house.data(narrow, seen)
    assert [len(found[name]["nodes"]) for name in ("meters", "meterReadings")] == [1, 1]
    await admin.execute("update app.machines set department_id = null where id = $1", floor.machine.id)
    found = await house.data(narrow, seen)
    assert [len(found[name]["nodes"]) for name in ("meters", "meterReadings")] == [0, 0]


NESTED = """{ machines(first: 20) { nodes { code plant { code } department { code } statusReason { code }
  statusHistory(first: 3) { nodes { status reasonCode { code } recordedBy { fullName } machine { code } } }
  meters(first: 3) { nodes { code readings(first: 2) { nodes { value } } } } } } }"""


async def test_a_nested_list_costs_one_statement_per_link_and_level(house: House, many: Floor) -> None:
    with Statements(house.database) as statements:
        await house.data(many.admin, NESTED)
    assert len(statements.selects) <= 9, "\n".join(statements.selects)

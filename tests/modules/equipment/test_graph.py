"""Equipment as a client sees it: one operation and its answer."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from schema.ids import encode
from tests.support import House, Tenant

from .conftest import Floor

RECORD = """mutation($input: MachineStatusRecordInput!) { machineStatusRecord(input: $input) {
  statusPeriod { status startedAt endedAt reasonCode { code planned bigLoss } machine { code status } recordedBy { username } }
  errors { __typename code path ... on InvalidTransition { from to allowed } ... on TimeOutOfRange { earliest latest } } } }"""


def iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def fact(
    floor: Floor, status: str, minutes_ago: float = 10, reason: int | None = None, key: str = "k1"
) -> dict[str, Any]:
    return {
        "input": {
            "machineId": encode("Machine", floor.machine.id),
            "status": status,
            "occurredAt": iso(floor.now - timedelta(minutes=minutes_ago)),
            "reasonCodeId": None if reason is None else encode("ReasonCode", reason),
            "idempotencyKey": key,
        }
    }


async def test_an_operator_records_a_breakdown(house: House, floor: Floor) -> None:
    operator = floor.tenant.actor("operator")
    answer = (await house.data(operator, RECORD, fact(floor, "DOWN", 10, floor.repair)))["machineStatusRecord"]
    assert answer == {
        "statusPeriod": {
            "status": "DOWN",
            "startedAt": iso(floor.now - timedelta(minutes=10)),
            "endedAt": None,
            "reasonCode": {"code": "REP", "planned": False, "bigLoss": "EQUIPMENT_FAILURE"},
            "machine": {"code": "M-A", "status": "DOWN"},
            "recordedBy": {"username": "operator"},
        },
        "errors": [],
    }


async def test_the_same_key_records_once(house: House, floor: Floor) -> None:
    operator = floor.tenant.actor("operator")
    answers = [(await house.data(operator, RECORD, fact(floor, "RUNNING"))) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    periods = await house.data(floor.admin, "{ statusPeriods(first: 10) { nodes { machine { code } status } } }")
    assert sorted((p["machine"]["code"], p["status"]) for p in periods["statusPeriods"]["nodes"]) == [
        ("M-A", "AVAILABLE"), ("M-A", "RUNNING"), ("M-B", "AVAILABLE"),
    ]  # fmt: skip
    assert await house.code(operator, RECORD, fact(floor, "IDLE")) == "IDEMPOTENCY_KEY_REUSED"


async def test_the_same_request_five_times_at_once_records_once(house: House, floor: Floor) -> None:
    operator = floor.tenant.actor("operator")
    answers = await asyncio.gather(*(house.ask(operator, RECORD, fact(floor, "RUNNING")) for _ in range(5)))
    told = [e.original_error.code for a in answers for e in a.errors or []]  # type: ignore[union-attr]
    assert set(told) <= {"IDEMPOTENCY_IN_PROGRESS"}
    assert len(told) < 5
    periods = await house.data(operator, "{ statusPeriods(where: {status: {eq: RUNNING}}) { nodes { id } } }")
    assert len(periods["statusPeriods"]["nodes"]) == 1


async def test_refusals_say_what_is_allowed(house: House, floor: Floor) -> None:
    refused = (await house.data(floor.admin, RECORD, fact(floor, "AVAILABLE")))["machineStatusRecord"]
    assert refused["statusPeriod"] is None
    assert refused["errors"] == [
        {
            "__typename": "InvalidTransition",
            "code": "INVALID_TRANSITION",
            "path": ["status"],
            "from": "AVAILABLE",
            "to": "AVAILABLE",
            "allowed": ["RUNNING", "IDLE", "SETUP", "DOWN", "MAINTENANCE", "OFFLINE", "DECOMMISSIONED"],
        }
    ]
    late = (await house.data(floor.admin, RECORD, fact(floor, "RUNNING", 60 * 24 * 31, key="k2")))[
        "machineStatusRecord"
    ]
    assert [(e["__typename"], e["path"]) for e in late["errors"]] == [("TimeOutOfRange", ["occurredAt"])]
    assert late["errors"][0]["earliest"] is not None


@pytest.mark.parametrize("wrong", ["Machine", "Plant", "garbage"])
async def test_ids_that_are_not_this_machines(house: House, floor: Floor, stranger: Tenant, wrong: str) -> None:
    variables = fact(floor, "RUNNING")
    if wrong == "Machine":
        refused = (await house.data(stranger.actor(), RECORD, variables))["machineStatusRecord"]
        assert [(e["code"], e["path"]) for e in refused["errors"]] == [("NOT_FOUND", ["machineId"])]
    else:
        variables["input"]["machineId"] = encode("Plant", 1) if wrong == "Plant" else "garbage"
        assert await house.code(floor.admin, RECORD, variables) == "BAD_USER_INPUT"


async def test_who_may_do_what(house: House, floor: Floor) -> None:
    assert await house.code(floor.tenant.actor("viewer"), RECORD, fact(floor, "RUNNING")) == "FORBIDDEN"
    cost = "{ machines { nodes { purchaseCost purchaseCurrency } } }"
    assert await house.code(floor.tenant.actor("operator"), cost) == "FORBIDDEN"
    await house.data(floor.tenant.actor("plant_manager"), cost)


CREATE = """mutation($input: MachineCreateInput!) { machineCreate(input: $input) {
  machine { id code name ratedRate { value unit } purchaseCost status version plant { code } department { code } }
  errors { __typename code path } } }"""
UPDATE = """mutation($input: MachineUpdateInput!) { machineUpdate(input: $input) {
  machine { name description ratedRate { value unit } department { code } version } errors { code path } } }"""


async def test_a_machines_life(house: House, floor: Floor) -> None:
    manager = floor.tenant.actor("plant_manager")
    created = await house.data(manager, CREATE, {"input": {
        "plantId": encode("Plant", floor.tenant.plants[0]), "departmentId": encode("Department", floor.tenant.departments[0]),
        "code": "P-1", "name": " Press ", "ratedRate": {"value": "600", "unit": "pcs"},
        "purchaseCost": {"value": "310000.50", "currency": "EUR"}, "description": "Big",
    }})  # fmt: skip
    machine = created["machineCreate"]["machine"]
    id = machine.pop("id")
    assert created["machineCreate"]["errors"] == []
    assert machine == {
        "code": "P-1", "name": "Press", "ratedRate": {"value": "600", "unit": "pcs"}, "purchaseCost": "310000.5",
        "status": "AVAILABLE", "version": 1, "plant": {"code": "P1"}, "department": {"code": "D1"},
    }  # fmt: skip

    change = {"id": id, "expectedVersion": 1, "name": "Press 1", "ratedRate": None, "departmentId": None}
    updated = (await house.data(manager, UPDATE, {"input": change}))["machineUpdate"]
    assert updated == {
        "machine": {"name": "Press 1", "description": "Big", "ratedRate": None, "department": None, "version": 2},
        "errors": [],
    }
    stale = (await house.data(manager, UPDATE, {"input": change}))["machineUpdate"]
    assert stale == {"machine": None, "errors": [{"code": "VERSION_CONFLICT", "path": ["expectedVersion"]}]}

    out = await house.data(
        manager,
        """mutation($input: MachineDecommissionInput!, $archive: MachineVersionInput!) {
          machineDecommission(input: $input) { machine { status version } errors { code } }
          machineArchive(input: $archive) { machine { archivedAt } errors { code } }
        }""",
        {"input": {"id": id, "expectedVersion": 2}, "archive": {"id": id, "expectedVersion": 2}},
    )
    assert out["machineDecommission"] == {"machine": {"status": "DECOMMISSIONED", "version": 2}, "errors": []}
    assert out["machineArchive"]["machine"]["archivedAt"] is not None


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"code": "M-A"}, ["code"]),
        ({"code": ""}, ["code"]),
        ({"name": "x" * 256}, ["name"]),
        ({"machineType": "x" * 101}, ["machineType"]),
        ({"ratedRate": {"value": "0", "unit": "pcs"}}, ["ratedRate", "value"]),
        ({"ratedRate": {"value": "1", "unit": ""}}, ["ratedRate", "unit"]),
        ({"purchaseCost": {"value": "1", "currency": "eur"}}, ["purchaseCost", "currency"]),
        ({"since": "2999-01-01T00:00:00Z"}, ["since"]),
    ],
)
async def test_machines_that_are_refused(house: House, floor: Floor, change: dict[str, Any], path: list[str]) -> None:
    good = {"plantId": encode("Plant", floor.tenant.plants[0]), "code": "P-1", "name": "Press"}
    answer = (await house.data(floor.admin, CREATE, {"input": {**good, **change}}))["machineCreate"]
    assert answer["machine"] is None
    assert [e["path"] for e in answer["errors"]] == [path]


async def test_one_machine_by_id_or_code(house: House, floor: Floor, stranger: Tenant) -> None:
    document = """query($id: ID!) { a: machine(by: {id: $id}) { code } b: machine(by: {code: "M-A"}) { id }
      n: node(id: $id) { ... on Machine { code } } }"""
    id = encode("Machine", floor.machine.id)
    assert await house.data(floor.admin, document, {"id": id}) == {
        "a": {"code": "M-A"},
        "b": {"id": id},
        "n": {"code": "M-A"},
    }
    assert await house.data(stranger.actor(), document, {"id": id}) == {"a": None, "b": None, "n": None}


CORRECT = """mutation($input: MachineStatusCorrectInput!) { machineStatusCorrect(input: $input) {
  statusPeriod { status reasonCode { code } notes correctionReason correctedBy { username } version } errors { code path } } }"""


async def test_a_supervisor_says_why_the_machine_stood(house: House, floor: Floor) -> None:
    supervisor = floor.tenant.actor("supervisor")
    await house.data(supervisor, RECORD, fact(floor, "DOWN", 10, floor.jam))
    found = await house.data(supervisor, "{ statusPeriods(first: 1) { nodes { id version } } }")
    period = found["statusPeriods"]["nodes"][0]
    change = {"id": period["id"], "expectedVersion": period["version"], "correctionReason": "bearing"}
    change["reasonCodeId"] = encode("ReasonCode", floor.repair)
    answer = (await house.data(supervisor, CORRECT, {"input": change}))["machineStatusCorrect"]
    assert answer == {
        "statusPeriod": {
            "status": "DOWN", "reasonCode": {"code": "REP"}, "notes": None, "correctionReason": "bearing",
            "correctedBy": {"username": "supervisor"}, "version": 2,
        },
        "errors": [],
    }  # fmt: skip
    change |= {"expectedVersion": 2, "status": None}
    refused = (await house.data(supervisor, CORRECT, {"input": change}))["machineStatusCorrect"]
    assert refused["errors"] == [{"code": "VALIDATION_FAILED", "path": ["status"]}]


REASON = """mutation($input: ReasonCodeCreateInput!) { reasonCodeCreate(input: $input) {
  reasonCode { id code category appliesTo planned bigLoss version } errors { code path } } }"""


async def test_a_reason_codes_life(house: House, floor: Floor) -> None:
    given = {"code": "CHG", "name": "Changeover", "category": "SETUP", "appliesTo": ["SETUP", "IDLE", "SETUP"]}
    answer = (await house.data(floor.admin, REASON, {"input": given}))["reasonCodeCreate"]
    id = answer["reasonCode"].pop("id")
    assert answer["reasonCode"] == {
        "code": "CHG", "category": "SETUP", "appliesTo": ["IDLE", "SETUP"], "planned": True,
        "bigLoss": "SETUP_AND_ADJUSTMENT", "version": 1,
    }  # fmt: skip
    for change, path in (
        ({"code": "JAM"}, ["code"]),
        ({"appliesTo": ["RUNNING"]}, ["appliesTo"]),
        ({"appliesTo": []}, ["appliesTo"]),
    ):
        refused = (await house.data(floor.admin, REASON, {"input": {**given, "code": "NEW", **change}}))[
            "reasonCodeCreate"
        ]
        assert [e["path"] for e in refused["errors"]] == [path]
    document = """mutation($update: ReasonCodeUpdateInput!, $archive: ReasonCodeVersionInput!) {
      reasonCodeUpdate(input: $update) { reasonCode { name appliesTo version } errors { code } }
      reasonCodeArchive(input: $archive) { reasonCode { archivedAt version } errors { code } } }"""
    changed = await house.data(floor.admin, document, {
        "update": {"id": id, "expectedVersion": 1, "name": "Change", "appliesTo": ["SETUP"]},
        "archive": {"id": id, "expectedVersion": 2},
    })  # fmt: skip
    assert changed["reasonCodeUpdate"]["reasonCode"] == {"name": "Change", "appliesTo": ["SETUP"], "version": 2}
    assert changed["reasonCodeArchive"]["reasonCode"]["archivedAt"] is not None
    one_plant = floor.tenant.actor("plant_manager", plants=floor.tenant.plants[:1])
    refused = (await house.data(one_plant, REASON, {"input": {**given, "code": "MINE"}}))["reasonCodeCreate"]
    assert [e["code"] for e in refused["errors"]] == ["FORBIDDEN"]


METER = """mutation($input: MeterCreateInput!) { meterCreate(input: $input) { meter { id latestTotal { value } } errors { path } } }"""
READ = """mutation($input: MeterReadingRecordInput!) { meterReadingRecord(input: $input) {
  meterReading { id value total kind version meter { latestValue latestTotal { value unit } latestReadAt version } }
  errors { __typename path ... on ReadingNotMonotonic { atLeast atMost } } } }"""


async def test_a_meters_life(house: House, floor: Floor) -> None:
    manager, technician = floor.tenant.actor("plant_manager"), floor.tenant.actor("maintenance_technician")
    given = {
        "machineId": encode("Machine", floor.machine.id),
        "code": "OH",
        "name": "Hours",
        "kind": "OPERATING_HOURS",
        "unit": "h",
    }
    id = (await house.data(manager, METER, {"input": given}))["meterCreate"]["meter"]["id"]
    reading = {"meterId": id, "value": "1200.5", "readAt": iso(floor.now - timedelta(hours=2)), "idempotencyKey": "r1"}
    for _ in range(2):
        answer = (await house.data(technician, READ, {"input": reading}))["meterReadingRecord"]
        assert answer["errors"] == []
    taken = iso(floor.now - timedelta(hours=2))
    assert answer["meterReading"]["meter"] == {
        "latestValue": "1200.5", "latestTotal": {"value": "1200.5", "unit": "h"}, "latestReadAt": taken, "version": 1,
    }  # fmt: skip
    less = {**reading, "value": "1200", "readAt": iso(floor.now), "idempotencyKey": "r2"}
    refused = (await house.data(technician, READ, {"input": less}))["meterReadingRecord"]["errors"]
    assert refused == [{"__typename": "ReadingNotMonotonic", "path": ["value"], "atLeast": "1200.5", "atMost": None}]
    document = """mutation($input: MeterReadingVoidInput!) { meterReadingVoid(input: $input) {
      meterReading { voidedAt voidReason meter { latestValue } } errors { code } } }"""
    void = {"id": answer["meterReading"]["id"], "expectedVersion": 1, "reason": "wrong machine"}
    voided = (await house.data(technician, document, {"input": void}))["meterReadingVoid"]["meterReading"]
    assert voided["voidReason"] == "wrong machine"
    assert voided["meter"] == {"latestValue": None}
    listed = await house.data(technician, "{ meters { nodes { readings { nodes { value voidedAt } } } } }")
    assert len(listed["meters"]["nodes"][0]["readings"]["nodes"]) == 1


UTILIZATION = """query($by: MachineUtilizationBy!, $from: DateTime!, $to: DateTime!) {
  machineUtilization(by: $by, from: $from, to: $to) { from to
    total { statuses { status seconds } runningSeconds inServiceSeconds ratio } machines { machine { code } time { ratio } } } }"""


async def test_utilization_of_a_machine_and_of_a_plant(house: House, floor: Floor, stranger: Tenant) -> None:
    await house.data(floor.admin, RECORD, fact(floor, "RUNNING", 60))
    await house.data(floor.admin, RECORD, fact(floor, "IDLE", 15, key="k2"))
    window = {"from": iso(floor.now - timedelta(minutes=120)), "to": iso(floor.now)}
    machine = {"machine": encode("Machine", floor.machine.id)}
    plant = {"plant": encode("Plant", floor.tenant.plants[0])}
    for by in (machine, plant):
        answer = (await house.data(floor.admin, UTILIZATION, {"by": by, **window}))["machineUtilization"]
        assert answer == {
            **window,
            "total": {
                "statuses": [
                    {"status": "AVAILABLE", "seconds": "3600"}, {"status": "RUNNING", "seconds": "2700"},
                    {"status": "IDLE", "seconds": "900"},
                ],
                "runningSeconds": "2700", "inServiceSeconds": "7200", "ratio": "0.375",
            },
            "machines": [{"machine": {"code": "M-A"}, "time": {"ratio": "0.375"}}],
        }  # fmt: skip
        assert await house.data(stranger.actor(), UTILIZATION, {"by": by, **window}) == {"machineUtilization": None}
    early = {"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}
    nothing = (await house.data(floor.admin, UTILIZATION, {"by": machine, **early}))["machineUtilization"]
    assert (nothing["machines"], nothing["total"]["ratio"]) == ([], None)
    assert (
        await house.code(floor.admin, UTILIZATION, {"by": machine, "from": window["to"], "to": window["from"]})
        == "BAD_USER_INPUT"
    )


async def test_machines_are_found_from_their_plant_and_department(house: House, floor: Floor) -> None:
    document = """query($plant: ID!, $department: ID!) {
      plant(by: {id: $plant}) { machines { nodes { code } } } department(by: {id: $department}) { machines { nodes { code } } } }"""
    ids = {
        "plant": encode("Plant", floor.tenant.plants[0]),
        "department": encode("Department", floor.tenant.departments[1]),
    }
    assert await house.data(floor.admin, document, ids) == {
        "plant": {"machines": {"nodes": [{"code": "M-A"}]}}, "department": {"machines": {"nodes": [{"code": "M-B"}]}},
    }  # fmt: skip

"""Machines, their meters and the reasons they stop for, as a client sees them: one operation and its answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from schema.ids import encode
from tests.support import House, Tenant

from .conftest import Floor, iso

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

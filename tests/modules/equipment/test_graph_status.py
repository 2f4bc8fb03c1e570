"""Status of machines as a client sees it: one operation and its answer."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from schema.ids import encode
from tests.support import House, Tenant

from .conftest import Floor, iso

RECORD = """mutation($input: MachineStatusRecordInput!) { machineStatusRecord(input: $input) {
  statusPeriod { status startedAt endedAt reasonCode { code planned bigLoss } machine { code status } recordedBy { username } }
  errors { __typename code path ... on InvalidTransition { from to allowed } ... on TimeOutOfRange { earliest latest } } } }"""


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

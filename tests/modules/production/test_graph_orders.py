"""Orders and routings, each by one operation and its answer."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from schema.ids import encode
from tests.modules.production.asking import CREATE, created, record, released
from tests.modules.production.shop import Shop, machine
from tests.support import House, Tenant


async def test_an_order_is_planned_with_its_operations(shop: Shop, house: House, admin: asyncpg.Connection) -> None:
    saw = await machine(admin, shop.tenant, "SAW-1")
    steps = [
        {
            "sequence": 10,
            "name": "Saw",
            "machineId": encode("Machine", saw),
            "setupSeconds": 60,
            "runSecondsPerUnit": "1.5",
        }
    ]
    order = await created(shop, house, operations=steps)
    assert order["status"] == "PLANNED"
    assert order["quantityOrdered"] == {"value": "100", "unit": "pcs"}
    assert (order["remaining"]["value"], order["maxRemaining"]["value"]) == ("100", "130")
    assert (order["progress"], order["finalYield"]) == ("0", None)
    assert order["operations"]["nodes"] == [
        {
            "id": order["operations"]["nodes"][0]["id"],
            "sequence": 10,
            "name": "Saw",
            "plannedSeconds": "210",
            "available": {"value": "130"},
            "machine": {"code": "SAW-1"},
        }
    ]


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"quantityOrdered": {"value": "0", "unit": "pcs"}}, ["quantityOrdered", "value"]),
        ({"quantityOrdered": {"value": "1.0000001", "unit": "pcs"}}, ["quantityOrdered", "value"]),
        ({"overCompletionTolerance": "1.5"}, ["overCompletionTolerance"]),
        ({"operations": [{"sequence": 1, "name": " "}]}, ["operations", "0", "name"]),
        ({"operations": [{"sequence": 1, "name": "A", "setupSeconds": -1}]}, ["operations", "0", "setupSeconds"]),
        ({"operations": [{"sequence": 0, "name": "A"}]}, ["operations", "0", "sequence"]),
        ({"plannedStartAt": "2026-02-02T00:00:00Z", "plannedEndAt": "2026-02-01T00:00:00Z"}, ["plannedEndAt"]),
    ],
)
async def test_values_outside_what_is_allowed_are_refused(
    shop: Shop, house: House, given: dict[str, Any], path: list[str]
) -> None:
    given = {"plantId": encode("Plant", shop.plant), "quantityOrdered": {"value": "1", "unit": "pcs"}, **given}
    answer = (await house.data(shop.actor, CREATE, {"input": given}))["workOrderCreate"]
    assert answer["workOrder"] is None
    assert [(e["code"], e["path"]) for e in answer["errors"]] == [("VALIDATION_FAILED", path)]


async def test_an_order_is_found_by_number_and_by_external_key(shop: Shop, house: House, stranger: Tenant) -> None:
    order = await created(shop, house, externalRef={"system": "SAP", "key": "000010004711"})
    document = "query($by: WorkOrderBy!) { workOrder(by: $by) { id externalRef { system key } } }"
    keys: list[dict[str, Any]] = [
        {"id": order["id"]},
        {"number": order["number"]},
        {"externalRef": {"system": "SAP", "key": "000010004711"}},
    ]
    for by in keys:
        found = await house.data(shop.actor, document, {"by": by})
        assert found["workOrder"] == {"id": order["id"], "externalRef": {"system": "SAP", "key": "000010004711"}}
        assert (await house.data(stranger.actor(), document, {"by": by}))["workOrder"] is None
    other = {"externalRef": {"system": "ERP2", "key": "000010004711"}}
    assert (await house.data(shop.actor, document, {"by": other}))["workOrder"] is None


async def test_counts_by_state(shop: Shop, house: House) -> None:
    await created(shop, house)
    await released(shop, house)
    document = "query($plant: ID) { workOrderStatusCounts(plantId: $plant) { status count } }"
    for plant in (None, encode("Plant", shop.plant)):
        answer = await house.data(shop.actor, document, {"plant": plant})
        found = {row["status"]: row["count"] for row in answer["workOrderStatusCounts"]}
        assert len(found) == 7
        assert (found["PLANNED"], found["RELEASED"], found["CLOSED"]) == (1, 1, 0)


async def test_links_from_below(shop: Shop, house: House, admin: asyncpg.Connection) -> None:
    saw = await machine(admin, shop.tenant, "SAW-1")
    steps = [{"sequence": 10, "name": "Saw", "machineId": encode("Machine", saw)}]
    order = await released(shop, house, operations=steps)
    await record(shop, house, order["operations"]["nodes"][0]["id"], good="5")
    document = """query($plant: ID!, $machine: ID!) {
      plant: node(id: $plant) { ... on Plant { workOrders { nodes { number } } } }
      machine: node(id: $machine) { ... on Machine { workOrderOperations { nodes { name } }
        productionLogs { nodes { good { value } workOrder { number } } } } } }"""
    answer = await house.data(
        shop.actor, document, {"plant": encode("Plant", shop.plant), "machine": encode("Machine", saw)}
    )
    assert answer["plant"]["workOrders"]["nodes"] == [{"number": order["number"]}]
    assert answer["machine"]["workOrderOperations"]["nodes"] == [{"name": "Saw"}]
    assert answer["machine"]["productionLogs"]["nodes"] == [
        {"good": {"value": "5"}, "workOrder": {"number": order["number"]}}
    ]


async def test_a_routing_from_draft_to_retired(shop: Shop, house: House) -> None:
    payload = "{ routing { id version status revision operations { nodes { sequence } } } errors { code path } }"
    create = "mutation($input: RoutingCreateInput!) { made: routingCreate(input: $input)" + payload + "}"
    given = {
        "plantId": encode("Plant", shop.plant),
        "code": "R-1",
        "name": "Bracket",
        "operations": [{"sequence": 10, "name": "Saw"}],
    }
    made = (await house.data(shop.actor, create, {"input": given}))["made"]["routing"]
    update = "mutation($input: RoutingUpdateInput!) { made: routingUpdate(input: $input)" + payload + "}"
    change = {
        "id": made["id"],
        "expectedVersion": made["version"],
        "name": "Better",
        "operations": [{"sequence": 5, "name": "Cut"}],
    }
    made = (await house.data(shop.actor, update, {"input": change}))["made"]["routing"]
    assert made["operations"]["nodes"] == [{"sequence": 5}]
    for step, status in (("routingActivate", "ACTIVE"), ("routingRetire", "RETIRED")):
        document = f"mutation($input: RoutingVersionInput!) {{ made: {step}(input: $input) {payload} }}"
        given = {"id": made["id"], "expectedVersion": made["version"]}
        answer = (await house.data(shop.actor, document, {"input": given}))["made"]
        assert answer["errors"] == []
        made = answer["routing"]
        assert made["status"] == status


@pytest.mark.parametrize(
    ("role", "field", "given"),
    [
        ("operator", "workOrderCreate", {"plantId": "x", "quantityOrdered": {"value": "1", "unit": "pcs"}}),
        ("planner", "productionLogRecord", {"operationId": "x", "kind": "START", "idempotencyKey": "k"}),
        ("operator", "productionLogReverse", {"id": "x", "reason": "x", "idempotencyKey": "k"}),
        ("supervisor", "workOrderReopen", {"id": "x", "expectedVersion": 1, "reason": "x"}),
        ("viewer", "workOrderRelease", {"id": "x", "expectedVersion": 1}),
    ],
)
async def test_who_may_not(shop: Shop, house: House, role: str, field: str, given: dict[str, Any]) -> None:
    name = {"workOrderRelease": "WorkOrderVersion", "workOrderReopen": "WorkOrderReason"}.get(
        field, field[0].upper() + field[1:]
    )
    document = f"mutation($input: {name}Input!) {{ {field}(input: $input) {{ errors {{ code }} }} }}"
    assert await house.code(shop.tenant.actor(role), document, {"input": given}) == "FORBIDDEN"

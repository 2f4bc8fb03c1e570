"""One test, one operation and its answer."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from schema.ids import encode
from tests.modules.production.shop import Shop, machine
from tests.support import House, Tenant

WHY = """
fragment why on UserError { code message path retryable
  ... on OverCompletion { maxRemaining } ... on InvalidTransition { from to allowed } }"""
CREATE = (
    """mutation($input: WorkOrderCreateInput!) { workOrderCreate(input: $input) { errors { ...why } workOrder {
  id number version status quantityOrdered { value unit } remaining { value } maxRemaining { value } progress finalYield
  operations { nodes { id sequence name plannedSeconds available { value } machine { code } } } } } }"""
    + WHY
)
RELEASE = (
    """mutation($input: WorkOrderVersionInput!) { workOrderRelease(input: $input) {
  workOrder { id status version } errors { ...why } } }"""
    + WHY
)
RECORD = (
    """mutation($input: ProductionLogRecordInput!) { productionLogRecord(input: $input) { errors { ...why }
  productionLog { id kind good { value unit } scrap { value } scrapReason { code } skewSeconds operator { fullName } }
  operation { status available { value } quantityGood { value } firstPassYield laborSeconds peopleRunning }
  workOrder { status version remaining { value } progress quantityScrapped { value } } } }"""
    + WHY
)
REVERSE = (
    """mutation($input: ProductionLogReverseInput!) { productionLogReverse(input: $input) { errors { ...why }
  productionLog { id kind good { value } reverses { id reversedBy { kind } } } workOrder { status statusReason } } }"""
    + WHY
)


async def created(shop: Shop, house: House, **extra: Any) -> dict[str, Any]:
    given = {
        "plantId": encode("Plant", shop.plant),
        "quantityOrdered": {"value": "100", "unit": "pcs"},
        "overCompletionTolerance": "0.3",
        "operations": [
            {"sequence": 10, "name": "Saw", "setupSeconds": 60, "runSecondsPerUnit": "1.5"},
            {"sequence": 20, "name": "Mill"},
        ],
        **extra,
    }
    answer = await house.data(shop.actor, CREATE, {"input": given})
    assert answer["workOrderCreate"]["errors"] == []
    order: dict[str, Any] = answer["workOrderCreate"]["workOrder"]
    return order


async def released(shop: Shop, house: House, **extra: Any) -> dict[str, Any]:
    order = await created(shop, house, **extra)
    given = {"id": order["id"], "expectedVersion": order["version"]}
    answer = await house.data(shop.actor, RELEASE, {"input": given})
    assert answer["workOrderRelease"]["errors"] == []
    return {**order, **answer["workOrderRelease"]["workOrder"]}


async def record(shop: Shop, house: House, operation: str, key: str = "k", **given: Any) -> dict[str, Any]:
    given = {"operationId": operation, "kind": "REPORT", "idempotencyKey": key, **given}
    answer: dict[str, Any] = (await house.data(shop.actor, RECORD, {"input": given}))["productionLogRecord"]
    return answer


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


async def test_pieces_are_reported(shop: Shop, house: House) -> None:
    order = await released(shop, house)
    saw, mill = [step["id"] for step in order["operations"]["nodes"]]
    reason = encode("ScrapReason", await shop.scrap_reason("DIM"))
    await record(shop, house, saw, "1", good="60")
    answer = await record(shop, house, mill, "2", good="48", scrap="2", scrapReasonId=reason)
    assert answer["errors"] == []
    assert answer["productionLog"]["scrapReason"] == {"code": "DIM"}
    assert answer["productionLog"]["good"] == {"value": "48", "unit": "pcs"}
    assert answer["productionLog"]["skewSeconds"] == "0"
    assert answer["operation"]["available"] == {"value": "10"}
    assert answer["operation"]["firstPassYield"] == "0.96"
    assert answer["workOrder"]["status"] == "IN_PROGRESS"
    assert (answer["workOrder"]["progress"], answer["workOrder"]["remaining"]["value"]) == ("0.48", "52")


async def test_a_report_beyond_the_tolerance_says_what_is_left(shop: Shop, house: House) -> None:
    order = await released(shop, house, operations=[{"sequence": 10, "name": "Saw"}])
    saw = order["operations"]["nodes"][0]["id"]
    await record(shop, house, saw, "1", good="80")
    answer = await record(shop, house, saw, "2", good="51")
    assert answer["productionLog"] is None
    assert [(e["code"], e["maxRemaining"], e["path"]) for e in answer["errors"]] == [
        ("OVER_COMPLETION", "50", ["good"])
    ]
    answer = await record(shop, house, saw, "3", good="30")
    assert answer["workOrder"]["status"] == "COMPLETED"


async def test_a_wrong_step_names_the_possible_ones(shop: Shop, house: House) -> None:
    order = await created(shop, house)
    answer = await record(shop, house, order["operations"]["nodes"][0]["id"], good="1")
    (error,) = answer["errors"]
    assert (error["code"], error["from"], error["allowed"]) == (
        "INVALID_TRANSITION", "PLANNED", ["RELEASED", "CANCELLED"]
    )  # fmt: skip


async def test_the_same_key_posts_once(shop: Shop, house: House) -> None:
    order = await released(shop, house)
    saw = order["operations"]["nodes"][0]["id"]
    first = await record(shop, house, saw, "tap", good="5")
    again = await record(shop, house, saw, "tap", good="5")
    assert again["productionLog"] == first["productionLog"]
    assert again["workOrder"] == first["workOrder"]
    given = {"operationId": saw, "kind": "REPORT", "idempotencyKey": "tap", "good": "6"}
    assert await house.code(shop.actor, RECORD, {"input": given}) == "IDEMPOTENCY_KEY_REUSED"
    total = await house.data(shop.actor, "{ productionLogs { totalCount { value } } }")
    assert total["productionLogs"]["totalCount"]["value"] == 1


async def test_eight_at_once_with_the_same_key_post_once(shop: Shop, house: House) -> None:
    order = await released(shop, house)
    saw = order["operations"]["nodes"][0]["id"]
    given = {"operationId": saw, "kind": "REPORT", "idempotencyKey": "tap", "good": "5"}
    answers = await asyncio.gather(*(house.ask(shop.actor, RECORD, {"input": given}) for _ in range(8)))
    posted = {a.data["productionLogRecord"]["productionLog"]["id"] for a in answers if not a.errors and a.data}
    assert len(posted) == 1
    codes = {a.errors[0].original_error.code for a in answers if a.errors}  # type: ignore[union-attr]
    assert codes <= {"IDEMPOTENCY_IN_PROGRESS"}
    found = await house.data(
        shop.actor, "{ productionLogs { nodes { good { value } } } workOrders { nodes { version } } }"
    )
    assert found["productionLogs"]["nodes"] == [{"good": {"value": "5"}}]


async def test_a_row_is_taken_back(shop: Shop, house: House) -> None:
    order = await released(shop, house, operations=[{"sequence": 10, "name": "Saw"}])
    made = await record(shop, house, order["operations"]["nodes"][0]["id"], "1", good="100")
    given = {"id": made["productionLog"]["id"], "reason": "Miscounted", "idempotencyKey": "2"}
    answer = (await house.data(shop.actor, REVERSE, {"input": given}))["productionLogReverse"]
    assert answer["errors"] == []
    assert answer["productionLog"]["good"] == {"value": "-100"}
    assert answer["productionLog"]["reverses"] == {
        "id": made["productionLog"]["id"],
        "reversedBy": {"kind": "REVERSAL"},
    }
    assert answer["workOrder"] == {"status": "IN_PROGRESS", "statusReason": "Miscounted"}
    answer = (await house.data(shop.actor, REVERSE, {"input": {**given, "idempotencyKey": "3"}}))[
        "productionLogReverse"
    ]
    assert [e["code"] for e in answer["errors"]] == ["ALREADY_REVERSED"]


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


async def test_another_tenants_ids_are_unknown(shop: Shop, house: House, stranger: Tenant) -> None:
    order = await released(shop, house)
    saw = order["operations"]["nodes"][0]["id"]
    thief = Shop(shop.database, stranger)
    answer = await record(thief, house, saw, good="1")
    assert [(e["code"], e["path"]) for e in answer["errors"]] == [("NOT_FOUND", ["operationId"])]
    given = {"id": order["id"], "expectedVersion": order["version"]}
    answer = (await house.data(thief.actor, RELEASE, {"input": given}))["workOrderRelease"]
    assert [(e["code"], e["path"]) for e in answer["errors"]] == [("NOT_FOUND", ["id"])]
    assert (await house.data(thief.actor, "query($id: ID!) { node(id: $id) { id } }", {"id": saw}))["node"] is None

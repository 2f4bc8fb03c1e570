"""Orders and reports as a client asks for them."""

from __future__ import annotations

from typing import Any

from schema.ids import encode
from tests.modules.production.shop import Shop
from tests.support import House

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

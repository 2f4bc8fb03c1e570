"""Reports and their reversals, each by one operation and its answer."""

from __future__ import annotations

import asyncio

from schema.ids import encode
from tests.modules.production.asking import RECORD, RELEASE, REVERSE, created, record, released
from tests.modules.production.shop import Shop
from tests.support import House, Tenant


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

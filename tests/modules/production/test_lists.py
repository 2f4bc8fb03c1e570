"""Lists: pages join into the whole list in every order, and filters find what they say."""

from __future__ import annotations

from typing import Any

import pytest

from modules.production.logs.rules import LogKind as K
from schema.ids import encode
from tests.modules.production.shop import Shop, ago
from tests.modules.production.test_routings_service import routing
from tests.support import House, Statements

PAGES = """
query($order: [NAMEOrder!], $after: String, $before: String, $first: Int, $last: Int, $where: NAMEWhere) {
  page: FIELD(orderBy: $order, after: $after, before: $before, first: $first, last: $last, where: $where) {
    nodes { id } pageInfo { hasNextPage hasPreviousPage endCursor startCursor } totalCount { value }
  }
}"""
LISTS = {
    "workOrders": ("WorkOrder", ["NUMBER", "STATUS", "PRIORITY", "PLANNED_END_AT", "CREATED_AT", "ACTUAL_START_AT"]),
    "workOrderOperations": ("WorkOrderOperation", ["SEQUENCE", "STATUS", "STARTED_AT"]),
    "productionLogs": ("ProductionLog", ["OCCURRED_AT", "RECEIVED_AT"]),
    "operationLabor": ("OperationLabor", ["RUNNING_SINCE", "CREATED_AT"]),
}


@pytest.fixture
async def floor(shop: Shop) -> Shop:
    """Seven orders of two steps; three with work on them."""
    for n in range(7):
        order = await shop.order(2, ordered=5)
        if n < 3:
            first, second = await shop.operations(order)
            await shop.report(first, K.START, at=ago(hours=9 - n))
            await shop.report(first, good=3, scrap=1)
            if n:
                await shop.report(second, good=n)
    return shop


@pytest.mark.parametrize(("field", "by"), [(f, by) for f, (_, orders) in LISTS.items() for by in orders])
@pytest.mark.parametrize("direction", ["ASC", "DESC"])
async def test_pages_join_into_the_whole_list(floor: Shop, house: House, field: str, by: str, direction: str) -> None:
    name = LISTS[field][0]
    document = PAGES.replace("NAME", name).replace("FIELD", field)
    order = [{"field": by, "direction": direction}]

    async def page(**variables: Any) -> Any:
        return (await house.data(floor.actor, document, {"order": order, **variables}))["page"]

    whole = [n["id"] for n in (await page(first=200))["nodes"]]
    assert len(whole) == len(set(whole)) > 2
    forth: list[str] = []
    after = None
    while True:
        found = await page(first=2, after=after)
        forth += [n["id"] for n in found["nodes"]]
        assert found["totalCount"]["value"] == len(whole)
        if not found["pageInfo"]["hasNextPage"]:
            break
        after = found["pageInfo"]["endCursor"]
    assert forth == whole
    back: list[str] = []
    before = None
    while True:
        found = await page(last=2, before=before)
        back = [n["id"] for n in found["nodes"]] + back
        if not found["pageInfo"]["hasPreviousPage"]:
            break
        before = found["pageInfo"]["startCursor"]
    assert back == whole


async def test_filters(floor: Shop, house: House) -> None:
    plant = encode("Plant", floor.plant)
    elsewhere = encode("Plant", floor.tenant.plants[1])

    async def count(field: str, where: dict[str, Any]) -> int:
        name = LISTS[field][0]
        document = PAGES.replace("NAME", name).replace("FIELD", field)
        return int((await house.data(floor.actor, document, {"where": where}))["page"]["totalCount"]["value"])

    assert await count("workOrders", {"status": {"eq": "IN_PROGRESS"}, "plant": {"eq": plant}}) == 3
    assert await count("workOrders", {"plant": {"eq": elsewhere}}) == 0
    assert await count("workOrders", {"not": {"status": {"in": ["RELEASED", "PLANNED"]}}}) == 3
    assert await count("workOrders", {"number": {"startsWith": "WO-"}}) == 7
    assert await count("workOrderOperations", {"status": {"eq": "IN_PROGRESS"}, "sequence": {"eq": 10}}) == 3
    assert await count("productionLogs", {"kind": {"eq": "REPORT"}}) == 5
    assert await count("productionLogs", {"scrapReason": {"isNull": True}, "kind": {"in": ["REPORT"]}}) == 2
    assert await count("operationLabor", {"state": {"eq": "RUNNING"}}) == 3


async def test_a_nested_list_is_read_with_one_statement_per_level(floor: Shop, house: House) -> None:
    document = """{ workOrders(first: 7) { nodes { number plant { code } operations { nodes { sequence machine { code }
      productionLogs(first: 2) { nodes { good { value unit } operator { fullName } scrapReason { code } reversedBy { id } } }
    } } } } }"""
    with Statements(floor.database) as statements:
        answer = await house.data(floor.actor, document)
    assert len(answer["workOrders"]["nodes"]) == 7
    assert len(statements.selects) <= 6  # orders, plants, operations, logs, operators, scrap reasons


async def test_routings_by_code_and_revision(shop: Shop, house: House) -> None:
    from modules.production.routings.rules import Step
    from modules.production.routings.service import revise

    for code in ("R-B", "R-A"):
        made = await routing(shop, [Step(10, "Saw")], active=True, code=code)
        async with shop.tx("production.plan") as tx:
            await revise(tx, made.id)
    answer = await house.data(
        shop.actor, "{ routings { nodes { code revision status operations { nodes { name sequence } } } } }"
    )
    found = [(n["code"], n["revision"], n["status"]) for n in answer["routings"]["nodes"]]
    assert found == [("R-A", 2, "DRAFT"), ("R-A", 1, "ACTIVE"), ("R-B", 2, "DRAFT"), ("R-B", 1, "ACTIVE")]

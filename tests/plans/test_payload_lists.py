"""Lists in the payload of a mutation: whatever their arguments are, they are read along with what was posted."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from graphql import parse

from schema.context import Context
from schema.listing import cursor
from schema.plans import plan as plans
from schema.plans.execute import Prepared
from tests.modules.production.shop import Shop
from tests.plans.posting import pieces, planned, recording
from tests.support import House, NoHub, NoTokens, Statements

STEPS = """workOrder {{ number operations({}) {{ nodes {{ id sequence }} edges {{ cursor }}
  pageInfo {{ hasNextPage hasPreviousPage endCursor }} totalCount {{ value }} }} }}"""


async def place(house: House, shop: Shop, order: str = "") -> str:
    """The cursor of the first operation of the shop's only order."""
    document = f"{{ workOrders {{ nodes {{ operations(first: 1{order}) {{ pageInfo {{ endCursor }} }} }} }} }}"
    (found,) = (await house.data(shop.actor, document))["workOrders"]["nodes"]
    return str(found["operations"]["pageInfo"]["endCursor"])


@pytest.mark.parametrize(
    ("arguments", "variables", "given"),
    [
        ("where: {sequence: {gt: 10}}", "", {}),
        ("where: {sequence: {in: [10, 30]}, status: {eq: IN_PROGRESS}}", "", {}),
        ("where: {and: [{sequence: {gt: 1}}, {machine: {isNull: true}}]}", "", {}),
        ("where: {sequence: {gt: $n}}", ", $n: Int!", {"n": 10}),
        ("where: $w", ", $w: WorkOrderOperationWhere", {"w": {"status": {"in": ["IN_PROGRESS"]}}}),
        ("where: $w", ", $w: WorkOrderOperationWhere", {"w": None}),
        ("where: $w", ", $w: WorkOrderOperationWhere", {}),
        ("first: $n", ", $n: Int", {"n": 1}),
        ("first: $n", ", $n: Int = 1", {}),
        ("last: $n", ", $n: Int", {"n": 1}),
        ("first: 1, after: $c", ", $c: String", {"c": "CURSOR"}),
        ("last: 1, before: $c", ", $c: String", {"c": "CURSOR"}),
        ("first: 2, after: $c, where: {sequence: {lt: $n}}", ", $c: String, $n: Int", {"c": None, "n": 15}),
        ("orderBy: $o", ", $o: [WorkOrderOperationOrder!]", {"o": [{"field": "SEQUENCE", "direction": "DESC"}]}),
        ('first: 1, after: "CURSOR"', "", {}),
    ],
)  # fmt: skip
async def test_the_loaders_say_the_same(
    shop: Shop, house: House, operation: str, arguments: str, variables: str, given: dict[str, Any]
) -> None:
    at = await place(house, shop)
    document = recording(STEPS.format(arguments.replace("CURSOR", at)), variables)
    given = {name: at if value == "CURSOR" else value for name, value in given.items()}
    told = await house.data(shop.actor, document, {"operation": operation, "key": "one", **given})
    assert told["recordLog"]["workOrder"]["operations"]["totalCount"]["value"] <= 2
    answered, posted = await planned(house, shop.actor, document, operation=operation, key="two", **given)
    assert answered is not None
    assert answered.left == {}
    assert posted is None
    assert await pieces(house, shop.actor) == ["5", "5"]


async def test_lists_below_lists_and_beside_each_other(shop: Shop, house: House, operation: str) -> None:
    document = recording(
        """operation { plant { few: workOrders(first: $few, where: {number: {startsWith: $n}}) { nodes { number
             operations(where: {sequence: {gte: $s}}) { nodes { id productionLogs(first: $few) { nodes { good { value } } } } } } }
           none: workOrders(where: {number: {startsWith: "none"}}) { nodes { id } totalCount { value } } } }
           again: operation { id productionLogs(where: {kind: {eq: REPORT}}, first: 1) { nodes { id } } }""",
        ", $few: Int, $n: String!, $s: Int",
    )
    given = {"operation": operation, "few": 2, "n": "WO", "s": 20}
    told = (await house.data(shop.actor, document, {**given, "key": "one"}))["recordLog"]
    assert [len(order["operations"]["nodes"]) for order in told["operation"]["plant"]["few"]["nodes"]] == [1]
    answered, _ = await planned(house, shop.actor, document, key="two", **given)
    assert answered.left == {}


@pytest.mark.parametrize(
    ("arguments", "variables", "given"),
    [
        ("first: $n", ", $n: Int", {"n": 0}),
        ("first: $n, last: 1", ", $n: Int", {"n": 1}),
        ("after: $c", ", $c: String", {"c": "xx"}),
        ("where: {machine: {eq: $id}}", ", $id: ID", {"id": "UGxhbnQ6MQ=="}),
        ("where: {and: [{and: [{and: [{and: [$w]}]}]}]}", ", $w: WorkOrderOperationWhere!", {"w": {}}),
        ("where: {sequence: {gt: $n}}", ", $n: Int", {"n": None}),
        ("where: {machineType: {eq: $t}}", ", $t: String", {"t": "a\0b"}),
        ("where: {machineType: {in: $t}}", ", $t: [String!]", {"t": ["a", "\0"]}),
        ("after: $c", ", $c: String", {"c": "FORGED"}),
    ],
)
async def test_what_does_not_fit_undoes_and_repeats_nothing(
    shop: Shop, house: House, operation: str, arguments: str, variables: str, given: dict[str, Any]
) -> None:
    """The loaders, who know how to say it, post it once."""
    at = await place(house, shop)
    fingerprint, *_ = json.loads(base64.urlsafe_b64decode(at + "=" * (-len(at) % 4)))
    forged = cursor(fingerprint, ["99999999999", "1"])  # of an integer, which does not hold it
    given = {name: forged if value == "FORGED" else value for name, value in given.items()}
    document = recording(STEPS.format(arguments), variables)
    assert await planned(house, shop.actor, document, operation=operation, key="k", **given) == (None, None)
    assert await pieces(house, shop.actor) == []
    with Statements(house.database) as statements:
        answer = await house.ask(shop.actor, document, {"operation": operation, "key": "k", **given})
    assert answer.data == {"recordLog": {"workOrder": None}}
    assert [error.path for error in answer.errors or []] == [["recordLog", "workOrder", "operations"]]
    assert statements.of("insert into app.idempotency_receipts") == 1
    assert await pieces(house, shop.actor) == ["5"]


async def test_a_list_with_conditions_takes_no_statement_more(shop: Shop, house: House, operation: str) -> None:
    def counted(statements: Statements) -> tuple[int, int]:
        return len(statements.seen), statements.of("kept as (insert into app.idempotency_receipts")

    plain = recording("workOrder { number operations { nodes { id } } }")
    asked = recording(
        "workOrder { number operations(first: $n, where: {sequence: {gt: $n}}) { nodes { id } } }", ", $n: Int"
    )
    found = []
    for key, (document, given) in enumerate(((plain, {}), (asked, {"n": 1}))):
        await planned(house, shop.actor, document, operation=operation, key=f"first {key}", **given)
        with Statements(house.database) as statements:
            await planned(house, shop.actor, document, operation=operation, key=f"then {key}", **given)
        found.append(counted(statements))
    assert found[0] == found[1]
    assert found[0][1] == 1


async def test_values_make_no_statements(shop: Shop, house: House, operation: str) -> None:
    document = recording("workOrder { operations(where: {sequence: {gt: $n}}) { nodes { id } } }", ", $n: Int")
    parsed, texts, before = parse(document), set(), len(plans._STATEMENTS)
    prepared = Prepared(house.schema, parsed, parsed.definitions[0])  # type: ignore[arg-type]
    for n in (1, 10, 2_000_000_000):
        context = Context(shop.actor, house.database, NoHub(), NoTokens())
        answered = await prepared.run({"operation": operation, "key": str(n), "n": n}, context)
        assert answered is not None
        texts.add(answered.statement)
    assert len(texts) == 1
    assert len(plans._STATEMENTS) == before + 1
    assert "2000000000" not in texts.pop()

"""What is planned and what is left, how many statements that takes, and which indexes they use."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
from graphql import parse

from api.responses import dumps
from db.actor import Actor, Scope
from db.session import CONTEXT, settings_of
from schema.context import Context
from schema.ids import encode
from schema.node import NODES
from schema.plans import plan as plans
from schema.plans.execute import MOST_PLANS, Prepared
from tests.isolation.conftest import Factory
from tests.plans.asking import Asking
from tests.plans.posting import watched
from tests.support import House, NoHub, NoTokens

ORDERS = """query Orders($first: Int, $number: String) {
  workOrders(first: $first, where: {number: {startsWith: $number}}) {
    pageInfo { hasNextPage endCursor }
    nodes { id number status progress plant { code } project { number }
      operations(first: 4) { totalCount { value } nodes { sequence name machine { code } } } }
  }
}"""


@pytest.fixture
async def logged(factory: Factory) -> AsyncIterator[tuple[House, list[str]]]:
    """The factory over a single connection, and every statement it is sent."""
    single, seen = await watched(factory.house)
    yield House(factory.house.schema, single), seen
    await single.close()


def prepared(house: House, document: str) -> Prepared:
    parsed = parse(document)
    return Prepared(house.schema, parsed, parsed.definitions[0])  # type: ignore[arg-type]


async def planned(house: House, actor: Actor, document: str, variables: dict[str, Any] | None = None) -> Any:
    context = Context(actor, house.database, NoHub(), NoTokens())
    try:
        return await prepared(house, document).run(variables or {}, context)
    finally:
        await context.close()


async def test_an_operation_is_one_statement(logged: tuple[House, list[str]], acme: Actor):
    house, seen = logged
    answered = await planned(house, acme, ORDERS, {"first": 3, "number": "WO-"})
    await asyncio.sleep(0.01)  # the driver tells of a statement a little later
    assert answered.rest is None
    assert len(seen) == 1
    assert seen[0].startswith(CONTEXT)


async def test_what_is_left_is_read_in_the_same_transaction(logged: tuple[House, list[str]], acme: Actor):
    house, seen = logged
    answered = await planned(house, acme, "{ me { organization { id } } plants(first: 1) { nodes { id } } }")
    await asyncio.sleep(0.01)
    assert set(answered.left) == {"me"}
    assert list(answered.data) == ["me", "plants"]
    assert [query.split()[0] for query in seen] == ["begin", "with", "commit"]
    assert "repeatable read read only" in seen[0]


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("{ me { organization { id } } }", "Me.organization is not an attribute"),
        ("{ notifications(first: 1) { nodes { unreadCount } } }", "unreadCount reads for itself"),
        ("{ plants(first: 1) { " + "n" * 64 + ": nodes { id } } }", "longer than names"),
        ("{ plants(first: 1) { nodes { id @skip(if: true) } } }", "nothing is asked"),
        ("{ __typename }", "schema's own"),
    ],
)
async def test_what_is_not_declared_is_left(factory: Factory, acme: Actor, document: str, why: str):
    one = prepared(factory.house, document)
    context = Context(acme, factory.house.database, NoHub(), NoTokens())
    assert await one.run({}, context) is None
    (plan,) = one.plans
    (reason,) = plan.left.values()
    assert why in reason
    assert await factory.house.data(acme, document) is not None


async def test_permissions_that_hold_in_different_plants_are_left(factory: Factory, acme: Actor):
    first, second, *_ = await factory.plants("acme")
    narrow = replace(
        acme,
        permissions={**acme.permissions, "equipment.read": Scope.of_plants([first])},
        readable=frozenset({first, second}),
    )
    document = "{ workOrderOperations(first: 50) { nodes { id plant { code } machine { code } } } }"
    assert await planned(factory.house, narrow, document) is None
    answers = await Asking(factory.house).both(narrow, document)
    assert answers.fast == answers.slow
    assert await planned(factory.house, acme, document) is not None


async def test_the_same_text_for_the_same_shape(factory: Factory, acme: Actor):
    one, statements = prepared(factory.house, ORDERS), list[str]()
    for first, number in ((3, "WO-2026"), (3, "x'; drop table app.work_orders; --"), (4, "WO-")):
        context = Context(acme, factory.house.database, NoHub(), NoTokens())
        statements.append((await one.run({"first": first, "number": number}, context)).statement)  # type: ignore[union-attr]
    assert len(one.plans) == 1
    assert len(set(statements)) == 2, "page sizes are text, values are parameters"
    assert not any("WO-" in text or "drop" in text for text in statements)


async def test_the_planner_does_not_see_where_a_page_begins(factory: Factory, acme: Actor):
    """It would make a plan for each place in the list, which costs as much as reading the page."""
    document = "query($after: String) {{ workOrders(first: 2{}, orderBy: [{{field: NUMBER}}]) {{ {} }} }}"
    first = await planned(factory.house, acme, document.format("", "pageInfo { endCursor } nodes { number }"))
    seen = json.loads(dumps(first.data))["workOrders"]
    cursor, number = seen["pageInfo"]["endCursor"], seen["nodes"][-1]["number"]
    following = document.format(", after: $after", "nodes { number plant { code } }")
    answered = await planned(factory.house, acme, following, {"after": cursor})
    async with factory.house.database.read(acme) as tx:
        values = [*settings_of(acme, acme.read_scope("production.read")), number, "7"]
        (explained,) = await tx.fetchrow(f"explain (verbose, format json) {answered.statement}", values)
    plan = explained if isinstance(explained, str) else json.dumps(explained)
    conditions = [line for node in nodes(json.loads(plan)[0]["Plan"]) if (line := node.get("Index Cond"))]
    assert any("number" in line and "place.v" in line for line in conditions), conditions
    assert not any(number in line for line in conditions), conditions


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


async def test_every_table_is_read_by_an_index_led_by_the_tenant(factory: Factory, acme: Actor):
    answered = await planned(factory.house, acme, ORDERS, {"first": 3, "number": "WO-"})
    async with factory.house.database.read(acme) as tx:
        await tx.fetchrow("select set_config('enable_seqscan', 'off', true)", [])  # the demo's tables are small
        values = [*settings_of(acme, acme.read_scope("production.read")), "WO-"]
        (explained,) = await tx.fetchrow(f"explain (format json) {answered.statement}", values)
    found = json.loads(explained) if isinstance(explained, str) else explained
    scans = [node for node in nodes(found[0]["Plan"]) if "Relation Name" in node]
    assert {node["Relation Name"] for node in scans} >= {
        "work_orders",
        "work_order_operations",
        "plants",
        "projects",
        "machines",
    }
    assert not any(node["Node Type"] == "Seq Scan" for node in scans)
    conditions = [node["Index Cond"] for node in nodes(found[0]["Plan"]) if "Index Name" in node]
    assert len(conditions) >= len(scans)
    assert all(condition.lstrip("(").startswith("organization_id = ") for condition in conditions), conditions


async def test_orders_are_counted_by_status_without_looking_at_them(factory: Factory, acme: Actor):
    """Also by those who see some plants only: what the row policy asks for stands in the index."""
    first, *_ = await factory.plants("acme")
    document = "{ workOrders(where: {status: {eq: RELEASED}}) { totalCount { value } } }"
    for caller in (acme, replace(acme, readable=frozenset({first}))):
        answered = await planned(factory.house, caller, document)
        async with factory.house.database.read(caller) as tx:
            await tx.fetchrow("select set_config('enable_seqscan', 'off', true)", [])
            await tx.fetchrow("select set_config('enable_bitmapscan', 'off', true)", [])
            values = [*settings_of(caller, caller.read_scope("production.read")), "released"]
            (explained,) = await tx.fetchrow(f"explain (format json) {answered.statement}", values)
        found = json.loads(explained) if isinstance(explained, str) else explained
        scans = [(n["Node Type"], n["Index Name"]) for n in nodes(found[0]["Plan"]) if "Relation Name" in n]
        assert scans == [("Index Only Scan", "work_orders_status_idx")]


@pytest.mark.parametrize(
    "alias", ["r", "o", "n", "c", "t", "p", "x", "k", "context", "place", "v7", "select", "__proto"]
)
async def test_no_alias_means_anything_in_the_statement(factory: Factory, acme: Actor, alias: str):
    asking = Asking(factory.house)
    first = await asking.both(acme, "{ workOrders(first: 1) { pageInfo { endCursor } } }")
    after = json.loads(first.fast)["data"]["workOrders"]["pageInfo"]["endCursor"]
    for document in (
        f"{{ workOrders(first: 2) {{ {alias}: nodes {{ number {alias}: plant {{ {alias}: code id }} }} }} }}",
        f"{{ plants(first: 2) {{ edges {{ {alias}: node {{ {alias}: code }} cursor }} totalCount {{ {alias}: value exact }} }} }}",
        f"{{ workOrders(first: 2) {{ nodes {{ quantityOrdered {{ {alias}: value unit }} {alias}: operations(first: 1)"
        f" {{ {alias}: nodes {{ id }} totalCount {{ {alias}: exact }} }} }} }} }}",
        f"query($after: String) {{ {alias}: workOrders(first: 2, after: $after) {{ {alias}: nodes {{ {alias}: number }} }} }}",
    ):
        answers = await asking.both(acme, document, {"after": after})
        assert answers.fast == answers.slow, document
        assert b'"errors"' not in answers.fast


NODE = """query($id: ID!) { node(id: $id) { __typename id ... on WorkOrder { number plant { code } }
  ... on Plant { code workOrders(first: 2) { nodes { number } } } ...named } } fragment named on Node { again: id }"""


async def test_an_object_by_its_id_is_planned_for_the_type_the_id_names(factory: Factory, acme: Actor):
    asking, ids, others = Asking(factory.house), await factory.ids("acme"), await factory.ids("globex")
    asked = [ids["Plant"][0], ids["WorkOrder"][0], ids["Plant"][1], others["Plant"][0], encode("WorkOrder", 2**62)]
    found = []
    for id in asked:
        answers = await asking.both(acme, NODE, {"id": id})
        assert answers.fast == answers.slow, id
        found.append(json.loads(answers.fast)["data"]["node"])
        one = await planned(factory.house, acme, NODE, {"id": id})
        assert one.rest is None
        assert one.left == {}
    assert [node and node["id"] for node in found] == [*asked[:3], None, None]
    assert found[0]["workOrders"]["nodes"]
    written = await planned(factory.house, acme, f'{{ node(id: "{asked[1]}") {{ id ... on Plant {{ code }} }} }}')
    assert json.loads(dumps(written.data)) == {"node": {"id": asked[1]}}


@pytest.mark.parametrize("id", ["%%%", encode("Nothing", 1), encode("Quantity", 1), "5", "", None])
async def test_what_is_no_id_is_told_by_the_loaders(factory: Factory, acme: Actor, id: str | None):
    asking, good = Asking(factory.house), (await factory.ids("acme"))["WorkOrder"][0]
    for given in (good, id, good):  # no plan of a good id answers another
        answers = await asking.both(acme, NODE, {"id": given})
        assert answers.fast == answers.slow
        assert (b'"errors"' in answers.slow) is (given is not good)


async def test_types_the_caller_may_not_read_are_refused_by_id(factory: Factory, acme: Actor):
    id = (await factory.ids("acme"))["Plant"][0]
    permission = NODES["Plant"].__declared__.permission
    blind = replace(acme, permissions={code: scope for code, scope in acme.permissions.items() if code != permission})
    answers = await Asking(factory.house).both(blind, "query($id: ID!) { node(id: $id) { id } }", {"id": id})
    assert answers.fast == answers.slow
    assert b"FORBIDDEN" in answers.slow


async def test_null_decides_nothing(factory: Factory, acme: Actor):
    document = "query($x: Boolean = true) { plants(first: 1) { nodes { id code @skip(if: $x) } } }"
    answers = await Asking(factory.house).both(acme, document, {"x": None})
    assert answers.fast == answers.slow
    assert b'"errors"' in answers.slow


async def test_fragments_that_multiply_are_left(factory: Factory, acme: Actor):
    fields = " ".join(f"o{n}: operations(first: 1) {{ nodes {{ id machine {{ code }} }} }}" for n in range(60))
    document = f"{{ workOrders(first: 1) {{ nodes {{ {fields} }} }} }}"
    assert await planned(factory.house, acme, document) is None
    answers = await Asking(factory.house).both(acme, document)
    assert answers.fast == answers.slow


async def test_plans_that_are_not_asked_for_any_more_are_forgotten_with_their_statements(factory: Factory, acme: Actor):
    flags = [f"f{n}" for n in range(6)]
    document = (
        f"query({' '.join(f'${f}: Boolean!' for f in flags)}) {{ plants(first: 1) {{ nodes {{ id "
        + " ".join(f"{f}: code @include(if: ${f})" for f in flags) + " } } }"
    )  # fmt: skip
    one, before = prepared(factory.house, document), len(plans._STATEMENTS)
    context = Context(acme, factory.house.database, NoHub(), NoTokens())
    for _ in range(2):
        for given in itertools.product((True, False), repeat=len(flags)):
            assert await one.run(dict(zip(flags, given, strict=True)), context) is not None
    await context.close()
    assert len(one.plans) == MOST_PLANS
    assert len(plans._STATEMENTS) - before <= MOST_PLANS

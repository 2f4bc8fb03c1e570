"""`nodes(ids)`: objects of several types by one statement, planned for the types the ids name."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import replace
from typing import Any

import pytest
from graphql import parse, validate

from db.actor import Actor, Scope
from schema.context import Context
from schema.ids import encode
from schema.node import NODES
from schema.plans import plan as plans
from schema.plans.execute import MOST_PLANS
from tests.isolation.conftest import Factory
from tests.plans.asking import Asking
from tests.plans.documents import Writer
from tests.plans.test_equivalence import MANY
from tests.plans.test_plans import planned, prepared
from tests.support import NoHub, NoTokens, Statements

NODES_ASKED = """query($ids: [ID!]!) { nodes(ids: $ids) { __typename id
  ... on WorkOrder { number progress plant { code } operations(first: 2) { nodes { sequence } pageInfo { endCursor } } }
  ... on Plant { code name workOrders(first: 1) { nodes { number status } totalCount { value } } }
  ... on Machine { id code } ...named } } fragment named on Node { again: id }"""


@pytest.fixture
async def mixed(factory: Factory) -> list[str]:
    """Ids of several types, of another tenant, of nothing, and some of them twice."""
    ids, others = await factory.ids("acme"), await factory.ids("globex")
    found = [
        *ids["WorkOrder"],
        *ids["Plant"],
        *ids["Machine"],
        ids["User"][0],
        *others["Plant"][:2],
        others["WorkOrder"][0],
    ]
    found += [encode("WorkOrder", 2**62), encode("Plant", 0), encode("Machine", 2**63 - 1), *found[:4]]
    random.Random(1).shuffle(found)
    return found


async def test_the_same_bytes_in_the_ids_order(factory: Factory, acme: Actor, mixed: list[str]) -> None:
    asking = Asking(factory.house)
    answers = await asking.both(acme, NODES_ASKED, {"ids": mixed})
    assert answers.fast == answers.slow
    assert answers.planned
    found = json.loads(answers.fast)["data"]["nodes"]
    own = {id for ids in (await factory.ids("acme", most=100)).values() for id in ids}
    assert [node and node["id"] for node in found] == [id if id in own else None for id in mixed]
    one = await planned(factory.house, acme, NODES_ASKED, {"ids": mixed})
    assert (one.rest, one.left) == (None, {})


@pytest.mark.parametrize(
    "document",
    [
        'query($a: ID!, $b: ID!) { nodes(ids: [$a, "PLANT", $b, $a]) { id ... on WorkOrder { number } } }',
        'query($a: ID!, $b: ID!) { one: node(id: $b) { id } nodes(ids: [$a, $b]) { __typename id } plants(first: 1) { nodes { id } } }',
        'query($a: ID!, $b: ID!) { x: nodes(ids: [$a]) { id } y: nodes(ids: [$b]) { id ... on Plant { code } } }',
        'query($a: ID! = "PLANT", $b: ID!) { nodes(ids: [$b, $a]) { id } me { __typename } }',
        '{ nodes(ids: ["PLANT"]) { id } }',
        '{ nodes(ids: "PLANT") { id } }',
    ],
)  # fmt: skip
async def test_ids_that_stand_in_the_document(factory: Factory, acme: Actor, document: str) -> None:
    ids, asking = await factory.ids("acme"), Asking(factory.house)
    document = document.replace("PLANT", ids["Plant"][0])
    for a, b in (
        (ids["WorkOrder"][0], ids["Plant"][1]),
        (ids["Plant"][1], ids["User"][0]),
        (ids["User"][0], ids["WorkOrder"][0]),
    ):
        answers = await asking.both(acme, document, {"a": a, "b": b} if "$a" in document else {})
        assert answers.fast == answers.slow
        assert b'"errors"' not in answers.fast
        assert "nodes" not in (await planned(factory.house, acme, document, {"a": a, "b": b})).left


BAD = ["%%%", encode("Nothing", 1), encode("Quantity", 1), "5", "", None, [], ["deeper"], {"id": 1}, 7]


@pytest.mark.parametrize("bad", BAD)
async def test_what_is_no_id_is_told_by_the_loaders(factory: Factory, acme: Actor, bad: Any) -> None:
    asking, good = Asking(factory.house), (await factory.ids("acme"))["WorkOrder"][:2]
    for given in (good, [*good, bad], good):  # no plan of good ids answers others
        answers = await asking.both(acme, NODES_ASKED, {"ids": given})
        assert answers.fast == answers.slow
        assert (b'"errors"' in answers.slow) is (given is not good)


async def test_lists_of_other_lengths(factory: Factory, acme: Actor) -> None:
    asking, good = Asking(factory.house), (await factory.ids("acme"))["WorkOrder"][:2]
    for given, fits in ((good * 50, True), (good * 51, False), ([], True), (None, False), (good[0], True)):
        answers = await asking.both(acme, NODES_ASKED, {"ids": given})
        assert answers.fast == answers.slow
        assert (b'"errors"' not in answers.slow) is fits


async def test_types_the_caller_may_not_read_are_refused(factory: Factory, acme: Actor) -> None:
    ids = await factory.ids("acme")
    permission = NODES["Plant"].__declared__.permission
    blind = replace(acme, permissions={code: scope for code, scope in acme.permissions.items() if code != permission})
    document = "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    answers = await Asking(factory.house).both(blind, document, {"ids": [ids["WorkOrder"][0], ids["Plant"][0]]})
    assert answers.fast == answers.slow
    assert b"FORBIDDEN" in answers.slow
    assert b"FORBIDDEN" not in (await Asking(factory.house).both(blind, document, {"ids": ids["WorkOrder"]})).fast


async def test_permissions_that_hold_in_other_plants(factory: Factory, acme: Actor, mixed: list[str]) -> None:
    first, second, *_ = await factory.plants("acme")
    narrow = replace(
        acme,
        permissions={**acme.permissions, "equipment.read": Scope.of_plants([first])},
        readable=frozenset({first, second}),
    )
    ids = await factory.ids("acme", most=50)
    for given in (mixed, ids["Machine"] + ids["WorkOrder"], ids["Machine"]):
        for caller in (narrow, factory.within(acme, [second])):
            answers = await Asking(factory.house).both(
                caller, NODES_ASKED.replace("... on Machine { id code }", ""), {"ids": given}
            )
            assert answers.fast == answers.slow
            assert b"null" in answers.fast


async def test_one_statement_whatever_ids_of_the_same_types(factory: Factory, acme: Actor) -> None:
    ids, one = await factory.ids("acme"), prepared(factory.house, NODES_ASKED)
    asked = [
        ids["Plant"] + ids["WorkOrder"],
        ids["WorkOrder"][:1] + ids["Plant"][:1],
        [*ids["Plant"], *ids["WorkOrder"]] * 12,
    ]
    texts = set()
    for given in asked:
        context = Context(acme, factory.house.database, NoHub(), NoTokens())
        with Statements(factory.house.database) as statements:
            answered = await one.run({"ids": given}, context)
            await asyncio.sleep(0.01)  # the driver tells of a statement a little later
        await context.close()
        assert answered is not None
        texts.add(answered.statement)
        assert len(statements.seen) == 1
    assert len(one.plans) == len(texts) == 1


async def test_sets_of_types_are_forgotten(factory: Factory, acme: Actor) -> None:
    ids = {name: found[0] for name, found in (await factory.ids("acme")).items() if found}
    one, before = prepared(factory.house, "query($ids: [ID!]!) { nodes(ids: $ids) { id } }"), len(plans._STATEMENTS)
    sets = [[ids[name], ids[other]] for name in list(ids)[:9] for other in list(ids)[:9]]
    for given in sets:
        context = Context(acme, factory.house.database, NoHub(), NoTokens())
        await one.run({"ids": given}, context)
        await context.close()
    assert len(one.plans) == MOST_PLANS
    assert len(plans._STATEMENTS) - before <= MOST_PLANS


async def test_every_type_is_found_by_its_key(factory: Factory, acme: Actor) -> None:
    """All of them at once, by what every one has."""
    ids = await factory.ids("acme")
    given = [found[0] for found in ids.values() if found]
    answers = await Asking(factory.house).both(
        acme, "query($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }", {"ids": given}
    )
    assert answers.fast == answers.slow
    assert answers.planned
    assert len(given) > 20


@pytest.mark.parametrize("everywhere", [True, False])
async def test_random_selections(factory: Factory, acme: Actor, everywhere: bool) -> None:
    caller = acme if everywhere else factory.within(acme, (await factory.plants("acme"))[:1])
    ids, asking, planned = await factory.ids("acme", most=12), Asking(factory.house), 0
    schema = factory.house.schema._schema
    for seed in range(MANY // 8):
        document = Writer(schema, ids, random.Random(f"nodes:{seed}")).document(["nodes"])
        if validate(schema, parse(document.text)):
            continue
        answers = await asking.both(caller, document.text, document.variables)
        assert answers.fast == answers.slow, (seed, document)
        planned += answers.planned
    assert planned > MANY // 16

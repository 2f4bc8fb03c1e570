"""Root fields with functions of their own: answered without the library's executor, and the same."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from graphql import GraphQLNonNull, GraphQLSchema, parse, print_ast, validate

from db.actor import Actor
from schema.context import Context
from schema.plans.execute import Prepared
from tests.isolation.conftest import Factory
from tests.plans.asking import Asking
from tests.plans.documents import Writer
from tests.plans.posting import watched
from tests.plans.test_equivalence import MANY
from tests.support import House, NoHub, NoTokens

COUNTS = "{ workOrderStatusCounts { status count } }"


def functions(schema: GraphQLSchema) -> list[str]:
    """Root fields that are no lists and no look-ups, and need not be told anything."""
    assert schema.query_type is not None
    return [
        name
        for name, field in schema.query_type.fields.items()
        if "last" not in field.args and not any(isinstance(one.type, GraphQLNonNull) for one in field.args.values())
    ]


def prepared(house: House, document: str) -> Prepared:
    parsed = parse(document)
    return Prepared(house.schema, parsed, parsed.definitions[0])  # type: ignore[arg-type]


async def answered(one: Prepared, house: House, actor: Actor, **given: Any) -> Any:
    context = Context(actor, house.database, NoHub(), NoTokens(), cache=house.cache)
    try:
        return await one.run(given, context)
    finally:
        await context.close()


@pytest.mark.parametrize("who", ["acme", "globex", "one plant"])
async def test_the_same_bytes(factory: Factory, who: str) -> None:
    code = "globex" if who == "globex" else "acme"
    actor, ids = await factory.actor(code), await factory.ids(code)
    if who == "one plant":
        actor = factory.within(actor, (await factory.plants(code))[:1])
    asking, counted, schema = Asking(factory.house), Counter[str](), factory.house.schema._schema
    for seed in range(MANY // 7):
        rng = random.Random(f"{who}:{seed}")
        roots = [rng.choice(functions(schema)) for _ in range(rng.choice([1, 2, 3]))]
        document = Writer(schema, ids, rng).document([*roots, *rng.choice([[], [], ["plants"]])])
        if validate(schema, parse(document.text)):
            continue
        answers = await asking.both(actor, document.text, document.variables)
        assert answers.fast == answers.slow, (seed, print_ast(parse(document.text)), document.variables)
        counted["planned" if answers.planned else "left"] += 1
        counted["refused"] += b'"errors"' in answers.slow
    assert counted["planned"] > 15, counted
    assert {"settings", "workOrderStatusCounts", "notificationUnreadCount"} <= set(functions(schema))


async def test_everything_is_read_in_one_transaction(factory: Factory, acme: Actor) -> None:
    single, seen = await watched(factory.house)
    house = House(factory.house.schema, single)
    try:
        document = "{ counts: workOrderStatusCounts { count } plants(first: 1) { nodes { id } } unread: notificationUnreadCount }"
        found = await answered(prepared(house, document), house, acme)
        await asyncio.sleep(0.01)  # the driver tells of a statement a little later
    finally:
        await single.close()
    assert found.rest is None
    assert list(found.data) == ["counts", "plants", "unread"]
    assert [query.split()[0].lower() for query in seen] == ["begin", "with", "select", "select", "commit"]


async def test_a_lone_function_needs_no_executor(
    factory: Factory, acme: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = Asking(factory.house)
    slow = await asking.answer(acme, COUNTS, {}, plans=False)
    monkeypatch.setattr("api.graphql.execute", None)
    assert await asking.answer(acme, COUNTS, {}, plans=True) == slow


async def test_what_a_function_refuses_is_told_at_its_field(factory: Factory, acme: Actor) -> None:
    document = """query($id: ID!, $from: DateTime!, $to: DateTime!) {
      wrong: machineUtilization(by: {machine: $id}, from: $from, to: $to) { total { ratio } }
      right: machineUtilization(by: {machine: $id}, from: $to, to: $from)
        { __typename start: from total { ratio } machines { __typename } }
      settings(prefix: "sap.") { key version }
    }"""
    machine = (await factory.ids("acme"))["Machine"][0]
    given = {"id": machine, "from": "2026-02-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}
    answers = await Asking(factory.house).both(acme, document, given)
    assert answers.fast == answers.slow
    assert answers.planned
    assert answers.fast.startswith(b'{"data":{"wrong":null,"right":{"__typename":"')
    assert b'"path":["wrong"]' in answers.fast
    assert b'"path":["right"]' not in answers.fast


async def test_a_field_with_a_function_of_its_own_is_left(factory: Factory, acme: Actor) -> None:
    document = "{ me { allPlants user { fullName } } unread: notificationUnreadCount }"
    found = await answered(prepared(factory.house, document), factory.house, acme)
    assert found.left == {"me": "Me.user is not an attribute"}
    assert list(found.data) == ["me", "unread"]
    answers = await Asking(factory.house).both(acme, document)
    assert answers.fast == answers.slow


async def test_a_function_that_asks_for_more_than_the_context_is_left(factory: Factory, acme: Actor) -> None:
    async def curious(info: Any, plant_id: Any = None) -> Any:
        return info.path

    one = prepared(factory.house, COUNTS)
    (call,) = (await _plan(one, factory.house, acme)).calls
    call.run = curious
    assert await answered(one, factory.house, acme) is None


@pytest.mark.parametrize("value", [None, "no status"])
async def test_a_value_that_does_not_fit_is_left(factory: Factory, acme: Actor, value: Any) -> None:
    async def wrong(info: Any, plant_id: Any = None) -> Any:
        return [SimpleNamespace(status=value, count=1)]

    one = prepared(factory.house, COUNTS)
    (call,) = (await _plan(one, factory.house, acme)).calls
    call.run = wrong
    assert await answered(one, factory.house, acme) is None


async def _plan(one: Prepared, house: House, actor: Actor) -> Any:
    assert await answered(one, house, actor) is not None
    (plan,) = one.plans
    return plan

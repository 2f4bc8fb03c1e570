"""Root fields with functions of their own: answered without the library's executor, and the same."""

from __future__ import annotations

import asyncio
import random
import re
from collections import Counter
from enum import Enum
from types import SimpleNamespace
from typing import Any

import pytest
from graphql import GraphQLNonNull, GraphQLSchema, parse, print_ast, validate

from db.actor import Actor
from modules.production.orders.rules import WorkOrderStatus
from schema.context import Context
from schema.plans.execute import KEY_CHARACTERS, Prepared
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


async def test_errors_stand_in_the_order_of_the_document(factory: Factory, acme: Actor) -> None:
    document = """{ late: recordAsOf(id: "junk", at: "2026-01-01T00:00:00Z") { entry { plant { id } } }
      changes(topics: ["Nope"]) { hasMore } sessions(userId: "junk") { id } }"""
    answers = await Asking(factory.house).both(acme, document)
    assert answers.fast == answers.slow
    assert re.findall(rb'"path":\["(\w+)"\]', answers.fast) == [b"late", b"changes", b"sessions"]


@pytest.mark.parametrize(
    "document",
    [
        "{ settings { key value { text } } settings { version value { integer } } }",
        '{ sessions(userId: "junk") { id } sessions(userId: "junk") { device } }',
        "{ settings { key } plants(first: 9999) { nodes { id } } }",
        'query($from: DateTime = "2026-01-01T00:00:00Z", $id: ID = "x") { settings { key }'
        ' machineUtilization(by: {machine: $id}, from: $from, to: "2026-02-01T00:00:00Z") { __typename } }',
    ],
    ids=["asked twice", "fails at two places", "a page that is wrong", "null where none may be"],
)
async def test_the_same_is_said_of(factory: Factory, acme: Actor, document: str) -> None:
    answers = await Asking(factory.house).both(acme, document, {"from": None} if "$from" in document else {})
    assert answers.fast == answers.slow


async def test_links_of_files_are_signed_by_plan(factory: Factory, acme: Actor) -> None:
    found = await answered(
        prepared(factory.house, "{ files { nodes { filename download { url } } } }"), factory.house, acme
    )
    assert found.left == {}
    assert found.data["files"]["nodes"][0]["download"] is None, "this house has no storage"


async def test_a_field_with_a_function_of_its_own_is_left(factory: Factory, acme: Actor) -> None:
    document = "{ me { allPlants user { fullName } } unread: notificationUnreadCount }"
    found = await answered(prepared(factory.house, document), factory.house, acme)
    assert found.left == {"me": "Me.user is not an attribute"}
    assert list(found.data) == ["me", "unread"]
    answers = await Asking(factory.house).both(acme, document)
    assert answers.fast == answers.slow


async def test_a_document_may_ask_for_more_keys_than_a_plan_holds(factory: Factory, acme: Actor) -> None:
    several = [
        " ".join(f"{name}{n}: {field}" for n in range(10))
        for name, field in (("a", "statuses { ...S }"), ("b", "time { ...T }"))
    ]
    document = f"""query($plant: ID!, $at: DateTime!) {{ machineUtilization(by: {{plant: $plant}}, from: $at, to: $at) {{
      {" ".join(f"c{n}: machines {{ ...M }}" for n in range(10))} }} }}
      fragment M on MachineTime {{ {several[1]} }} fragment T on TimeInStatus {{ {several[0]} }}
      fragment S on StatusTime {{ status seconds }}"""
    one = prepared(factory.house, document)
    variables = one._declared.values({"plant": "UGxhbnQ6MQ==", "at": "2026-01-01T00:00:00Z"})
    assert one.plan(variables).left == {"machineUtilization": "more keys than one plan should hold"}  # type: ignore[arg-type]


async def test_a_plan_weighs_by_its_keys(factory: Factory, acme: Actor) -> None:
    few, many = (
        prepared(factory.house, COUNTS),
        prepared(factory.house, COUNTS.replace("count", "count a: count b: count")),
    )
    for one in (few, many):
        await answered(one, factory.house, acme)
    assert many.weight - few.weight == 2 * KEY_CHARACTERS


# --- functions that do not fit ----------------------------------------------------------------------------------------


async def test_a_function_that_asks_for_more_than_the_context_is_left(factory: Factory, acme: Actor) -> None:
    asked = 0

    async def curious(info: Any, plant_id: Any = None) -> Any:
        nonlocal asked
        asked += 1
        try:
            return [SimpleNamespace(status=info.path, count=1)]
        except Exception:
            return []

    one = prepared(factory.house, COUNTS)
    (call,) = (await _plan(one, factory.house, acme)).calls
    call.run = curious
    assert await answered(one, factory.house, acme) is None
    assert await answered(one, factory.house, acme) is None
    assert asked == 1, "the plan knows by then"


class Other(Enum):
    RELEASED = "released"


def _counts(**given: Any) -> list[Any]:
    return [SimpleNamespace(**{"status": WorkOrderStatus.PLANNED, "count": 1, **given})]


@pytest.mark.parametrize(
    "value",
    [
        _counts(status=None), _counts(status="no status"), _counts(status=Other.RELEASED), _counts(count="many"),
        _counts(count=ValueError("a text")), [ValueError("a text")], ValueError("a text"), "a text", {"a": 1},
    ],
    ids=repr,
)  # fmt: skip
async def test_a_value_that_does_not_fit_is_left(factory: Factory, acme: Actor, value: Any) -> None:
    async def wrong(info: Any, plant_id: Any = None) -> Any:
        return value

    one = prepared(factory.house, COUNTS)
    (call,) = (await _plan(one, factory.house, acme)).calls
    call.run = wrong
    assert await answered(one, factory.house, acme) is None


async def test_an_object_of_another_type_is_left(factory: Factory, acme: Actor) -> None:
    async def wrong(info: Any) -> Any:
        return 5

    one = prepared(factory.house, "{ organization { __typename } }")
    (call,) = (await _plan(one, factory.house, acme)).calls
    call.run = wrong
    assert await answered(one, factory.house, acme) is None


async def test_functions_run_at_once(factory: Factory, acme: Actor) -> None:
    """Some wait for what others compute, as the cache does."""
    met = asyncio.Barrier(2)

    async def waiting(info: Any, plant_id: Any = None) -> Any:
        async with asyncio.timeout(5), met:
            return _counts()

    one = prepared(factory.house, "{ a: workOrderStatusCounts { count } b: workOrderStatusCounts { count } }")
    for call in (await _plan(one, factory.house, acme)).calls:
        call.run = waiting
    assert (await answered(one, factory.house, acme)).data == {"a": [{"count": 1}], "b": [{"count": 1}]}


async def _plan(one: Prepared, house: House, actor: Actor) -> Any:
    assert await answered(one, house, actor) is not None
    (plan,) = one.plans
    return plan

"""A second tenant, and a user without the plant, see nothing and change nothing by any field of the schema."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from graphql import GraphQLObjectType

from db.actor import Actor
from schema.build import build
from schema.ids import encode
from schema.node import NODES
from tests.isolation.conftest import Factory
from tests.isolation.sweep import arguments, fields_with_ids, found_ids, selection

CORE = build()._schema
QUERY, MUTATION = CORE.query_type, CORE.mutation_type
assert QUERY is not None
assert MUTATION is not None
LISTS = [n for n, f in QUERY.fields.items() if str(f.type).rstrip("!").endswith("Connection")]
TYPES = sorted(NODES.keys() & CORE.type_map.keys())


DIVIDED = {"Machine", "WorkOrder", "WorkOrderOperation", "ProductionLog"}
"""Types whose rows belong to departments."""


async def ask(factory: Factory, actor: Actor, document: str, variables: dict[str, Any] | None = None) -> Any:
    return await factory.house.ask(actor, document, variables)


async def assert_own(
    factory: Factory, answer: Any, org: int, plants: set[int] | None = None, department: int | None = None
) -> None:
    """Every id in an answer is of the organization, of the plants where its row has one, and of the department where
    its table is divided by it."""
    keys: dict[str, set[int]] = defaultdict(set)
    for type_name, key in found_ids(answer):
        keys[type_name].add(key)
    for type_name, wanted in keys.items():
        rows = await factory.rows(type_name, wanted)
        assert rows.keys() == wanted, type_name
        for key, row in rows.items():
            assert row["organization_id"] == org, (type_name, key)
            if department is not None and NODES[type_name].__declared__.personal:
                continue  # theirs by person, in every plant they may enter
            plant = key if type_name == "Plant" else row.get("plant_id")
            assert plants is None or plant is None or plant in plants, (type_name, key, plant)
            if department is not None and type_name in DIVIDED:
                assert row["department_id"] == department, (type_name, key)


def everything(type_name: str) -> str:
    type_ = CORE.type_map[type_name]
    assert isinstance(type_, GraphQLObjectType)
    return f"query($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on {type_name} {selection(type_, 1)} }} }}"


@pytest.mark.parametrize("name", LISTS)
async def test_a_list_holds_ones_own_rows_only(factory: Factory, name: str):
    document = f"{{ {name}(first: 200) {{ nodes {selection(QUERY.fields[name].type.fields['nodes'].type, 1)} totalCount {{ value }} }} }}"
    for code in ("acme", "globex"):
        actor = await factory.actor(code)
        result = await ask(factory, actor, document)
        assert not result.errors, result.errors
        await assert_own(factory, result.data, actor.organization_id)


@pytest.mark.parametrize("name", LISTS)
async def test_a_list_holds_rows_of_ones_plants_only(factory: Factory, name: str):
    document = f"{{ {name}(first: 200) {{ nodes {selection(QUERY.fields[name].type.fields['nodes'].type, 1)} totalCount {{ value }} }} }}"
    actor, plants = await factory.actor("acme"), await factory.plants("acme")
    result = await ask(factory, factory.within(actor, plants[1:2]), document)
    assert not result.errors, result.errors
    await assert_own(factory, result.data, actor.organization_id, {plants[1]})


@pytest.mark.parametrize("name", LISTS)
async def test_a_list_holds_rows_of_ones_department_only(factory: Factory, name: str):
    nodes = QUERY.fields[name].type.fields["nodes"].type
    actor, plants = await factory.actor("acme"), await factory.plants("acme")
    department = await factory.admin.fetchval("select min(id) from app.departments where plant_id = $1", plants[0])
    result = await ask(
        factory,
        factory.in_department(actor, plants[0], department),
        f"{{ {name}(first: 200) {{ nodes {selection(nodes, 1)} }} }}",
    )
    assert not result.errors, result.errors
    if name == "workOrders":
        assert result.data[name]["nodes"], "a department without orders shows nothing"
    await assert_own(factory, result.data, actor.organization_id, {plants[0]}, department)


@pytest.mark.parametrize("type_name", TYPES)
async def test_every_field_of_an_object_stays_in_the_organization(factory: Factory, type_name: str):
    ids = (await factory.ids("acme"))[type_name]
    actor = await factory.actor("acme")
    result = await ask(factory, actor, everything(type_name), {"ids": ids})
    assert not result.errors, result.errors
    assert len([n for n in result.data["nodes"] if n]) == len(ids)
    await assert_own(factory, result.data, actor.organization_id)


@pytest.mark.parametrize("type_name", TYPES)
async def test_another_organizations_object_does_not_exist(factory: Factory, type_name: str):
    ids = (await factory.ids("acme"))[type_name]
    result = await ask(factory, await factory.actor("globex"), everything(type_name), {"ids": ids})
    assert not result.errors, result.errors
    assert result.data["nodes"] == [None] * len(ids)


@pytest.mark.parametrize("type_name", TYPES)
async def test_an_object_of_another_plant_does_not_exist(factory: Factory, type_name: str):
    plants = await factory.plants("acme")
    theirs = (await factory.ids("acme", plant=plants[0])).get(type_name, [])
    actor = factory.within(await factory.actor("acme"), plants[1:2])
    result = await ask(factory, actor, everything(type_name), {"ids": theirs})
    assert not result.errors, result.errors
    assert result.data["nodes"] == [None] * len(theirs)


async def _codes(factory: Factory, actor: Actor, document: str, variables: dict[str, Any]) -> Any:
    """An answer without what depends on the ids themselves."""
    result = await ask(factory, actor, document, variables)
    codes = [getattr(e.original_error, "code", str(e.original_error)) for e in result.errors or []]
    return result.data, codes


@pytest.mark.parametrize("name", fields_with_ids(QUERY))
async def test_a_query_answers_a_foreign_id_like_an_unknown_one(factory: Factory, name: str):
    foreign = await factory.ids("acme")
    unknown = {t: [encode(t, 10**15 + n) for n in range(4)] for t in foreign}
    field, actor = QUERY.fields[name], await factory.actor("globex")
    for seed in range(3):
        answers = []
        for ids in (foreign, unknown):
            variables = arguments(name, _as_input(field), ids, seed=seed)
            declared = ", ".join(f"${a}: {field.args[a].type}" for a in variables)
            given = ", ".join(f"{a}: ${a}" for a in variables)
            document = f"query({declared}) {{ {name}({given}) {selection(field.type, 1)} }}"
            answers.append(await _codes(factory, actor, document, variables))
        assert answers[0] == answers[1]


class _as_input:
    """A field's arguments, seen as the fields of an input."""

    is_one_of = False

    def __init__(self, field: Any) -> None:
        self.fields = {
            n: a for n, a in field.args.items() if n not in ("where", "orderBy", "first", "after", "last", "before")
        }


async def _mutate(factory: Factory, actor: Actor, name: str, ids: dict[str, list[str]], seed: int) -> Any:
    field = MUTATION.fields[name]
    variables = arguments(name, _as_input(field), ids, seed=seed)
    declared = ", ".join(f"${a}: {field.args[a].type}" for a in variables)
    given = ", ".join(f"{a}: ${a}" for a in variables)
    document = f"mutation({declared}) {{ {name}({given}) {selection(field.type, 1)} }}"
    return await ask(factory, actor, document, variables)


PUBLIC_MUTATIONS = {
    n for n, f in MUTATION.fields.items() if f.extensions["strawberry-definition"].metadata["permission"] == ""
}


@pytest.mark.parametrize("name", sorted(set(fields_with_ids(MUTATION)) - PUBLIC_MUTATIONS))
async def test_a_mutation_with_foreign_ids_changes_nothing(factory: Factory, name: str):
    actor, victim = await factory.actor("globex"), await factory.organization("acme")
    foreign, before = await factory.ids("acme"), await factory.fingerprint(victim)
    for seed in range(3):
        result = await _mutate(factory, actor, name, foreign, seed)
        await assert_own(factory, result.data, actor.organization_id)
        for error in result.errors or []:
            assert getattr(error.original_error, "code", None) in ("BAD_USER_INPUT", "FORBIDDEN"), error.original_error
    assert await factory.fingerprint(victim) == before


@pytest.mark.parametrize("name", sorted(set(fields_with_ids(MUTATION)) - PUBLIC_MUTATIONS))
async def test_a_mutation_with_ids_of_another_plant_changes_nothing_there(factory: Factory, name: str):
    plants = await factory.plants("acme")
    actor = factory.within(await factory.actor("acme"), plants[1:2])
    theirs = await factory.ids("acme", plant=plants[0])
    before = await _of_plant(factory, plants[0])
    for seed in range(2):
        await _mutate(factory, actor, name, theirs, seed)
    assert await _of_plant(factory, plants[0]) == before


async def _of_plant(factory: Factory, plant: int) -> dict[str, str]:
    tables = await factory.admin.fetch(
        """select c.oid::regclass::text as name from pg_class c join pg_attribute a on a.attrelid = c.oid
           where c.relnamespace::regnamespace::text in ('app', 'tsdata') and c.relkind in ('r', 'p') and not c.relispartition
             and a.attname = 'plant_id' and c.relname not in ('role_grants', 'user_plant_access', 'app_keys', 'audit_logs') order by 1"""
    )
    return {
        t["name"]: await factory.admin.fetchval(
            f"select count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)), 0) from {t['name']} t where plant_id = $1",
            plant,
        )
        for t in tables
    }


def test_the_sweep_covers_the_schema():
    """A sweep over nothing would pass."""
    assert len(LISTS) >= 10
    assert len(TYPES) >= 12
    assert len(fields_with_ids(MUTATION)) >= 25

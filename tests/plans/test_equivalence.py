"""Both executors answer the same, byte for byte: random documents, two organizations, users of one plant or department.

EQUIVALENCE=5000 asks that many.
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter

import pytest
from graphql import GraphQLSchema, parse, print_ast, validate

from schema.node import NODES
from tests.isolation.conftest import Factory
from tests.plans.asking import Asking
from tests.plans.documents import Writer

MANY = int(os.environ.get("EQUIVALENCE", "400"))


def roots(schema: GraphQLSchema) -> list[str]:
    """Look-ups, lists, `node` and `nodes`: what plans are made for."""
    assert schema.query_type is not None
    return [
        name
        for name, field in schema.query_type.fields.items()
        if name in ("node", "nodes") or {"by", "last"} & set(field.args)
    ]


@pytest.mark.parametrize("who", ["acme", "globex", "one plant", "one department"])
async def test_the_same_bytes(factory: Factory, who: str) -> None:
    code = "globex" if who == "globex" else "acme"
    actor, ids, plants = await factory.actor(code), await factory.ids(code), await factory.plants(code)
    if who == "one plant":
        actor = factory.within(actor, plants[:1])
    elif who == "one department":
        department = await factory.admin.fetchval("select min(id) from app.departments where plant_id = $1", plants[0])
        actor = factory.in_department(factory.within(actor, plants[:1]), plants[0], department)
    asking, counted = Asking(factory.house), Counter[str]()
    schema = factory.house.schema._schema
    for seed in range(MANY // 4):
        rng = random.Random(f"{who}:{seed}")
        document = Writer(schema, ids, rng).document(rng.sample(roots(schema), rng.choice([1, 1, 1, 2])))
        if validate(schema, parse(document.text)):
            counted["invalid"] += 1  # two fields of one name that differ; a fragment nobody spreads
            continue
        answers = await asking.both(actor, document.text, document.variables)
        assert answers.fast == answers.slow, (seed, print_ast(parse(document.text)), document.variables)
        counted["planned" if answers.planned else "left"] += 1
        counted["refused"] += b'"errors"' in answers.slow
    sys.stdout.write(f"{who}: {dict(counted)}\n")
    assert counted["planned"] > 10 * counted["left"], counted
    assert counted["planned"] > MANY // 4 // 2, counted
    assert len(NODES) > 10

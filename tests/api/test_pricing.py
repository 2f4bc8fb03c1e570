"""Prices: frozen, and the same for a client who has the SDL alone."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from graphql import GraphQLSchema, parse

from api.documents import Documents, named
from api.limits import Limits
from api.pricing import MOST, Pricing, _Made
from schema.build import build
from tests.api.hostile import below_sizes
from tests.api.offline import Client, schema

GOLDEN: list[dict[str, Any]] = json.loads((Path(__file__).parent / "prices.json").read_text(encoding="utf-8"))
EXAMPLES = Path(__file__).parents[2] / "client-examples" / "operations"


@pytest.fixture(scope="module")
def documents() -> Documents:
    return Documents(build(), Limits(), suggestions=False)


@pytest.fixture(scope="module")
def offline() -> GraphQLSchema:
    return schema()


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden["why"])
def test_the_formula_is_frozen(documents: Documents, offline: GraphQLSchema, golden: dict[str, Any]) -> None:
    """A change here is a change of what every client pays: it goes into the changelog as one."""
    variables = golden.get("variables", {})
    operation = named(documents.known(golden["document"]) or documents.read(golden["document"]), None)
    assert operation.price(variables) == golden["price"]
    client = Client(offline, parse(golden["document"]), variables)
    assert client.price(client.operations[0]) == golden["price"]


def test_clients_compute_the_same_for_every_example(documents: Documents, offline: GraphQLSchema) -> None:
    source = "\n".join(file.read_text(encoding="utf-8") for file in sorted(EXAMPLES.glob("*.graphql")))
    parsed = parse(source)
    operations = Documents(build(), Limits(tokens=100_000, aliases=1_000), suggestions=False).read(source)
    for variables in ({}, {"first": 7}, {"first": 200, "last": None}, {"first": 0}):
        client = Client(offline, parsed, variables)
        theirs = {node.name.value: client.price(node) for node in client.operations if node.name}
        assert theirs == {name: operation.price(variables) for name, operation in operations.items()}
        assert len(set(theirs.values())) > 5


def test_fragments_that_double_are_priced_once_each() -> None:
    levels = 60
    spread = "\n".join(
        f"fragment F{n} on WorkOrder {{ plant {{ workOrders(first: $n) {{ nodes {{ ...F{n + 1} ...F{n + 1} }} }} }} }}"
        for n in range(levels)
    )
    source = f"query A($n: Int) {{ workOrders(first: $n) {{ nodes {{ ...F0 }} }} }} {spread} fragment F{levels} on WorkOrder {{ id }}"
    parsed = parse(source)
    fragments = {d.name.value: d for d in parsed.definitions[1:]}  # type: ignore[attr-defined]
    price = Pricing(build()._schema).price(parsed.definitions[0], fragments)  # type: ignore[arg-type]
    assert price({"n": 50}) == MOST
    assert price({"n": 0}) == 2


def test_fragments_below_sizes_in_variables_are_priced_once_for_each_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A size in a variable is a function of the variables, which must not make each place of a fragment another one."""
    looked = Counter[str]()
    field = _Made._field
    monkeypatch.setattr(
        _Made,
        "_field",
        lambda self, parent, node, sizes: (looked.update(["fields"]), field(self, parent, node, sizes))[1],
    )
    parsed = parse(below_sizes(levels=5, times=18))
    fragments = {d.name.value: d for d in parsed.definitions[1:]}  # type: ignore[attr-defined]
    price = Pricing(build()._schema).price(parsed.definitions[0], fragments)  # type: ignore[arg-type]
    assert looked["fields"] < 200, "as many as stand in the text, not 18 to the fifth power of them"
    assert price({"n": 0}) == 2
    assert price({"n": 1}) > 18**5
    assert price({"n": 50}) == MOST


def test_what_cannot_be_a_size_is_left_to_the_executor(documents: Documents) -> None:
    operation = named(documents.read("query A($n: Int) { workOrders(first: $n) { nodes { id } } }"), None)
    usual = operation.price({})
    for odd in (None, "many", True, {}, 2**40, 1e300, -(2**40)):
        assert operation.price({"n": odd}) == usual
    assert operation.price({"n": -5}) == operation.price({"n": 0}) == usual - 50
    assert operation.price({"n": 5.0}) == operation.price({"n": 5}) == usual - 45

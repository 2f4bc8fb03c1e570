"""Documents made from the schema itself, so that later fields are swept without being named here."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import graphql
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    get_named_type,
)

from schema.ids import decode, encode
from schema.node import NODES

VALUES: dict[str, Any] = {
    "String": "sweep", "Int": 1, "Boolean": True, "Decimal": "1", "Date": "2026-01-31", "DateTime": "2026-01-31T08:00:00Z",
    "BigInt": "1", "JSON": {}, "Float": 1.0,
}  # fmt: skip


def selection(type_: Any, depth: int = 2) -> str:
    """Every field of a type; objects down to their ids."""
    type_ = get_named_type(type_)
    if graphql.is_leaf_type(type_):
        return ""
    parts = ["__typename"]
    if isinstance(type_, GraphQLInterfaceType | graphql.GraphQLUnionType):
        return "{ __typename }" if "id" not in getattr(type_, "fields", {}) else "{ __typename id }"
    for name, field in type_.fields.items():
        inner = get_named_type(field.type)
        if any(isinstance(a.type, GraphQLNonNull) for a in field.args.values()):
            continue
        if graphql.is_leaf_type(inner):
            parts.append(name)
        elif inner.name.endswith("Connection"):
            if depth > 0:
                nodes = selection(inner.fields["nodes"].type, depth - 1)
                parts.append(f"{name}(first: 5) {{ nodes {nodes} totalCount {{ value }} }}")
        elif depth > 0:
            parts.append(f"{name} {selection(inner, depth - 1)}")
        elif inner.name in NODES:
            parts.append(f"{name} {{ id }}")
    return "{ " + " ".join(parts) + " }"


def type_of_id(path: str, field: str) -> list[str]:
    """Types an ID argument can mean: by its own name, else by the root field's; at worst every type."""
    stem = field.removesuffix("Ids").removesuffix("Id")
    named = [t for t in NODES if t.lower() == stem.lower()] or [
        t for t in NODES if t.lower().endswith(stem.lower()) and stem != "id"
    ]
    if not named:
        named = sorted((t for t in NODES if path.lower().startswith(t.lower())), key=len, reverse=True)[:1]
    return named or list(NODES)


def arguments(
    path: str, input_type: GraphQLInputObjectType, ids: dict[str, list[str]], *, seed: int = 0
) -> dict[str, Any]:
    """A filled-in input: ids from the given ones, plain values elsewhere."""
    made: dict[str, Any] = {}
    for n, (name, field) in enumerate(input_type.fields.items()):
        value = _value(path, name, field.type, ids, seed + n)
        if value is not None:
            made[name] = value
    declared = getattr(input_type, "extensions", {}).get("strawberry-definition")  # graphql-core is not told of @oneOf
    if made and declared is not None and declared.is_one_of:
        return dict([list(made.items())[seed % len(made)]])
    return made


def _value(path: str, name: str, type_: Any, ids: dict[str, list[str]], seed: int, depth: int = 0) -> Any:
    required = isinstance(type_, GraphQLNonNull)
    type_ = type_.of_type if required else type_
    if isinstance(type_, GraphQLList):
        inner = _value(path, name, type_.of_type, ids, seed, depth)
        return None if inner is None else [inner]
    named = get_named_type(type_)
    if named.name == "ID":
        pool = list(itertools.chain.from_iterable(ids.get(t, []) for t in type_of_id(path, name)))
        return pool[seed % len(pool)] if pool else encode("Plant", 999_999_999)
    if isinstance(named, GraphQLEnumType):
        return list(named.values)[seed % len(named.values)]
    if isinstance(named, GraphQLInputObjectType):
        return arguments(path, named, ids, seed=seed) if depth < 3 else None
    if name == "idempotencyKey":
        return f"sweep-{path}-{seed}"
    return VALUES.get(named.name) if required or named.name in ("String", "Decimal") else None


def found_ids(answer: Any) -> Iterator[tuple[str, int]]:
    """Every id anywhere in an answer."""
    if isinstance(answer, dict):
        for name, value in answer.items():
            if name == "id" and isinstance(value, str):
                yield decode(value)
            else:
                yield from found_ids(value)
    elif isinstance(answer, list):
        for value in answer:
            yield from found_ids(value)


def fields_with_ids(root: GraphQLObjectType) -> list[str]:
    """Root fields one of whose arguments is an id or holds one."""

    def holds(type_: Any, seen: frozenset[str] = frozenset()) -> bool:
        named = get_named_type(type_)
        if named.name == "ID":
            return True
        if (
            not isinstance(named, GraphQLInputObjectType)
            or named.name in seen
            or named.name.endswith(("Where", "Order"))
        ):
            return False
        return any(holds(f.type, seen | {named.name}) for f in named.fields.values())

    return [n for n, f in root.fields.items() if any(holds(a.type) for a in f.args.values())]

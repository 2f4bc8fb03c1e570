"""Random documents over the declared fields: aliases, fragments, directives, variables, pages, conditions, orders."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLID,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_leaf_type,
)

from schema.node import Computed

PLAIN: dict[str, list[Any]] = {
    "String": ["a", "P1", "", "WO-2026-000100", "'; drop table x; --", "ü\u2028\\\"", "%_"],
    "Int": [0, 1, 5, 70],
    "Boolean": [True, False],
    "Decimal": ["0", "1.5", "-2", "100000000.000001"],
    "DateTime": ["2026-01-31T08:00:00Z", "2026-11-19T08:00:00.123456+01:00"],
    "Date": ["2026-01-31", "2026-11-20"],
    "BigInt": ["0", "9007199254740993"],
    "ID": ["UGxhbnQ6MQ==", "UGxhbnQ6OTk5"],
}  # fmt: skip


@dataclass
class Document:
    """One operation with its variables."""

    text: str
    variables: dict[str, Any] = field(default_factory=dict)


class Writer:
    """Writes one document. Every choice comes from `rng`, so that a seed tells which."""

    def __init__(self, schema: GraphQLSchema, ids: dict[str, list[str]], rng: random.Random) -> None:
        self._schema = schema
        self._ids = ids
        self._rng = rng
        self._declared: list[str] = []
        self._variables: dict[str, Any] = {}
        self._fragments: list[str] = []
        self._number = 0

    def document(self, roots: list[str]) -> Document:
        query = self._schema.query_type
        assert query is not None
        return self._document("query", [self._field(query, name, depth=self._rng.randint(1, 3)) for name in roots])

    def mutations(self, asked: list[tuple[str, str]]) -> Document:
        """Root fields by name, each with its input as it stands in the document; what is asked of their payloads is random."""
        known = self._schema.mutation_type
        assert known is not None
        fields = []
        for name, input in asked:
            payload = self._selection(get_named_type(known.fields[name].type), self._rng.randint(1, 3))
            fields.append(f"{self._name()}: {name}(input: {input}){self._directive()} {payload}")
        return self._document("mutation", fields)

    def _document(self, kind: str, fields: list[str]) -> Document:
        given = f"({', '.join(self._declared)})" if self._declared else ""
        return Document(f"{kind} Q{given} {{ {' '.join(fields)} }} {' '.join(self._fragments)}", self._variables)

    # --- selections -------------------------------------------------------------------------------------------------

    def _field(self, parent: GraphQLObjectType, name: str, depth: int) -> str:
        definition = parent.fields[name]
        alias = f"{self._name()}: " if self._rng.random() < 0.4 or definition.args else ""
        if name == "node" and "id" in definition.args:
            return f"{alias}{self._by_id(depth)}"
        if name == "nodes" and "ids" in definition.args:
            return f"{alias}{self._by_ids(depth)}"
        arguments = self._arguments(name, definition)
        inner = get_named_type(definition.type)
        below = "" if is_leaf_type(inner) else " " + self._selection(inner, depth)
        return f"{alias}{name}{arguments}{self._directive()}{below}"

    def _by_id(self, depth: int) -> str:
        name = self._rng.choice([name for name, pool in self._ids.items() if pool])
        id = self._given(GraphQLNonNull(GraphQLID), self._rng.choice(self._ids[name]))
        inner = self._selection(self._schema.type_map[name], depth)
        return f"node(id: {id}){self._directive()} {{ __typename ... on {name} {inner} ... on Plant {{ id }} }}"

    def _by_ids(self, depth: int) -> str:
        names = self._some([name for name, pool in self._ids.items() if pool], 1, 4)
        ids = [self._rng.choice(self._ids[self._rng.choice(names)]) for _ in range(self._rng.randint(1, 8))]
        if self._rng.random() < 0.05:
            ids.append(self._rng.choice(["UGxhbnQ6OTk5OTk5", "nothing"]))
        given = self._given(GraphQLNonNull(GraphQLList(GraphQLNonNull(GraphQLID))), ids)
        parts = [f"... on {name} {self._selection(self._schema.type_map[name], depth)}" for name in names]
        return f"nodes(ids: {given}){self._directive()} {{ __typename {' '.join(parts)} }}"

    def _selection(self, parent: Any, depth: int) -> str:
        if parent.name.endswith("Connection"):
            names = self._some(["nodes", "edges", "pageInfo", "totalCount", "__typename", "nodes"], 1, 4)
        else:
            names = self._some([n for n, f in parent.fields.items() if self._fits(f, depth)] + ["__typename"], 1, 7)
        parts = [
            "__typename"
            if n == "__typename"
            else self._field(parent, n, depth - (not parent.name.endswith("Connection")))
            for n in names
        ]
        if self._rng.random() < 0.15:
            parts = [self._fragment(parent, " ".join(parts))]
        elif "id" in parent.fields and self._rng.random() < 0.1:
            parts.append("... on Node { id }")
        return "{ __typename " + " ".join(parts) + " }"

    def _fits(self, definition: Any, depth: int) -> bool:
        source = getattr(definition.extensions.get("strawberry-definition"), "source", None)
        if isinstance(source, Computed) and source.in_context:
            return False  # a signed link holds the time it was made at
        return depth > 0 or is_leaf_type(get_named_type(definition.type))

    def _fragment(self, parent: Any, fields: str) -> str:
        if self._rng.random() < 0.5:
            return f"... on {parent.name}{self._directive()} {{ {fields} }}"
        name = self._name()
        self._fragments.append(f"fragment {name} on {parent.name} {{ {fields} }}")
        return f"...{name}{self._directive()}"

    def _directive(self) -> str:
        chance = self._rng.random()
        if chance > 0.12:
            return ""
        which, value = self._rng.choice(["skip", "include"]), self._rng.random() < 0.5
        if chance < 0.06:
            return f" @{which}(if: {str(value).lower()})"
        return f" @{which}(if: {self._variable('Boolean!', value)})"

    # --- arguments --------------------------------------------------------------------------------------------------

    def _arguments(self, name: str, definition: Any) -> str:
        given: dict[str, str] = {}
        for argument, declared in definition.args.items():
            if argument == "by":
                given[argument] = self._by(declared.type)
            elif argument == "where" and self._rng.random() < 0.5:
                given[argument] = self._given(declared.type, self._where(declared.type, 0))
            elif argument == "orderBy" and self._rng.random() < 0.5:
                given[argument] = self._given(declared.type, self._order(declared.type))
        if "last" in definition.args:
            size = self._rng.choice(["first", "first", "last"])
            given[size] = self._given(definition.args[size].type, self._rng.randint(1, 6))
            if self._rng.random() < 0.02:
                cursor = "after" if size == "first" else "before"
                given[cursor] = self._given(definition.args[cursor].type, self._rng.choice([None, "WyJ4Il0"]))
        else:
            for argument, declared in definition.args.items():
                if is_leaf_type(_nullable(declared.type)) and self._rng.random() < 0.3:
                    given[argument] = self._given(declared.type, self._plain(get_named_type(declared.type)))
        return f"({', '.join(f'{k}: {v}' for k, v in given.items())})" if given else ""

    def _by(self, type_: Any) -> str:
        by: GraphQLInputObjectType = get_named_type(type_)  # type: ignore[assignment]
        key = self._rng.choice(list(by.fields))
        pool = self._ids.get(by.name.removesuffix("By"), [])
        if key != "id":
            kind: Any = get_named_type(by.fields[key].type)
            value = dict.fromkeys(kind.fields, "SAP") if isinstance(kind, GraphQLInputObjectType) else self._plain(kind)
            return self._given(type_, {key: value})
        return self._given(type_, {"id": self._rng.choice(pool) if pool else "UGxhbnQ6OTk5"})

    def _where(self, type_: Any, depth: int) -> dict[str, Any]:
        where: Any = get_named_type(type_)
        made: dict[str, Any] = {}
        for name in self._some(list(where.fields), 1, 2):
            if name in ("and", "or"):
                if depth < 2:
                    made[name] = [self._where(where, depth + 1) for _ in range(self._rng.randint(0, 2))]
            elif name == "not":
                if depth < 2:
                    made[name] = self._where(where, depth + 1)
            else:
                made[name] = self._filter(name, get_named_type(where.fields[name].type))
        return made

    def _filter(self, name: str, filter_: Any) -> dict[str, Any]:
        operator = self._rng.choice(list(filter_.fields))
        kind = filter_.fields[operator].type
        if operator == "isNull":
            return {operator: self._rng.random() < 0.5}
        inner = get_named_type(kind)
        if filter_.name == "IDFilter":
            pool = self._ids.get(name[:1].upper() + name[1:], [])
            if not pool:
                return {"isNull": False}
            value: Any = self._rng.choice(pool)
        else:
            value = self._plain(inner)
        if operator == "eq" and self._rng.random() < 0.1:
            return {operator: None}
        return {operator: [value] * self._rng.randint(0, 2) if isinstance(_nullable(kind), GraphQLList) else value}

    def _order(self, type_: Any) -> list[dict[str, str]]:
        order: Any = get_named_type(type_)
        fields = list(get_named_type(order.fields["field"].type).values)
        return [{"field": name, "direction": self._rng.choice(["ASC", "DESC"])} for name in self._some(fields, 1, 2)]

    def _plain(self, type_: Any) -> Any:
        if isinstance(type_, GraphQLEnumType):
            return self._rng.choice(list(type_.values))
        return self._rng.choice(PLAIN[type_.name])

    def _given(self, type_: Any, value: Any) -> str:
        """As a variable, or written into the document."""
        if self._rng.random() < 0.5:
            return self._variable(str(type_), value)
        return _literal(type_, value)

    def _variable(self, type_: str, value: Any) -> str:
        name = self._name()
        self._declared.append(f"${name}: {type_}")
        self._variables[name] = value
        return f"${name}"

    def _name(self) -> str:
        self._number += 1
        return chr(96 + self._number) if self._number <= 26 else f"n{self._number}"

    def _some(self, names: list[str], least: int, most: int) -> list[str]:
        return self._rng.sample(names, min(len(names), self._rng.randint(least, most)))


def _nullable(type_: Any) -> Any:
    return type_.of_type if isinstance(type_, GraphQLNonNull) else type_


def _literal(type_: Any, value: Any) -> str:
    type_ = _nullable(type_)
    if value is None:
        return "null"
    if isinstance(type_, GraphQLList):
        items = value if isinstance(value, list) else [value]
        return "[" + ", ".join(_literal(type_.of_type, item) for item in items) + "]"
    if isinstance(type_, GraphQLInputObjectType):
        return "{" + ", ".join(f"{k}: {_literal(type_.fields[k].type, v)}" for k, v in value.items()) + "}"
    if isinstance(type_, GraphQLEnumType):
        return str(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return str(value)

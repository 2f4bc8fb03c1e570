"""From a document's selection to the tree of what is declared; NotPlanned where something is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction
from typing import Any

import strawberry
from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    OperationDefinitionNode,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_fields, collect_subfields
from graphql.execution.values import VariableValues

from schema.node import NODES, Column, Computed, SourceField, ToMany, ToOne, target
from schema.plans.arguments import Read, id_reader, key_reader, reader
from schema.plans.call import Call
from schema.plans.deciding import type_named
from schema.plans.encode import carried, nullable, shown
from schema.plans.finish import completed, made
from schema.plans.tree import (
    Arguments,
    Edges,
    Id,
    Info,
    Link,
    List,
    Made,
    Nodes,
    NotPlanned,
    One,
    Parts,
    Root,
    Selected,
    Several,
    Total,
    Typename,
    Value,
    short,
)
from schema.scalars import quantity

PARTS: Mapping[Callable[..., Any], tuple[str, ...]] = {quantity: ("value", "unit")}
"""Functions that put columns into an object as they are, with the fields the columns become."""

MOST_OBJECTS = 150
"""Fragments that spread fragments multiply: each place they end up at is a subselect of its own."""
MOST_KEYS = 1_500  # each key of the answer is made by something that is kept with the plan


class Collector:
    """Reads the roots of one operation, for given values of the variables its directives name."""

    def __init__(
        self, schema: strawberry.Schema, operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDetails],
        variables: VariableValues,
    ) -> None:  # fmt: skip
        self._strawberry = schema
        self._schema = schema._schema
        self._operation = operation
        self._fragments = dict(fragments)
        self._variables = variables
        self.arguments: list[Arguments] = []
        self.nodes: list[Any] = []
        """Every type the plan reads, for the permissions it reads them under."""
        self.keys = 0  # of the answer

    @property
    def permissions(self) -> frozenset[str | None]:
        """Of the types that are read."""
        return frozenset(node.__declared__.permission for node in self.nodes)

    def roots(self) -> dict[str, list[FieldDetails]]:
        root = self._schema.get_root_type(self._operation.operation)
        assert root is not None
        return collect_fields(self._schema, self._fragments, self._variables, root, self._operation).grouped_field_set

    def root(self, key: str, details: list[FieldDetails]) -> Root | Call:
        """One root field's tree; what it added is taken back where it is not planned, but what it took to find out counts."""
        pages, nodes = len(self.arguments), len(self.nodes)
        try:
            return self._root(short(key), details)
        except NotPlanned:
            del self.arguments[pages:], self.nodes[nodes:]
            raise

    def _root(self, key: str, details: list[FieldDetails]) -> Root | Call:
        node = details[0].node
        definition = self._schema.query_type.fields.get(node.name.value)  # type: ignore[union-attr]
        field = None if definition is None else definition.extensions.get("strawberry-definition")
        if field is None:
            raise NotPlanned(f"{node.name.value} is the schema's own")
        arguments = self._arguments(field, definition, node)
        if (listing := field.metadata.get("listing")) is not None:
            arguments.listing = listing
            return self._list(key, target(field), listing, None, arguments, definition, details)
        if (looked_up := field.metadata.get("lookup")) is not None:
            arguments.node, arguments.keys = looked_up, field.metadata["keys"]
            page = self._page(arguments)
            return One(key, page, self._selected(get_named_type(definition.type), details))
        if "by_id" in field.metadata:
            return self._by_id(key, node, details)
        if (most := field.metadata.get("by_ids")) is not None:
            arguments.most = most
            return self._by_ids(key, arguments, details)
        return Call(
            key, [detail.node for detail in details], field.run, arguments.read, completed(definition.type, details, self.below)
        )  # fmt: skip

    def mutation(self, node: FieldNode) -> tuple[Any, GraphQLField, GraphQLObjectType]:
        """A root field of Mutation: as it is declared, its definition, and the type of its payload."""
        definition = self._schema.mutation_type.fields.get(node.name.value)  # type: ignore[union-attr]
        payload = None if definition is None else get_named_type(definition.type)
        if definition is None or not isinstance(payload, GraphQLObjectType):
            raise NotPlanned(f"{node.name.value} has no payload of objects")
        return definition.extensions["strawberry-definition"], definition, payload

    def changed(self, key: str, definition: GraphQLField, details: list[FieldDetails]) -> One:
        """An object in the payload of a mutation."""
        if isinstance(get_nullable_type(definition.type), GraphQLList) or isinstance(definition.type, GraphQLNonNull):
            raise NotPlanned(f"{key} is not one object")
        page = self._page(Arguments(lambda _: {}, constant=True))
        return One(short(key), page, self._selected(get_named_type(definition.type), details))

    def reads(self, field: Any, definition: GraphQLField, node: FieldNode) -> tuple[Read, bool]:
        return reader(self._strawberry, field, definition, node)

    def _by_id(self, key: str, node: FieldNode, details: list[FieldDetails]) -> One:
        """An object of the type its id names. With an id of another type it is another plan."""
        read, constant = id_reader(node)
        type_ = self._named(read(self._variables)["id"])
        page = self._page(Arguments(read, constant, node=NODES[type_.name]))
        return One(key, page, self._selected(type_, details))

    def _by_ids(self, key: str, arguments: Arguments, details: list[FieldDetails]) -> Several:
        """Objects of the types their ids name. With ids of other types it is another plan."""
        types = {type_.name: type_ for type_ in map(self._named, arguments.read(self._variables)["ids"])}
        if not types:
            raise NotPlanned("no ids")
        arguments.types = tuple(sorted(types))
        return Several(
            key, self._page(arguments), tuple(self._selected(types[name], details) for name in arguments.types)
        )

    def _named(self, id: Any) -> GraphQLObjectType:
        type_ = self._schema.type_map.get(type_named(id) or "")
        if not isinstance(type_, GraphQLObjectType):
            raise NotPlanned("not an id of this API")
        return type_

    # --- objects --------------------------------------------------------------------------------------------------

    def _selected(self, parent: Any, details: list[FieldDetails]) -> Selected:
        definition = parent.extensions.get("strawberry-definition") if isinstance(parent, GraphQLObjectType) else None
        node: Any = None if definition is None else definition.origin
        if getattr(node, "__declared__", None) is None:
            raise NotPlanned(f"{parent.name} does not declare its fields")
        if len(self.nodes) >= MOST_OBJECTS:
            raise NotPlanned("more objects than one statement should hold")
        self.nodes.append(node)
        fields = tuple(self._field(parent, node, key, group) for key, group in self.below(parent, details).items())
        if not fields:
            raise NotPlanned("nothing is asked of an object")
        return Selected(node, fields)

    def below(self, parent: GraphQLObjectType, details: list[FieldDetails]) -> dict[str, list[FieldDetails]]:
        found = collect_subfields(self._schema, self._fragments, self._variables, self._operation, parent, details)
        self.keys += len(found.grouped_field_set)
        if self.keys > MOST_KEYS:
            raise NotPlanned("more keys than one plan should hold")
        return found.grouped_field_set

    def _field(self, parent: GraphQLObjectType, node: Any, key: str, details: list[FieldDetails]) -> Any:
        key, name = short(key), details[0].node.name.value
        if name == "__typename":
            return Typename(key, parent.name)
        if name == "id":
            return Id(key)
        definition = parent.fields[name]
        field = definition.extensions.get("strawberry-definition")
        if not isinstance(field, SourceField) or field.extensions:
            raise NotPlanned(f"{parent.name}.{name} is not declared")
        source = field.source
        if isinstance(source, Column):
            return self._column(key, source.column, definition, details)
        if isinstance(source, Computed):
            return self._computed(key, source, definition, details)
        if isinstance(source, ToOne):
            return Link(
                key, source.key, self._selected(get_named_type(definition.type), details),
                isinstance(definition.type, GraphQLNonNull),
            )  # fmt: skip
        assert isinstance(source, ToMany)
        arguments = self._arguments(field, definition, details[0].node)
        arguments.listing, arguments.parent = source.listing, f"{node.__declared__.name}.{field.python_name}"
        return self._list(key, target(field), source.listing, source.key, arguments, definition, details)

    def _column(self, key: str, column: Any, definition: Any, details: list[FieldDetails]) -> Any:
        required = isinstance(definition.type, GraphQLNonNull)
        plain = get_nullable_type(definition.type)
        if is_leaf_type(plain) and not (required and nullable(column)) and shown(plain, column, "c") is not None:
            return Value(key, column, plain)
        return self._made(key, (column,), lambda value: value, definition, details)

    def _computed(self, key: str, source: Computed, definition: Any, details: list[FieldDetails]) -> Any:
        if (parts := PARTS.get(source.function)) is not None:
            required = isinstance(definition.type, GraphQLNonNull)
            members = self._members(get_named_type(definition.type), parts, source.sources, details)
            if members is not None and not (required and nullable(source.sources[0])):
                return Parts(key, source.sources, members)
        if iscoroutinefunction(source.function):
            raise NotPlanned(f"{key} reads for itself")
        return self._made(key, source.sources, source.function, definition, details, in_context=source.in_context)

    def _members(
        self, parent: Any, parts: tuple[str, ...], columns: tuple[Any, ...], details: list[FieldDetails]
    ) -> tuple[Any, ...] | None:
        found: list[tuple[str, int | str, Any]] = []
        for key, group in self.below(parent, details).items():
            name = group[0].node.name.value
            if name == "__typename":
                found.append((short(key), parent.name, None))
                continue
            place, plain = parts.index(name), get_nullable_type(parent.fields[name].type)
            if shown(plain, columns[place], "c") is None or (place and nullable(columns[place])):
                return None
            found.append((short(key), place, plain))
        return tuple(found) or None

    def _made(
        self, key: str, columns: tuple[Any, ...], function: Any, definition: Any, details: list[FieldDetails],
        *, in_context: bool = False,
    ) -> Made:  # fmt: skip
        if any(carried(column, "c") is None for column in columns):
            raise NotPlanned(f"{key} is made of what JSON cannot carry")
        return Made(
            key,
            columns,
            made(columns, function, completed(definition.type, details, self.below), in_context=in_context),
        )

    # --- connections ----------------------------------------------------------------------------------------------

    def _list(
        self, key: str, node: Any, listing: Any, foreign_key: Any, arguments: Arguments, definition: Any,
        details: list[FieldDetails],
    ) -> List:  # fmt: skip
        connection: Any = get_named_type(definition.type)
        page = self._page(arguments)
        parts: list[Any] = []
        for name_, group in self.below(connection, details).items():
            part, name = short(name_), group[0].node.name.value
            if name == "__typename":
                parts.append(Typename(part, connection.name))
                continue
            inner: Any = get_named_type(connection.fields[name].type)
            if name == "nodes":
                parts.append(Nodes(part, self._selected(inner, group)))
            elif name == "edges":
                parts.append(Edges(part, tuple(self._edge(inner, k, g) for k, g in self.below(inner, group).items())))
            elif name in ("pageInfo", "totalCount"):
                members = tuple(
                    (short(k), f":{inner.name}" if (n := g[0].node.name.value) == "__typename" else n)
                    for k, g in self.below(inner, group).items()
                )
                parts.append((Info if name == "pageInfo" else Total)(part, members))
            else:
                raise NotPlanned(f"a connection's {name}")
        if not parts or any(isinstance(part, Edges | Info | Total) and not part.members for part in parts):
            raise NotPlanned("nothing is asked of a connection")
        self.nodes.append(node)
        return List(key, node, listing, foreign_key, page, tuple(parts))

    def _edge(self, edge: Any, key: str, details: list[FieldDetails]) -> tuple[str, str | Selected]:
        name = details[0].node.name.value
        if name == "__typename":
            return short(key), f":{edge.name}"
        if name == "cursor":
            return short(key), "cursor"
        return short(key), self._selected(get_named_type(edge.fields["node"].type), details)

    # --- arguments ------------------------------------------------------------------------------------------------

    def _page(self, arguments: Arguments) -> int:
        self.arguments.append(arguments)
        return len(self.arguments) - 1

    def _arguments(self, field: Any, definition: Any, node: FieldNode) -> Arguments:
        if field.metadata.get("lookup") is not None:
            return Arguments(*key_reader(definition, node))
        return Arguments(*reader(self._strawberry, field, definition, node))

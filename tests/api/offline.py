"""A client's own price: nothing but the SDL, the document and the variables, by the words of docs/limits.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    build_schema,
    get_named_type,
    is_composite_type,
    is_list_type,
    is_non_null_type,
    value_from_ast_untyped,
)

SDL = Path(__file__).parents[2] / "schema" / "schema.graphql"
INTROSPECTION = {"__typename": 0, "__type": 50, "__schema": 2_000}


def schema() -> GraphQLSchema:
    return build_schema(SDL.read_text(encoding="utf-8"))


def _said(node: Any, name: str) -> dict[str, Any] | None:
    for directive in (node.directives or ()) if node else ():
        if directive.name.value == name:
            return {a.name.value: value_from_ast_untyped(a.value) for a in directive.arguments}
    return None


class Client:
    def __init__(self, schema: GraphQLSchema, document: DocumentNode, variables: dict[str, Any]) -> None:
        self.schema = schema
        self.fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
        self.operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
        self.given = variables
        self.variables: dict[str, Any] = {}

    def price(self, operation: OperationDefinitionNode) -> int:
        defaults = {
            v.variable.name.value: value_from_ast_untyped(v.default_value)
            for v in operation.variable_definitions or ()
            if v.default_value
        }
        self.variables = defaults | self.given
        root = self.schema.get_root_type(operation.operation)
        return 1 + self.selection(root, operation.selection_set, {})

    def selection(self, parent: Any, selections: Any, sizes: dict[str, int]) -> int:
        total = 0
        for node in selections.selections if selections else ():
            if not self.asked(node):
                continue
            if isinstance(node, FieldNode):
                total += self.field(parent, node, sizes)
            else:
                inner = node if isinstance(node, InlineFragmentNode) else self.fragments[node.name.value]
                condition = inner.type_condition
                kind = self.schema.get_type(condition.name.value) if condition else parent
                total += self.selection(kind, inner.selection_set, sizes)
        return total

    def asked(self, node: Any) -> bool:
        for name, wanted in (("skip", False), ("include", True)):
            said = next((d for d in node.directives or () if d.name.value == name), None)
            if said is not None and bool(value_from_ast_untyped(said.arguments[0].value, self.variables)) is not wanted:
                return False
        return True

    def field(self, parent: Any, node: FieldNode, sizes: dict[str, int]) -> int:
        name = node.name.value
        if name in INTROSPECTION:
            return INTROSPECTION[name]
        definition = parent.fields[name]
        kind = get_named_type(definition.type)
        once = self.weight(definition, 10 if parent is self.schema.mutation_type else 0)
        each = self.weight(kind, 1 if is_composite_type(kind) else 0)
        sized = _said(definition.ast_node, "listSize")
        entries, below = 1, {}
        if sized:
            size = self.size(node, sized)
            below = dict.fromkeys(sized.get("sizedFields", ()), size)
            entries = 1 if below else size
        elif self.is_list(definition.type) and is_composite_type(kind):
            entries = sizes.get(name, 10)
        return once + entries * (each + self.selection(kind, node.selection_set, below))

    @staticmethod
    def weight(definition: Any, usual: int) -> int:
        said = _said(definition.ast_node, "cost")
        return said["weight"] if said else usual

    def size(self, node: FieldNode, sized: dict[str, Any]) -> int:
        given = []
        for argument in node.arguments or ():
            if argument.name.value in sized.get("slicingArguments", ()):
                value = value_from_ast_untyped(argument.value, self.variables)
                if value is not None:
                    given.append(len(value) if isinstance(value, list) else int(value))
        return max(given) if given else sized["assumedSize"]

    @staticmethod
    def is_list(kind: Any) -> bool:
        return is_list_type(kind.of_type if is_non_null_type(kind) else kind)

"""Which subscriptions are the same for whom: their answers are made once for everybody who would be told the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import orjson
from graphql import (
    SKIP,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionSetNode,
    VariableNode,
    Visitor,
    get_named_type,
    is_composite_type,
    visit,
)
from graphql.execution.values import get_argument_values
from strawberry.types.field import StrawberryField

from api.documents import Operation
from db.actor import Actor, Scope
from schema.connection import Connection
from schema.node import Computed, SourceField
from schema.permissions import AUTHENTICATED, PUBLIC
from schema.subscribe import Subscription

OWN = ("after", "snapshot")
"""Arguments that say where a subscriber begins. They make no difference to what happens later."""
PACE = "minIntervalMs"


@dataclass(frozen=True, slots=True)
class Key:
    """Whose answers are the same bytes: one document with the same variables, under the same rights."""

    organization: int
    document: str
    operation: str | None
    variables: bytes
    scopes: tuple[tuple[str | None, Scope | None], ...]
    """Where each permission holds that the document needs, and where rows without one are seen."""


@dataclass(frozen=True, slots=True)
class Shared:
    """A subscription whose answers depend on nothing but its key."""

    operation: Operation
    subscription: Subscription
    given: Mapping[str, Any]
    variables: bytes
    pace: float
    """Seconds from one time its members are told something to the next; 0 where they are told at once."""

    def key(self, actor: Actor) -> Key:
        assert actor.organization_id is not None, "a caller who is signed in"
        source = self.operation.node.loc
        assert source is not None
        held = self._permissions()
        scopes = [(name, actor.read_scope(name) if actor.may(name) else None) for name in held]
        everywhere = (None, actor.read_scope(None))
        return Key(
            actor.organization_id, source.source.body, self.operation.name, self.variables, (everywhere, *scopes)
        )

    def reader(self, actor: Actor) -> Actor:
        """Somebody who sees what the caller sees and is nobody: what depends on a person finds none."""
        held = {name: actor.read_scope(name) for name in self._permissions() if actor.may(name)}
        return Actor(
            actor.organization_id, permissions=held, readable=actor.readable, request_id=f"shared-{uuid4().hex}"
        )

    def _permissions(self) -> list[str]:
        return sorted(n.permission for n in self.operation.needs if n.permission not in (PUBLIC, AUTHENTICATED))


def shared(schema: GraphQLSchema, operation: Operation, given: Mapping[str, Any], coerced: Any) -> Shared | None:
    """The subscription if it can be shared. Only what is declared can be: a resolver may ask who is asking."""
    (root,) = operation.node.selection_set.selections[:1]
    if len(operation.node.selection_set.selections) != 1 or not isinstance(root, FieldNode) or root.directives:
        return None
    assert schema.subscription_type is not None
    definition = schema.subscription_type.fields[root.name.value]
    subscription = getattr(definition.extensions.get("strawberry-definition"), "run", None)
    if not isinstance(subscription, Subscription) or subscription.node.__declared__.personal:
        return None
    try:
        pace = get_argument_values(definition, root, coerced).get(PACE) or 0
    except GraphQLError:
        return None  # it will be refused
    fragments = {d.name.value: d for d in operation.document.definitions if isinstance(d, FragmentDefinitionNode)}
    assert root.selection_set is not None
    if not _declared(schema, get_named_type(definition.type), root.selection_set, fragments, set()):
        return None
    own = _own(operation, root)
    kept = {name: value for name, value in given.items() if name not in own}
    return Shared(operation, subscription, given, orjson.dumps(kept, option=orjson.OPT_SORT_KEYS), pace / 1_000)


def _own(operation: Operation, root: FieldNode) -> set[str]:
    """Variables that are used to say where to begin and for nothing else."""
    uses: Counter[str] = Counter()

    class Uses(Visitor):
        def enter_variable_definition(self, *_: Any) -> Any:
            return SKIP

        def enter_variable(self, node: Any, *_: Any) -> None:
            uses[node.name.value] += 1

    visit(operation.document, Uses())
    values = [argument.value for argument in root.arguments or () if argument.name.value in OWN]
    return {v.name.value for v in values if isinstance(v, VariableNode) and uses[v.name.value] == 1}


def _declared(
    schema: GraphQLSchema, parent: Any, selection: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode],
    seen: set[tuple[str, str]],
) -> bool:  # fmt: skip
    """Is every field of the selection a value of a row, a link, or an attribute of what such a field answers."""
    if not isinstance(parent, GraphQLObjectType):
        return False
    for node in selection.selections:
        inner: Any
        if isinstance(node, FieldNode):
            definition = schema.get_field(parent, node.name.value)
            if node.name.value == "__typename":
                continue
            if definition is None or not _plain(parent, definition.extensions.get("strawberry-definition")):
                return False
            inner, inside = get_named_type(definition.type), node.selection_set
            if inside is None and is_composite_type(inner):
                return False
        elif isinstance(node, InlineFragmentNode):
            inner = schema.get_type(node.type_condition.name.value) if node.type_condition else parent
            inside = node.selection_set
        else:
            fragment = fragments[node.name.value]  # type: ignore[attr-defined]
            inner, inside = schema.get_type(fragment.type_condition.name.value), fragment.selection_set
            if (node.name.value, parent.name) in seen:  # type: ignore[attr-defined]
                continue
            seen.add((node.name.value, parent.name))  # type: ignore[attr-defined]
        if inside is not None and not _declared(schema, inner, inside, fragments, seen):
            return False
    return True


def _plain(parent: GraphQLObjectType, field: Any) -> bool:
    if not isinstance(field, StrawberryField) or field.extensions:
        return False
    origin = parent.extensions["strawberry-definition"].origin
    if getattr(getattr(origin, "__declared__", None), "personal", False):
        return False
    if isinstance(field, SourceField):
        return not (isinstance(field.source, Computed) and field.source.in_context)
    return issubclass(origin, Connection) or (type(field) is StrawberryField and field.base_resolver is None)

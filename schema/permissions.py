"""Permissions over a document: what an operation needs is read from it once, before anything runs.

A root field, an object type and a single field can each name a permission. Rows are not decided here: PostgreSQL shows
only those of the plants a permission is held in.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import strawberry
from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
)
from graphql.language import DocumentNode
from strawberry.schema_directive import Location

from db.actor import Actor
from schema.faults import forbidden, unauthenticated

PUBLIC: Final = ""
"""Open before sign-in."""
AUTHENTICATED: Final = "authenticated"
"""Open to everyone who is signed in."""

ADMIN = "admin"
PLANT_MANAGER = "plant_manager"
SUPERVISOR = "supervisor"
OPERATOR = "operator"
QUALITY_INSPECTOR = "quality_inspector"
MAINTENANCE_TECHNICIAN = "maintenance_technician"
PLANNER = "planner"
WAREHOUSE = "warehouse"
INTEGRATION = "integration"
VIEWER = "viewer"
SYSTEM_ROLES: Final = {
    ADMIN: "Administrator",
    PLANT_MANAGER: "Plant manager",
    SUPERVISOR: "Supervisor",
    OPERATOR: "Operator",
    QUALITY_INSPECTOR: "Quality inspector",
    MAINTENANCE_TECHNICIAN: "Maintenance technician",
    PLANNER: "Planner",
    WAREHOUSE: "Warehouse",
    INTEGRATION: "Integration",
    VIEWER: "Viewer",
}
EVERY_ROLE: Final = frozenset(SYSTEM_ROLES)


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION, Location.OBJECT],
    description="The permission a caller needs to use the field, or any field of the type.",
)
class Requires:
    permission: str = strawberry.directive_field(name="permission")


def requires(permission: str | None) -> list[object]:
    """The directive for the SDL; public and merely signed-in fields show it too."""
    if permission is None:
        return []
    return [Requires(permission=permission or "public")]


@dataclass(frozen=True)
class Need:
    """One permission an operation needs, and the first field that needs it."""

    permission: str
    coordinate: str


def needs(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> tuple[Need, ...]:
    """Every permission the operation's selection touches, in document order, once each."""
    fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
    root = schema.get_root_type(operation.operation)
    found: dict[str, Need] = {}
    if root is not None:
        for need in _walk(schema, root, operation.selection_set, fragments, set()):
            found.setdefault(need.permission, need)
    return tuple(found.values())


def _walk(
    schema: GraphQLSchema, parent: Any, selection: SelectionSetNode, fragments: dict[str, FragmentDefinitionNode],
    seen: set[tuple[str, str]],
) -> Iterator[Need]:  # fmt: skip
    for node in selection.selections:
        if isinstance(node, FieldNode):
            definition = schema.get_field(parent, node.name.value)
            if definition is None:
                continue
            yield from _declared(parent, node.name.value, definition)
            if node.selection_set:
                yield from _walk(schema, get_named_type(definition.type), node.selection_set, fragments, seen)
        elif isinstance(node, InlineFragmentNode):
            inner = schema.get_type(node.type_condition.name.value) if node.type_condition else parent
            yield from _walk(schema, inner, node.selection_set, fragments, seen)
        elif isinstance(node, FragmentSpreadNode):
            fragment = fragments[node.name.value]
            name = fragment.type_condition.name.value
            if (node.name.value, name) not in seen:
                seen.add((node.name.value, name))
                yield from _walk(schema, schema.get_type(name), fragment.selection_set, fragments, seen)


def _declared(parent: GraphQLObjectType | GraphQLInterfaceType, name: str, definition: Any) -> Iterator[Need]:
    type_definition = parent.extensions.get("strawberry-definition")
    if type_definition is not None and name != "__typename":
        # A list is as readable as what it lists: a count or a cursor tells of rows as well.
        for published in (type_definition.origin, *type_definition.type_var_map.values()):
            declared = getattr(published, "__declared__", None)
            if declared is not None and declared.permission is not None:
                yield Need(declared.permission, f"{parent.name}.{name}")
    field = definition.extensions.get("strawberry-definition")
    permission = field.metadata.get("permission") if field is not None else None
    if permission is not None:
        yield Need(permission, f"{parent.name}.{name}")


def check(needed: tuple[Need, ...], actor: Actor) -> None:
    """FORBIDDEN with the permission's name, or UNAUTHENTICATED where nobody is signed in."""
    for need in needed:
        if need.permission == PUBLIC:
            continue
        if not actor.signed_in:
            raise unauthenticated()
        if need.permission != AUTHENTICATED and not actor.may(need.permission):
            raise forbidden(need.permission)

"""What of an object a delivery carries: a selection, checked when it is set and executed with the key's rights when it is
sent."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    execute,
    get_named_type,
    parse,
    print_ast,
    validate,
)
from graphql.execution import ExecutionResult
from strawberry import execution

from db.actor import Actor
from db.refusal import ValidationFailed
from db.session import Database
from schema.context import Context
from schema.ids import encode
from schema.node import NODES
from schema.permissions import AUTHENTICATED, check, needs

is_awaitable: Any = execution.optimized_is_awaitable

MOST_TOKENS = 500
MOST_DEPTH = 6
MOST_FIELDS = 100
MOST_LISTS = 3
SIGHT = "{ id }"
"""Asks no more than whether the object is in sight."""
NEVER = frozenset({"Job", "WebhookDelivery", "WebhookAttempt", "WebhookProgress"})
"""Each delivery is a job, so an endpoint told of jobs would be told of being told."""


class PayloadFailed(Exception):
    """The object could not be read; the cause is in the log."""


def checked_topic(topic: str, path: str) -> str:
    if topic not in NODES or topic in NEVER:
        raise _refuse("The name of a type of object that has events", path, "topic")
    return topic


def checked_selection(schema: GraphQLSchema, topic: str, given: str, scopes: Collection[str], path: str) -> str:
    """A selection on the topic's type, within its limits and the key's permissions, as it is kept."""
    try:
        parsed = parse(given, max_lexical_tokens=MOST_TOKENS, no_location=True)
    except GraphQLError as error:
        raise _refuse(f"Not a selection: {error.message[:300]}", path, "graphql") from None
    operation = parsed.definitions[0]
    if (
        len(parsed.definitions) != 1
        or not isinstance(operation, OperationDefinitionNode)
        or not given.lstrip().startswith("{")
    ):
        raise _refuse("One selection: { field field { field } }", path, "graphql")
    kept = print_ast(operation.selection_set)
    document = document_of(topic, kept)
    _measure(schema, topic, operation.selection_set, path)
    if errors := validate(schema, document, max_errors=5):
        raise _refuse("; ".join(error.message for error in errors)[:500], path, "graphql")
    asked = {need.permission for need in needs(schema, document, _operation(document))} - {AUTHENTICATED}
    if missing := sorted(asked - set(scopes)):
        raise _refuse(f"The key lacks {', '.join(missing)}", path, "scopes")
    return kept


def _measure(schema: GraphQLSchema, topic: str, selection: SelectionSetNode, path: str) -> None:
    """Depth, fields and lists, as every delivery pays for them."""
    fields = lists = 0
    todo: list[tuple[Any, SelectionSetNode, int, bool]] = [(schema.get_type(topic), selection, 1, False)]
    while todo:
        parent, inner, depth, listed = todo.pop()
        for node in inner.selections:
            if isinstance(node, FragmentSpreadNode):
                raise _refuse("No named fragments; write the fields out", path, "graphql")
            if isinstance(node, InlineFragmentNode):
                on = schema.get_type(node.type_condition.name.value) if node.type_condition else parent
                todo.append((on, node.selection_set, depth, listed))
                continue
            assert isinstance(node, FieldNode)
            fields += 1
            definition = getattr(parent, "fields", {}).get(node.name.value)
            kind = None if definition is None else get_named_type(definition.type)
            is_list = kind is not None and kind.name.endswith("Connection")
            lists += is_list
            if fields > MOST_FIELDS or depth > MOST_DEPTH or lists > MOST_LISTS or (is_list and listed):
                said = f"At most {MOST_FIELDS} fields, {MOST_DEPTH} deep, and {MOST_LISTS} lists, none within another"
                raise _refuse(said, path, "complexity")
            if node.selection_set is not None and kind is not None:
                todo.append((kind, node.selection_set, depth + 1, listed or is_list))


@lru_cache(1_000)
def document_of(topic: str, selection: str) -> DocumentNode:
    """Reads one object and nothing beside it."""
    return parse(f"query ($id: ID!) {{ node(id: $id) {{ ... on {topic} {selection} }} }}", no_location=True)


async def read(
    schema: GraphQLSchema, database: Database, actor: Actor, topic: str, entity_id: int, selection: str
) -> dict[str, Any] | None:
    """The object as the actor sees it now; None where it is out of sight. Fault where a permission is missing."""
    document = document_of(topic, selection)
    check(needs(schema, document, _operation(document)), actor)
    nobody: Any = None  # a query neither listens nor signs in
    context = Context(actor, database, nobody, nobody)
    try:
        result: Any = execute(
            schema, document, context_value=context, variable_values={"id": encode(topic, entity_id)},
            is_awaitable=is_awaitable,
        )  # fmt: skip
        if not isinstance(result, ExecutionResult):
            result = await result
    finally:
        await context.close()
    if result.errors:
        raise PayloadFailed(topic) from result.errors[0]
    found: dict[str, Any] | None = result.data["node"]
    return found


def _operation(document: DocumentNode) -> OperationDefinitionNode:
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)
    return operation


def _refuse(message: str, path: str, constraint: str) -> ValidationFailed:
    return ValidationFailed(message, path=tuple(path.split(".")), constraint=constraint)

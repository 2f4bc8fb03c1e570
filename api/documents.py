"""Documents parsed once, measured once and validated once; the schema does not change while the process lives."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import strawberry
from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    parse,
    validate,
)

from api.errors import Rejected
from api.limits import Limits, check_document, root_fields
from api.pricing import Price, Pricing
from schema.permissions import PUBLIC, Need, needs
from schema.plans.execute import Prepared

CACHED_LENGTH = 32_768
"""Longer sources are mostly comments and are parsed each time, so that the cache has a bound in bytes too."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a document, with what every transport asks about it."""

    document: DocumentNode
    node: OperationDefinitionNode
    name: str | None
    kind: OperationType
    roots: tuple[str, ...]
    needs: tuple[Need, ...]
    prepared: Prepared
    price: Price
    """What it costs, by its variables."""
    guesses: bool
    """A mutation open to anybody: it may hash a password while it holds a connection, so only some run at once."""

    @property
    def introspects(self) -> bool:
        return "__schema" in self.roots or "__type" in self.roots


Operations: TypeAlias = Mapping[str | None, Operation]


def named(operations: Operations, name: str | None) -> Operation:
    """The operation a request means."""
    if name is None and len(operations) == 1:
        return next(iter(operations.values()))
    if name not in operations:
        said = "Name one of the operations" if name is None else f"There is no operation named {name[:80]!r}"
        raise Rejected.because("OPERATION_RESOLUTION_FAILURE", said)
    return operations[name]


class Documents:
    """The latest documents, by their text."""

    def __init__(self, schema: strawberry.Schema, limits: Limits, *, suggestions: bool, size: int = 1_000) -> None:
        self._strawberry = schema
        self._schema = schema._schema
        self._limits = limits
        self._suggestions = suggestions
        self._size = size
        self._pricing = Pricing(schema._schema)
        self._known: OrderedDict[str, Mapping[str | None, Operation]] = OrderedDict()

    def known(self, source: str) -> Operations | None:
        """The operations of a document that was read before."""
        operations = self._known.get(source)
        if operations is not None:
            self._known.move_to_end(source)
        return operations

    def read(self, source: str) -> Operations:
        """The operations of a document, or Rejected with everything that is wrong with it."""
        operations = self._read(source)
        if len(source) <= CACHED_LENGTH:
            self._known[source] = operations
            if len(self._known) > self._size:
                self._known.popitem(last=False)
        return operations

    def _read(self, source: str) -> Operations:
        document = self._parsed(source)
        check_document(document, self._limits)
        errors = validate(self._schema, document, max_errors=20, hide_suggestions=not self._suggestions)
        if errors:
            raise Rejected([_invalid(error) for error in errors])
        fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
        operations = {}
        for node in document.definitions:
            if isinstance(node, OperationDefinitionNode):
                name = node.name.value if node.name else None
                roots = tuple(field.name.value for field in root_fields(node, fragments))
                needed = needs(self._schema, document, node)
                price = self._pricing.price(node, fragments)
                prepared = Prepared(self._strawberry, document, node)
                guesses = node.operation is OperationType.MUTATION and any(n.permission == PUBLIC for n in needed)
                operations[name] = Operation(
                    document, node, name, node.operation, roots, needed, prepared, price, guesses
                )
        if not operations:
            raise Rejected.because("OPERATION_RESOLUTION_FAILURE", "The document holds no operation")
        return operations

    def _parsed(self, source: str) -> DocumentNode:
        try:
            return parse(source, max_lexical_tokens=self._limits.tokens, max_comments=self._limits.tokens)
        except GraphQLSyntaxError as error:
            if "contains more than" in error.message:
                said = f"The document has more than {self._limits.tokens} tokens"
                raise Rejected.because("OPERATION_TOO_COMPLEX", said, limit=self._limits.tokens) from None
            if "nested too deeply" in error.message:
                raise Rejected.because("OPERATION_TOO_COMPLEX", "The document is nested too deeply") from None
            raise Rejected([error]) from None


def _invalid(error: GraphQLError) -> GraphQLError:
    return GraphQLError(error.message, nodes=error.nodes, extensions={"code": "GRAPHQL_VALIDATION_FAILED"})

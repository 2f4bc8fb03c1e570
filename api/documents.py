"""Documents parsed once, measured once and validated once; the schema does not change while the process lives."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import strawberry
from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    Token,
    TokenKind,
    parse,
    validate,
)

from api.errors import Rejected
from api.limits import (
    ABORTED,
    CHARACTERS_TO_A_TOKEN,
    Limits,
    Measures,
    check_document,
    root_fields,
    rules_within,
    too_complex,
)
from api.pricing import Price, Pricing
from schema.permissions import PUBLIC, Need, needs
from schema.plans.execute import Prepared

MOST_ERRORS = 20
CACHED_LENGTH = 32_768
"""Longer sources are mostly comments and are parsed each time."""
MOST_CHARACTERS = 600_000
"""Of the documents kept: what is made of one takes 100 to 175 times its length, so about 100 MiB at the most."""
_UNCOUNTED = (TokenKind.SOF, TokenKind.EOF, TokenKind.COMMENT)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a document, with what every transport asks about it."""

    document: DocumentNode
    node: OperationDefinitionNode
    name: str | None
    kind: OperationType
    kind_name: str
    attributes: dict[str, str]
    """Of its span in a trace."""
    roots: tuple[str, ...]
    needs: tuple[Need, ...]
    prepared: Prepared
    price: Price
    """What it costs, by its variables."""
    measures: Measures
    """Of the document it stands in."""
    trusted: bool
    guesses: bool
    """A mutation open to anybody: it may hash a password while it holds a connection, so only some run at once."""

    @property
    def introspects(self) -> bool:
        return "__schema" in self.roots or "__type" in self.roots


class Operations(Mapping[str | None, Operation]):
    """The operations of a document. What is asked about one of them is found out when it is first named: a document of
    twenty costs no more than what is run of it."""

    def __init__(
        self, length: int, nodes: Mapping[str | None, OperationDefinitionNode],
        make: Callable[[OperationDefinitionNode], Operation],
    ) -> None:  # fmt: skip
        self._length = length
        self._nodes = nodes
        self._make = make
        self._made: dict[str | None, Operation] = {}
        self.meant: dict[str | None, Operation] = {}
        """By what requests have called them so far; the only one may be called nothing."""

    @property
    def weight(self) -> int:
        """What it takes to keep them, in characters of a document: the text, and the plans made of it by now."""
        return self._length + sum(one.prepared.weight for one in self._made.values())

    def __getitem__(self, name: str | None) -> Operation:
        operation = self._made.get(name)
        if operation is None:
            operation = self._made[name] = self._make(self._nodes[name])
        return operation

    def __contains__(self, name: object) -> bool:
        return name in self._nodes

    def __iter__(self) -> Iterator[str | None]:
        return iter(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)


def named(operations: Operations, name: str | None) -> Operation:
    """The operation a request means."""
    if (meant := operations.meant.get(name)) is not None:
        return meant
    own = next(iter(operations)) if name is None and len(operations) == 1 else name
    if own not in operations:
        said = "Name one of the operations" if name is None else f"There is no operation named {name[:80]!r}"
        raise Rejected.because("OPERATION_RESOLUTION_FAILURE", said)
    meant = operations.meant[name] = operations[own]
    return meant


class Kept:
    """Documents up to a weight. What has to go is the longest unused of the owner who has the most: nobody displaces those
    of others who have less."""

    def __init__(self, most: int, size: int) -> None:
        self._most = most
        self._least = most // size
        """No document counts for less, so that there are at most `size`."""
        self._owned: defaultdict[int | None, OrderedDict[Hashable, Operations]] = defaultdict(OrderedDict)
        self._found: dict[Hashable, tuple[int | None, int, int]] = {}
        """Who owns a document, and what it weighed after how many plans had been made."""
        self._held: Counter[int | None] = Counter()
        self.weight = 0

    def __len__(self) -> int:
        return len(self._found)

    def get(self, key: Hashable) -> Operations | None:
        known = self._found.get(key)
        if known is None:
            return None
        owner, _, plans = known
        owned = self._owned[owner]
        operations = owned[key]
        owned.move_to_end(key)
        if plans != Prepared.made:  # perhaps of this one
            self._weigh(key, owner, operations)
        return operations

    def put(self, key: Hashable, operations: Operations, owner: int | None, *, first_to_go: bool = False) -> None:
        self.drop(key)
        self._owned[owner][key] = operations
        if first_to_go:
            self._owned[owner].move_to_end(key, last=False)
        self._weigh(key, owner, operations)
        while self.weight > self._most:
            self.drop(next(iter(self._owned[max(self._held, key=self._held.__getitem__)])))

    def has_room(self, length: int, owner: int | None) -> bool:
        """Would a document that was read now stay: is there room, or has somebody else more than the owner would have."""
        weight = max(length, self._least)
        if self.weight + weight <= self._most:
            return True
        return self._held[owner] + weight <= max(self._held.values(), default=0)

    def drop(self, key: Hashable) -> None:
        if (known := self._found.pop(key, None)) is None:
            return
        owner, weight, _ = known
        self.weight -= weight
        self._held[owner] -= weight
        del self._owned[owner][key]
        if not self._owned[owner]:
            del self._owned[owner], self._held[owner]

    def _weigh(self, key: Hashable, owner: int | None, operations: Operations) -> None:
        weight = self._weighed(operations)
        more = weight - self._found.get(key, (owner, 0, 0))[1]
        self._found[key] = (owner, weight, Prepared.made)
        self._held[owner] += more
        self.weight += more

    def _weighed(self, operations: Operations) -> int:
        return max(operations.weight, self._least)


class Documents:
    """The latest documents, by their text. One that several organizations send belongs to the one that sent it first."""

    def __init__(
        self, schema: strawberry.Schema, limits: Limits, *, suggestions: bool, size: int = 1_000, trusted: bool = False
    ) -> None:
        self._strawberry = schema
        self._schema = schema._schema
        self._limits = limits
        self._suggestions = suggestions
        self._trusted = trusted
        self._rules = rules_within(limits)
        self._pricing = Pricing(schema._schema)
        self._kept = Kept(MOST_CHARACTERS, size)

    def known(self, source: str) -> Operations | None:
        """The operations of a document that was read before."""
        return self._kept.get(source)

    def read(self, source: str, owner: int | None = None) -> Operations:
        """The operations of a document of an organization, or Rejected with everything that is wrong with it."""
        operations = self._read(source)
        if len(source) <= CACHED_LENGTH:
            self._kept.put(source, operations, owner)
        return operations

    def _read(self, source: str) -> Operations:
        document, tokens = self._parsed(source)
        measures = check_document(document, tokens, self._limits)
        errors = validate(
            self._schema, document, self._rules, max_errors=MOST_ERRORS, hide_suggestions=not self._suggestions
        )
        if errors and errors[-1].message == ABORTED:
            raise Rejected.because("OPERATION_TOO_COMPLEX", "Too many fields and fragments overlap")
        if errors:
            raise Rejected([_invalid(error) for error in errors])
        nodes = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        if not nodes:
            raise Rejected.because("OPERATION_RESOLUTION_FAILURE", "The document holds no operation")
        by_name = {node.name.value if node.name else None: node for node in nodes}
        return Operations(len(source), by_name, partial(self._made, document, measures))

    def _made(self, document: DocumentNode, measures: Measures, node: OperationDefinitionNode) -> Operation:
        fragments = {d.name.value: d for d in document.definitions if isinstance(d, FragmentDefinitionNode)}
        name = node.name.value if node.name else None
        roots = tuple(field.name.value for field in root_fields(node, fragments))
        needed = needs(self._schema, document, node)
        price = self._pricing.price(node, fragments)
        prepared = Prepared(self._strawberry, document, node)
        guesses = node.operation is OperationType.MUTATION and any(n.permission == PUBLIC for n in needed)
        kind_name = node.operation.value
        attributes = {"graphql.operation.type": kind_name, "graphql.operation.name": name or ""}
        return Operation(
            document, node, name, node.operation, kind_name, attributes, roots, needed, prepared, price, measures,
            self._trusted, guesses,
        )  # fmt: skip

    def _parsed(self, source: str) -> tuple[DocumentNode, int]:
        """The document, and how many tokens it has."""
        if len(source) > (most := self._limits.tokens * CHARACTERS_TO_A_TOKEN):
            raise too_complex("Characters of the document", len(source), most)
        try:
            document = parse(source, max_lexical_tokens=self._limits.tokens, max_comments=self._limits.tokens)
        except GraphQLSyntaxError as error:
            if "contains more than" in error.message:
                said = f"The document has more than {self._limits.tokens} tokens"
                raise Rejected.because("OPERATION_TOO_COMPLEX", said, limit=self._limits.tokens) from None
            if "nested too deeply" in error.message:
                raise Rejected.because("OPERATION_TOO_COMPLEX", "The document is nested too deeply") from None
            raise Rejected([error]) from None
        return document, _part(document)


def _part(document: DocumentNode) -> int:
    """Tokens refer to those before and after them: a document that is forgotten would stay until all of the memory is
    searched for such circles, which is hardly ever. Answers how many there were, without comments."""
    assert document.loc is not None
    token: Token | None = document.loc.start_token
    counted = 0
    while token is not None:
        counted += token.kind not in _UNCOUNTED
        following, token.prev, token.next = token.next, None, None
        token = following
    return counted


def _invalid(error: GraphQLError) -> GraphQLError:
    return GraphQLError(error.message, nodes=error.nodes, extensions={"code": "GRAPHQL_VALIDATION_FAILED"})

"""What callers may ask for at most. A document is measured before it is validated: validation itself is what large ones abuse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from graphql import (
    ASTValidationRule,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    OverlappingFieldsCanBeMergedRule,
    SelectionSetNode,
    StringValueNode,
    ValidationContext,
    specified_rules,
)
from graphql.language import Node
from graphql.language.ast import QUERY_DOCUMENT_KEYS

from api.errors import Rejected
from api.introspection import check_introspection

MOST_REPEATS = 20
"""The same field, fragment or `... on` side by side: validation compares each with each."""
TOKENS_TO_A_FRAGMENT = 20
"""There may be a fragment to so many tokens a document may have: validation compares each fragment with each as well."""
TOKENS_TO_AN_OPERATION = 50
"""And an operation to so many: each is validated together with all fragments it reaches."""
CHARACTERS_TO_A_TOKEN = 100
"""Strings and comments are read by the character, before there is a token to count."""
COMPARISONS_TO_A_TOKEN = 5
"""What validation may compare, field with field and fragment with fragment, by the tokens a document may have. All operations
of client-examples together take 24; thirty fragments that overlap took 85,000."""
MOST_NESTING = 32
"""Levels of lists and objects in the variables; the deepest input of the schema has fewer than ten."""
MOST_NESTED = 20_000
"""Lists and objects in the variables: coercing them is work no timeout can interrupt."""
ABORTED = "Validation aborted."
"""The last error of a validation that took too long."""
_LOOKED_INTO = (list, dict)


@dataclass(frozen=True, slots=True)
class Limits:
    """Every one of them is a setting, and all but `body` are settings an organization may have of its own
    (`modules/platform/limits`, by these names)."""

    tokens: int = 1_000
    depth: int = 12
    aliases: int = 30
    directives: int = 8
    root_mutations: int = 10
    list_variable: int = 1_000
    body: int = 1_048_576
    operation_seconds: float = 10.0
    statement_milliseconds: int = 10_000
    operations_at_once: int = 10
    operations_waiting: int = 500
    subscriptions: int = 100
    sockets: int = 20


Own: TypeAlias = Mapping[int | None, Limits]
"""Those of the organizations whose limits are not the server's, as they were some seconds ago."""


@dataclass(frozen=True, slots=True)
class Measures:
    """What a document asks for, of what has a limit of the same name: of each place and each operation the most."""

    tokens: int
    directives: int
    aliases: int
    depth: int
    root_mutations: int


MEASURED: Final = {
    "tokens": "Tokens of the document",
    "directives": "Directives in one place",
    "aliases": "Aliases",
    "depth": "Depth",
    "root_mutations": "Mutations in one operation",
}


def too_complex(what: str, asked: int, limit: int, **details: Any) -> Rejected:
    said = f"{what}: {asked}, at most {limit}"
    return Rejected.because("OPERATION_TOO_COMPLEX", said, limit=limit, requested=asked, **details)


def check_measures(measures: Measures, limits: Limits) -> None:
    for name, what in MEASURED.items():
        asked, most = getattr(measures, name), getattr(limits, name)
        if asked > most:
            raise too_complex(what, asked, most)


def check_document(document: DocumentNode, tokens: int, limits: Limits) -> Measures:
    """One walk for what counts anywhere in the text, then the depth of each operation through its fragments."""
    parts = [d for d in document.definitions if isinstance(d, FragmentDefinitionNode)]
    operations = [d for d in document.definitions if isinstance(d, OperationDefinitionNode)]
    for what, asked, each in (
        ("Fragments", len(parts), TOKENS_TO_A_FRAGMENT),
        ("Operations in one document", len(operations), TOKENS_TO_AN_OPERATION),
    ):
        if asked > (most := limits.tokens // each):
            raise too_complex(what, asked, most)
    fragments = {part.name.value: part for part in parts}
    aliases = directives = 0
    stack: list[Node] = [document]
    while stack:
        node = stack.pop()
        if isinstance(node, FieldNode) and node.alias:
            aliases += 1
        if isinstance(node, SelectionSetNode):
            _check_repeats(node)
        if isinstance(node, StringValueNode) and "\x00" in node.value:
            raise Rejected.because("BAD_USER_INPUT", "Text cannot hold the character NUL")
        directives = max(directives, len(getattr(node, "directives", None) or ()))
        for key in QUERY_DOCUMENT_KEYS.get(node.kind, ()):
            child = getattr(node, key, None)
            if isinstance(child, Node):
                stack.append(child)
            elif child:
                stack.extend(child)
    known: dict[str, int] = {}
    roots = [root_fields(operation, fragments) for operation in operations]
    depths = [_depth(operation.selection_set, fragments, known, frozenset()) for operation in operations]
    mutations = [len(r) for r, o in zip(roots, operations, strict=True) if o.operation is OperationType.MUTATION]
    measures = Measures(tokens, directives, aliases, max(depths, default=0), max(mutations, default=0))
    check_measures(measures, limits)
    for fields in roots:
        check_introspection(fields, fragments)
    return measures


def rules_within(limits: Limits) -> list[type[ASTValidationRule]]:
    """The rules of validation; the one that compares fields gives up where that takes too long, which is told by ABORTED."""

    class Merging(OverlappingFieldsCanBeMergedRule):
        def __init__(self, context: ValidationContext) -> None:
            super().__init__(context)
            self.rule_context.remaining_complexity_budget = limits.tokens * COMPARISONS_TO_A_TOKEN

    return [Merging if rule is OverlappingFieldsCanBeMergedRule else rule for rule in specified_rules]


def _check_repeats(selections: SelectionSetNode) -> None:
    if len(selections.selections) > MOST_REPEATS:
        _, most = Counter(map(_meant, selections.selections)).most_common(1)[0]
        if most > MOST_REPEATS:
            raise too_complex("Repetitions in one place", most, MOST_REPEATS)


def _meant(node: Node) -> tuple[str, str | None]:
    """What a selection adds to the answer, by name."""
    if isinstance(node, FieldNode):
        return "field", (node.alias or node.name).value
    if isinstance(node, FragmentSpreadNode):
        return "fragment", node.name.value
    condition = getattr(node, "type_condition", None)
    return "inline", None if condition is None else condition.name.value


def _depth(
    selections: SelectionSetNode | None,
    fragments: Mapping[str, FragmentDefinitionNode],
    known: dict[str, int],
    above: frozenset[str],
) -> int:
    """Levels of fields. Introspection has a rule of its own; a fragment inside itself is left to validation."""
    deepest = 0
    for node in selections.selections if selections else ():
        if isinstance(node, FieldNode):
            inner = 0 if node.name.value.startswith("__") else _depth(node.selection_set, fragments, known, above)
            deepest = max(deepest, 1 + inner)
        elif isinstance(node, InlineFragmentNode):
            deepest = max(deepest, _depth(node.selection_set, fragments, known, above))
        elif isinstance(node, FragmentSpreadNode):
            name = node.name.value
            if name in above or name not in fragments:
                continue
            if name not in known:
                known[name] = _depth(fragments[name].selection_set, fragments, known, above | {name})
            deepest = max(deepest, known[name])
    return deepest


def root_fields(operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]) -> list[FieldNode]:
    """The fields an operation asks of its root type, also those that stand in fragments."""
    found: list[FieldNode] = []
    seen: set[str] = set()
    todo: list[Any] = [operation]
    while todo:
        for node in todo.pop().selection_set.selections:
            if isinstance(node, FieldNode):
                found.append(node)
            elif isinstance(node, InlineFragmentNode):
                todo.append(node)
            elif node.name.value in fragments and node.name.value not in seen:
                seen.add(node.name.value)
                todo.append(fragments[node.name.value])
    return found


def check_variables(variables: Mapping[str, Any], limits: Limits) -> None:
    """Lists of bearable length, nesting that can be walked, and no text PostgreSQL cannot hold."""
    stack: list[tuple[Any, int]] = [(variables, 0)]
    nested = 0
    while stack:
        value, depth = stack.pop()
        if isinstance(value, list) and len(value) > limits.list_variable:
            raise too_complex("Entries of a list in the variables", len(value), limits.list_variable)
        if depth > MOST_NESTING:
            raise too_complex("Nesting of the variables", depth, MOST_NESTING)
        nested += 1
        if nested > MOST_NESTED:
            raise Rejected.because(
                "OPERATION_TOO_COMPLEX", f"At most {MOST_NESTED} lists and objects in the variables", limit=MOST_NESTED
            )
        inner = value.values() if isinstance(value, dict) else value
        for one in inner:
            if isinstance(one, str):
                if "\x00" in one:
                    raise Rejected.because("BAD_USER_INPUT", "Text cannot hold the character NUL")
            elif isinstance(one, _LOOKED_INTO):
                stack.append((one, depth + 1))

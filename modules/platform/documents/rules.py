"""When a document can be trusted: it is one, of bearable size, and fits the schema. Its name in requests is its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from graphql import GraphQLError, GraphQLSchema, OperationDefinitionNode, parse, validate

from db.refusal import ValidationFailed

MOST = 100
"""Documents registered at once."""
LONGEST = 262_144
TOKENS = 10_000


@dataclass(frozen=True, slots=True)
class Checked:
    """A document as it will be kept."""

    hash: str
    name: str
    text: str


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def problems(schema: GraphQLSchema, text: str) -> list[str]:
    """What is wrong with a document; empty where it can be run."""
    if len(text) > LONGEST:
        return [f"At most {LONGEST} characters"]
    try:
        document = parse(text, max_lexical_tokens=TOKENS, max_comments=TOKENS)
    except GraphQLError as error:
        return [error.message]
    if not any(isinstance(definition, OperationDefinitionNode) for definition in document.definitions):
        return ["The document holds no operation"]
    return [error.message for error in validate(schema, document, max_errors=5, hide_suggestions=True)]


def named(text: str, name: str | None) -> str:
    """The name it was given, else those of its operations."""
    if name:
        return name[:255]
    operations = [d for d in parse(text).definitions if isinstance(d, OperationDefinitionNode)]
    return ", ".join(d.name.value if d.name else d.operation.value for d in operations)[:255]


def checked(schema: GraphQLSchema, given: Sequence[tuple[str | None, str]]) -> list[Checked]:
    """Names and texts as documents to be kept, once each, or the refusal of the first that cannot be."""
    if not 1 <= len(given) <= MOST:
        raise ValidationFailed(f"From 1 to {MOST} documents", path=("documents",), constraint=f"maxItems {MOST}")
    found: dict[str, Checked] = {}
    for place, (name, text) in enumerate(given):
        if wrong := problems(schema, text):
            raise ValidationFailed(wrong[0][:500], path=("documents", str(place), "text"), constraint="graphql")
        found.setdefault(digest(text), Checked(digest(text), named(text, name), text))
    return list(found.values())

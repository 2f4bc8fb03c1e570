"""Which variables of an operation decide what is planned: flags of directives, and ids, which tell types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from graphql import FieldNode, FragmentSpreadNode, OperationDefinitionNode, VariableNode
from graphql.execution.collect_fields import FragmentDetails
from graphql.language import Visitor, visit

from schema.plans.collect import type_named


@dataclass(frozen=True, slots=True)
class Deciding:
    flags: tuple[str, ...]
    """Variables named by @skip and @include."""
    ids: tuple[str, ...]
    """Those whose ids tell the type of `node(id)`."""

    def key(self, known: Mapping[str, Any]) -> tuple[Any, ...]:
        """Of the plan for these values."""
        return (*(known.get(name) for name in self.flags), *(type_named(known.get(name)) for name in self.ids))


def deciding(operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDetails]) -> Deciding:
    """Of this operation: another of the document may give the same name to something else."""
    visitor = _Visitor()
    visit(operation, visitor)
    for name in visitor.spreads:  # it grows meanwhile
        if name in fragments:
            visit(fragments[name].definition, visitor)
    return Deciding(tuple(dict.fromkeys(visitor.flags)), tuple(dict.fromkeys(visitor.ids)))


class _Visitor(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.flags: list[str] = []
        self.ids: list[str] = []
        self.spreads: list[str] = []

    def enter_directive(self, node: Any, *_: Any) -> None:
        self.flags += _variables(node)

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: Any) -> None:
        if node.name.value not in self.spreads:
            self.spreads.append(node.name.value)

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        if node.name.value == "node":
            self.ids += _variables(node)


def _variables(node: Any) -> list[str]:
    return [one.value.name.value for one in node.arguments or () if isinstance(one.value, VariableNode)]

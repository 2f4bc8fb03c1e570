"""Which variables of an operation decide what is planned: flags of directives, and ids, which tell types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import FieldNode, FragmentSpreadNode, ListValueNode, OperationDefinitionNode, ValueNode, VariableNode
from graphql.execution.collect_fields import FragmentDetails
from graphql.language import Visitor, visit

from schema.faults import Fault
from schema.ids import decode
from schema.node import NODES


def type_named(id: Any) -> str | None:
    """The type an id names, if there is one."""
    try:
        named, _ = decode(id)
    except (Fault, TypeError):
        return None
    return named if named in NODES else None


@dataclass(frozen=True, slots=True)
class Deciding:
    flags: tuple[str, ...]
    """Variables named by @skip and @include."""
    ids: tuple[str, ...]
    """Those whose ids tell the types of `node(id)` and `nodes(ids)`."""

    def key(self, known: Mapping[str, Any]) -> tuple[Any, ...]:
        """Of the plan for these values."""
        return (*(known.get(name) for name in self.flags), *(_types(known.get(name)) for name in self.ids))


def _types(ids: Any) -> tuple[str, ...] | str | None:
    """Of a list each once: neither their order nor their number decides."""
    return tuple(sorted({type_named(id) or "" for id in ids})) if isinstance(ids, list) else type_named(ids)


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
        self.flags += _variables(argument.value for argument in node.arguments or ())

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: Any) -> None:
        if node.name.value not in self.spreads:
            self.spreads.append(node.name.value)

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        if node.name.value in ("node", "nodes"):
            for argument in node.arguments or ():
                value = argument.value
                self.ids += _variables(value.values if isinstance(value, ListValueNode) else [value])


def _variables(values: Iterable[ValueNode]) -> list[str]:
    return [value.name.value for value in values if isinstance(value, VariableNode)]

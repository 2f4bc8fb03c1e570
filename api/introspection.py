"""How far questions about the schema may go: it refers to itself, so a short document could ask for all of it squared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphql import FieldNode, FragmentDefinitionNode, FragmentSpreadNode, SelectionSetNode

from api.errors import Rejected

LISTS = frozenset({"types", "fields", "inputFields", "interfaces", "possibleTypes"})
MOST_LISTS = 2
"""Lists within lists: `types { fields }` is what every tool asks for."""
MOST_ROOTS = 3
"""`__schema` and `__type` in one operation; tools ask for two or three types at once to see what is supported."""


def check_introspection(roots: Sequence[FieldNode], fragments: Mapping[str, FragmentDefinitionNode]) -> None:
    asked = [root for root in roots if root.name.value in ("__schema", "__type")]
    if len(asked) > MOST_ROOTS:
        raise _refused(f"Questions about the schema: {len(asked)}, at most {MOST_ROOTS}")
    for root in asked:
        if _lists(root.selection_set, fragments, {}, frozenset()) > MOST_LISTS:
            raise _refused(f"Lists within lists of the schema: at most {MOST_LISTS}")


def _lists(
    selections: SelectionSetNode | None,
    fragments: Mapping[str, FragmentDefinitionNode],
    known: dict[str, int],
    above: frozenset[str],
) -> int:
    """Levels of lists. A fragment inside itself is left to validation."""
    deepest = 0
    for node in selections.selections if selections else ():
        if isinstance(node, FieldNode):
            is_list = node.name.value in LISTS
            if is_list and node.alias:
                raise _refused("Lists of the schema are asked for by their own names")
            deepest = max(deepest, is_list + _lists(node.selection_set, fragments, known, above))
        elif isinstance(node, FragmentSpreadNode):
            name = node.name.value
            if name in above or name not in fragments:
                continue
            if name not in known:
                known[name] = _lists(fragments[name].selection_set, fragments, known, above | {name})
            deepest = max(deepest, known[name])
        else:
            deepest = max(deepest, _lists(getattr(node, "selection_set", None), fragments, known, above))
    return deepest


def _refused(said: str) -> Rejected:
    return Rejected.because("OPERATION_TOO_COMPLEX", said)

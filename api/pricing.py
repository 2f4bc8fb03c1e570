"""The price of an operation: a function of its variables, made once per document from the weights in the SDL.

Nearly all of a price is a constant; only sizes of pages and conditions that stand in variables are left for the request.
The formula is told in docs/limits.md and frozen by golden tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from graphql import (
    ArgumentNode,
    BooleanValueNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_composite_type,
    is_list_type,
    is_non_null_type,
    value_from_ast_untyped,
)

from schema import cost

MOST = 2_147_483_647
"""A price above this is told as this."""

Variables: TypeAlias = Mapping[str, Any]
Price: TypeAlias = Callable[[Variables], int]
Known: TypeAlias = list[int]
"""What the fragments priced so far weigh, in the order in which they need each other."""
Term: TypeAlias = int | Callable[[Variables, Known], int]


@dataclass(frozen=True, slots=True)
class _Size:
    """How many entries the lists below a field have, by name; None is every list."""

    entries: Term
    fields: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Weight:
    field: int
    """Of asking for it at all."""
    each: int
    """Of each entry it answers."""
    sizes: cost.ListSize | None


class Pricing:
    """Prices operations of one schema."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._known: dict[tuple[str, str], Weight] = {}

    def price(self, node: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]) -> Price:
        """The operation's price by its variables. The document is valid."""
        made = _Made(self, self._schema, fragments, node)
        total, steps = made.total, made.steps
        if isinstance(total, int):
            fixed = min(total, MOST)
            return lambda _variables: fixed
        if not steps:
            return lambda variables: min(total(variables, []), MOST)

        def priced(variables: Variables) -> int:
            known: Known = []
            for step in steps:
                known.append(step(variables, known))
            return min(total(variables, known), MOST)

        return priced

    def of(self, parent: Any, name: str, definition: Any) -> Weight:
        """What the SDL says of a field."""
        known = self._known.get((parent.name, name))
        if known is None:
            answered = get_named_type(definition.type)
            usual = cost.MUTATION if parent is self._schema.mutation_type else cost.FIELD
            each = cost.OBJECT if is_composite_type(answered) else cost.LEAF
            sizes = next((one for one in _directives(definition) if isinstance(one, cost.ListSize)), None)
            known = Weight(_weight(definition, usual), _weight(answered, each), sizes)
            self._known[parent.name, name] = known
        return known


def _weight(definition: Any, usual: int) -> int:
    return next((one.weight for one in _directives(definition) if isinstance(one, cost.Cost)), usual)


def _directives(definition: Any) -> list[object]:
    declared = definition.extensions.get("strawberry-definition")
    return list(getattr(declared, "directives", None) or ())


class _Made:
    """One operation, being priced. A fragment is priced once, however often it is spread."""

    def __init__(
        self,
        pricing: Pricing,
        schema: GraphQLSchema,
        fragments: Mapping[str, FragmentDefinitionNode],
        operation: OperationDefinitionNode,
    ) -> None:
        self._pricing = pricing
        self._schema = schema
        self._fragments = fragments
        self._defaults = {
            variable.variable.name.value: value_from_ast_untyped(variable.default_value)
            for variable in operation.variable_definitions or ()
            if variable.default_value is not None
        }
        self._priced: dict[tuple[str, _Size | None], Term] = {}
        self._sizes: dict[tuple[Any, ...], _Size] = {}
        self.steps: list[Callable[[Variables, Known], int]] = []
        root = schema.get_root_type(operation.operation)
        self.total = plus([cost.OPERATION, self._selection(root, operation.selection_set, None)])

    def _selection(self, parent: Any, selections: SelectionSetNode | None, sizes: _Size | None) -> Term:
        terms: list[Term] = []
        for node in selections.selections if selections else ():
            if isinstance(node, FieldNode):
                term = self._field(parent, node, sizes)
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                inner = parent if condition is None else self._schema.get_type(condition.name.value)
                term = self._selection(inner, node.selection_set, sizes)
            else:
                assert isinstance(node, FragmentSpreadNode)
                term = self._fragment(node, sizes)
            terms.append(self._where(node.directives, term))
        return plus(terms)

    def _fragment(self, spread: FragmentSpreadNode, sizes: _Size | None) -> Term:
        name = spread.name.value
        term = self._priced.get((name, sizes))
        if term is None:
            fragment = self._fragments[name]
            parent = self._schema.get_type(fragment.type_condition.name.value)
            term = self._selection(parent, fragment.selection_set, sizes)
            if not isinstance(term, int):
                place = len(self.steps)
                self.steps.append(term)
                term = _known(place)
            self._priced[name, sizes] = term
        return term

    def _field(self, parent: Any, node: FieldNode, sizes: _Size | None) -> Term:
        name = node.name.value
        definition = self._schema.get_field(parent, name)
        assert definition is not None, "the document is valid"
        if name in cost.INTROSPECTION:
            return cost.INTROSPECTION[name]
        weight = self._pricing.of(parent, name, definition)
        said = weight.sizes
        entries: Term = 1
        below: _Size | None = None
        if said is not None:
            if said.sized_fields:
                below = self._below(node, said)
            else:
                entries = self._entries(node, said)
        elif _is_list(definition.type) and is_composite_type(get_named_type(definition.type)):
            asked = sizes is not None and sizes.fields is not None and name in sizes.fields
            entries = sizes.entries if asked and sizes is not None else cost.LIST
        inner = self._selection(get_named_type(definition.type), node.selection_set, below)
        return plus([weight.field, times(entries, plus([weight.each, inner]))])

    def _below(self, node: FieldNode, said: cost.ListSize) -> _Size:
        """The size of the lists below a field. The same arguments give the same object: a fragment that is spread below a
        hundred fields is priced once, also where its size is a variable and so a function, which equals only itself."""
        stated = [a.value for a in _slicing(node, said)]
        names = [f"${v.name.value}" if isinstance(v, VariableNode) else repr(self._value(v)) for v in stated]
        fields = frozenset(said.sized_fields or ())
        key = (*names, said.assumed_size, fields)
        if key not in self._sizes:
            self._sizes[key] = _Size(self._entries(node, said), fields)
        return self._sizes[key]

    def _entries(self, node: FieldNode, said: cost.ListSize) -> Term:
        """The largest of the slicing arguments that are given, else the assumed size."""
        given = [self._value(a.value) for a in _slicing(node, said)]
        if not given:
            return said.assumed_size
        if all(not callable(one) for one in given):
            return _largest(given, said.assumed_size)
        otherwise = said.assumed_size
        if len(given) == 1:
            single: Any = given[0]
            return lambda variables, _known: _size(single(variables), otherwise)
        return lambda variables, _known: _largest([g(variables) if callable(g) else g for g in given], otherwise)

    def _where(self, directives: Any, term: Term) -> Term:
        """The term, where @skip and @include let it be."""
        for directive in directives or ():
            name = directive.name.value
            if name not in ("skip", "include") or term == 0:
                continue
            value = self._value(directive.arguments[0].value)
            wanted = name == "include"
            if callable(value):
                term = _if(value, wanted, term)
            elif value is not wanted:
                return 0
        return term

    def _value(self, node: Any) -> Any:
        """A literal's value; a variable as a function of the variables."""
        if isinstance(node, VariableNode):
            name = node.name.value
            otherwise = self._defaults.get(name)
            return lambda variables: variables.get(name, otherwise)
        if isinstance(node, IntValueNode):
            return int(node.value)
        if isinstance(node, BooleanValueNode):
            return node.value
        return [None] * len(node.values) if isinstance(node, ListValueNode) else 1


def _slicing(node: FieldNode, said: cost.ListSize) -> list[ArgumentNode]:
    wanted = said.slicing_arguments or ()
    return [a for a in node.arguments or () if a.name.value in wanted and not isinstance(a.value, NullValueNode)]


def plus(terms: list[Term]) -> Term:
    fixed = sum(term for term in terms if isinstance(term, int))
    open_ = [term for term in terms if not isinstance(term, int)]
    if not open_:
        return fixed
    if len(open_) == 1:
        one = open_[0]
        return one if fixed == 0 else lambda variables, known: fixed + one(variables, known)
    return lambda variables, known: fixed + sum(term(variables, known) for term in open_)


def times(a: Term, b: Term) -> Term:
    if isinstance(a, int):
        if isinstance(b, int):
            return a * b
        return b if a == 1 else 0 if a == 0 else lambda variables, known: a * b(variables, known)
    if isinstance(b, int):
        return 0 if b == 0 else lambda variables, known: b * a(variables, known)
    return lambda variables, known: a(variables, known) * b(variables, known)


def _if(value: Callable[[Variables], Any], wanted: bool, term: Term) -> Term:
    if isinstance(term, int):
        return lambda variables, _known: term if bool(value(variables)) is wanted else 0
    return lambda variables, known: term(variables, known) if bool(value(variables)) is wanted else 0


def _known(place: int) -> Term:
    return lambda _variables, known: known[place]


def _largest(given: list[Any], otherwise: int) -> int:
    sizes = [_size(one, -1) for one in given]
    return max(sizes) if max(sizes) >= 0 else otherwise


def _size(value: Any, otherwise: int) -> int:
    """What a slicing argument asks for: a number, or as many as a list has. What it cannot be is refused later."""
    if isinstance(value, list):
        return len(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and -MOST <= value <= MOST:
        return max(int(value), 0)
    return otherwise


def _is_list(kind: Any) -> bool:
    return is_list_type(kind.of_type if is_non_null_type(kind) else kind)

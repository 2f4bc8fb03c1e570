"""Variables and arguments as the library reads them, with the part that never changes done once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass
from operator import itemgetter
from typing import Any

import strawberry
from graphql import (
    FieldNode,
    GraphQLError,
    GraphQLField,
    GraphQLSchema,
    ObjectValueNode,
    Undefined,
    VariableDefinitionNode,
    VariableNode,
    coerce_input_value,
    get_nullable_type,
    get_variable_values,
    is_non_null_type,
)
from graphql.execution.get_variable_signature import get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource, get_argument_values
from graphql.language import Visitor, visit
from strawberry.relay import GlobalID
from strawberry.types.arguments import _is_leaf_type, _is_optional_leaf_type, convert_arguments
from strawberry.types.base import StrawberryMaybe
from strawberry.types.field import StrawberryField

Read = Callable[[VariableValues], Mapping[str, Any]]
"""From the operation's variables to what a field takes."""

_AS_THEY_ARE: dict[str, Callable[[Any], bool]] = {
    "ID": lambda value: type(value) is str,
    "String": lambda value: type(value) is str,
    "Boolean": lambda value: type(value) is bool,
    "Int": lambda value: type(value) is int and -(2**31) <= value < 2**31,
}
"""Values of JSON that are the scalar's value."""


class Variables:
    """The variables an operation declares."""

    def __init__(self, schema: GraphQLSchema, definitions: Sequence[VariableDefinitionNode]) -> None:
        self._schema = schema
        self._definitions = definitions
        signatures = [get_variable_signature(schema, definition) for definition in definitions]
        self._known = [
            (
                one,
                one.type,
                is_non_null_type(one.type),
                _AS_THEY_ARE.get(getattr(get_nullable_type(one.type), "name", "")),
            )
            for one in signatures
            if not isinstance(one, GraphQLError)
        ]
        self._plain = len(self._known) == len(definitions) and not any(d.default_value for d in definitions)

    def values(self, given: Mapping[str, Any]) -> VariableValues | None:
        """None where they do not fit: the loaders say how."""
        if not self._plain:
            found = get_variable_values(self._schema, self._definitions, dict(given))
            return found if isinstance(found, VariableValues) else None
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        for signature, kind, required, fits in self._known:
            name = signature.name
            value = given.get(name, Undefined)
            sources[name] = VariableValueSource(signature, value)
            if value is Undefined:
                if required:
                    return None
                continue
            if fits is None or not fits(value):
                value = coerce_input_value(value, kind)
                if value is Undefined:
                    return None
            coerced[name] = value
        return VariableValues(sources, coerced)


def reader(
    schema: strawberry.Schema, field: StrawberryField, definition: GraphQLField, node: FieldNode
) -> tuple[Read, bool]:
    """What reads a field's arguments, and whether they are the same whatever the variables."""
    constant = FieldNode(
        name=node.name, arguments=tuple(one for one in node.arguments or () if not _names_a_variable(one.value))
    )
    varying = [one for one in node.arguments or () if _names_a_variable(one.value)]
    convert = _converter(schema, field)

    def whole(variables: VariableValues) -> Mapping[str, Any]:
        return convert(get_argument_values(definition, node, variables))

    if not varying:
        return whole, True
    names = {argument.name.value: argument.value for argument in varying}
    scalars = {
        name: value.name.value
        for name, value in names.items()
        if isinstance(value, VariableNode) and getattr(definition.args[name].type, "name", "") in _AS_THEY_ARE
    }
    if set(scalars) != set(names) or any(is_non_null_type(argument.type) for argument in definition.args.values()):
        return _templated(definition, node, convert, whole), False
    fixed: list[Mapping[str, Any]] = []
    named = {schema.config.name_converter.from_argument(one): one.python_name for one in field.arguments}

    def quick(variables: VariableValues) -> Mapping[str, Any]:
        if not fixed:
            fixed.append(convert(get_argument_values(definition, constant, variables)))
        known = variables.coerced
        return {**fixed[0]} | {named[name]: known[variable] for name, variable in scalars.items() if variable in known}

    return quick, False


@dataclass(frozen=True, slots=True)
class _Hole:
    """Where a variable's value belongs."""

    variable: str


Fill = Callable[[Mapping[str, Any]], Any]


def _templated(
    definition: GraphQLField, node: FieldNode, convert: Callable[[dict[str, Any]], Mapping[str, Any]], whole: Read
) -> Read:
    """As `whole`, for arguments of which only some parts are variables: the library takes these as they are, so it is asked once,
    with a hole for each. What it has to say of variables that are missing or null, it says each time."""
    finder = _Finder()
    for argument in node.arguments or ():
        visit(argument, finder)
    names = tuple(dict.fromkeys(finder.names))
    fills: list[Fill | None] = []

    def quick(variables: VariableValues) -> Mapping[str, Any]:
        known = variables.coerced
        if not fills:
            holes = VariableValues(variables.sources, {**known, **{name: _Hole(name) for name in names}})
            fills.append(_filler(get_argument_values(definition, node, holes)))
        if fills[0] is None or any(known.get(name) is None for name in names):
            return whole(variables)
        return convert(fills[0](known))

    return quick


def _filler(template: Any) -> Fill | None:
    """What fills the holes of a value; None where there are none."""
    if isinstance(template, _Hole):
        return itemgetter(template.variable)
    if isinstance(template, list):
        entries = [_filler(entry) for entry in template]
        if not any(entries):
            return None
        return lambda known: [
            entry if fill is None else fill(known) for entry, fill in zip(template, entries, strict=True)
        ]
    if isinstance(template, dict):
        parts = {name: fill for name, part in template.items() if (fill := _filler(part)) is not None}
        if not parts:
            return None
        return lambda known: template | {name: fill(known) for name, fill in parts.items()}
    return None


def _converter(schema: strawberry.Schema, field: StrawberryField) -> Callable[[dict[str, Any]], Mapping[str, Any]]:
    """As the library converts them. Where it would look at each field of an input only to leave the value as it is, that is
    found out once."""
    registry, config = schema.schema_converter.scalar_registry, schema.config
    made = {
        config.name_converter.from_argument(argument): (argument.python_name, _flat(schema, argument.type))
        for argument in field.arguments
    }
    if not all(build for _, build in made.values()):
        return lambda given: convert_arguments(given, field.arguments, registry, config)
    return lambda given: {made[name][0]: made[name][1](value) for name, value in given.items()}  # type: ignore[misc]


def _flat(schema: strawberry.Schema, kind: Any) -> Callable[[Any], Any] | None:
    """What makes an input of scalars and enums; None for any other type."""
    registry, names = schema.schema_converter.scalar_registry, schema.config.name_converter
    definition: Any = getattr(kind, "__strawberry_definition__", None)
    if not getattr(definition, "is_input", False) or definition.from_input is not None:
        return None
    fields = definition.fields
    for one in fields:
        type_ = one.resolve_type(type_definition=definition)
        if not (_is_leaf_type(type_, registry) or _is_optional_leaf_type(type_, registry)):
            return None
        if isinstance(type_, StrawberryMaybe) or type_ is GlobalID or getattr(type_, "of_type", None) is GlobalID:
            return None
    absent = {f.python_name: None for f in fields if f.default_value is MISSING and f.default_factory is MISSING}
    attributes = {names.from_field(one): one.python_name for one in fields}

    def build(value: Any) -> Any:
        return value if value is None else kind(**absent | {attributes[name]: given for name, given in value.items()})

    return build


def id_reader(node: FieldNode) -> tuple[Read, bool]:
    """What reads the argument `id`, as a look-up's only key."""
    value: Any = next(argument.value for argument in node.arguments or () if argument.name.value == "id")
    if isinstance(value, VariableNode):
        variable = value.name.value
        return lambda variables: {"id": variables.coerced.get(variable)}, False
    given = {"id": value.value}
    return lambda _: given, True


def key_reader(definition: GraphQLField, node: FieldNode) -> tuple[Read, bool]:
    """What reads the argument `by` of a look-up: its one key with the value, as GraphQL knows them."""
    value = next(argument.value for argument in node.arguments or () if argument.name.value == "by")
    if isinstance(value, ObjectValueNode) and len(value.fields) == 1:
        only, kind = value.fields[0], get_nullable_type(definition.args["by"].type).fields  # type: ignore[union-attr]
        of_type = getattr(get_nullable_type(kind[only.name.value].type), "name", "")
        if isinstance(only.value, VariableNode) and of_type in _AS_THEY_ARE:
            key, variable = only.name.value, only.value.name.value
            return lambda variables: {key: variables.coerced.get(variable)}, False
    return lambda variables: get_argument_values(definition, node, variables)["by"], not _names_a_variable(value)


class _Finder(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def enter_variable(self, node: VariableNode, *_: Any) -> None:
        self.names.append(node.name.value)


def _names_a_variable(value: Any) -> bool:
    finder = _Finder()
    visit(value, finder)
    return bool(finder.names)

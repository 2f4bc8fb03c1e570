"""What Python adds to the JSON of PostgreSQL: computed fields, cursors, and the null that may not be."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Mapping, Sequence
from types import CoroutineType
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    get_nullable_type,
)
from graphql.execution.collect_fields import FieldDetails
from strawberry.types.field import StrawberryField

from schema.listing import cursor
from schema.node import SourceField
from schema.plans.encode import carried
from schema.plans.tree import (
    Edges,
    Finish,
    Given,
    Info,
    Link,
    List,
    Made,
    Nodes,
    NotPlanned,
    One,
    Root,
    Selected,
    Several,
    Unplanned,
)

Details = list[FieldDetails]
Below = Callable[[GraphQLObjectType, Details], dict[str, Details]]
"""What is asked of objects of a type, by response key."""


NO_VALUES = (BaseException, CoroutineType, Future)
"""Of no type: the executor raises or awaits them."""
NO_LISTS = (str, bytes, Mapping)
"""They can be gone through, and are no lists all the same."""


# --- values of Python -------------------------------------------------------------------------------------------------


def made(
    columns: Sequence[Any], function: Callable[..., Any], complete: Callable[[Any], Any], *, in_context: bool = False
) -> Finish:
    """A computed field: the columns' values, the function, and the result as the answer prints it."""
    readers = [found[1] for column in columns if (found := carried(column, "")) is not None]

    def make(sent: list[Any], given: Given) -> Any:
        values = [None if value is None else read(value) for read, value in zip(readers, sent, strict=True)]
        return complete(function(given.context, *values) if in_context else function(*values))

    return make


def completed(graphql_type: Any, details: Details, below: Below) -> Callable[[Any], Any]:
    """Makes what the answer prints of a value of this type. NotPlanned where that takes more than a look at its attributes."""
    plain = _completed(get_nullable_type(graphql_type), details, below)
    required = isinstance(graphql_type, GraphQLNonNull)

    def complete(value: Any) -> Any:
        if value is None:
            if required:
                raise Unplanned
            return None
        if isinstance(value, NO_VALUES):
            raise Unplanned
        return plain(value)

    return complete


def _completed(graphql_type: Any, details: Details, below: Below) -> Callable[[Any], Any]:
    if isinstance(graphql_type, GraphQLList):
        each = completed(graphql_type.of_type, details, below)

        def every(values: Any) -> list[Any]:
            if isinstance(values, NO_LISTS):
                raise Unplanned
            return [each(value) for value in values]

        return every
    if isinstance(graphql_type, GraphQLEnumType):
        enum, names = getattr(graphql_type, "wrapped_cls", None), {v.value: n for n, v in graphql_type.values.items()}
        return lambda value: names[value.value] if type(value) is enum else graphql_type.coerce_output_value(value)
    if isinstance(graphql_type, GraphQLScalarType):
        return graphql_type.coerce_output_value
    if isinstance(graphql_type, GraphQLObjectType):
        members = [_member(graphql_type, key, group, below) for key, group in below(graphql_type, details).items()]
        fits: Any = graphql_type.is_type_of

        def shown(value: Any) -> dict[str, Any]:
            if fits is not None and not fits(value, None):
                raise Unplanned
            return {key: read(value) for key, read in members}

        return shown
    raise NotPlanned(f"a value of the type {graphql_type}")


def _member(parent: GraphQLObjectType, key: str, details: Details, below: Below) -> tuple[str, Callable[[Any], Any]]:
    name = details[0].node.name.value
    if name == "__typename":
        return key, lambda _: parent.name
    definition = parent.fields[name]
    field = definition.extensions.get("strawberry-definition")
    if not isinstance(field, StrawberryField) or not field.is_basic_field:
        raise NotPlanned(f"{parent.name}.{name} is not an attribute")
    complete = completed(definition.type, details, below)
    if isinstance(field, SourceField):
        return key, lambda value: complete(field.get_result(value, None, [], {}))
    attribute = field.python_name
    return key, lambda value: complete(getattr(value, attribute))


# --- the tree ---------------------------------------------------------------------------------------------------------


def finisher(root: Root) -> Finish | None:
    """What is left to do with a root field's JSON; None: nothing, it is the answer."""
    match root:
        case One(target=target):
            return _optional(_object(target))
        case Several():
            return _several(root)
    return _list(root)


def _several(root: Several) -> Finish | None:
    finishes = [_optional(_object(target)) or _as_it_is for target in root.targets]
    if all(finish is _as_it_is for finish in finishes):
        return None

    def run(values: list[Any], given: Given) -> list[Any]:
        types, _ = given.pages[root.page].values
        return [finishes[number](value, given) for number, value in zip(types, values, strict=True)]

    return run


def _as_it_is(value: Any, _given: Given) -> Any:
    return value


def _at(steps: Sequence[tuple[str, Finish | None]]) -> Finish | None:
    """Finish some keys of an object in place, so that they stay in the document's order."""
    needed = [(key, finish) for key, finish in steps if finish is not None]
    if not needed:
        return None

    def run(value: dict[str, Any], given: Given) -> dict[str, Any]:
        for key, finish in needed:
            value[key] = finish(value[key], given)
        return value

    return run


def _optional(finish: Finish | None) -> Finish | None:
    return None if finish is None else lambda value, given: None if value is None else finish(value, given)


def _required(finish: Finish | None) -> Finish:
    def run(value: Any, given: Given) -> Any:
        if value is None:
            raise Unplanned
        return value if finish is None else finish(value, given)

    return run


def _each(finish: Finish | None) -> Finish | None:
    return None if finish is None else lambda values, given: [finish(value, given) for value in values]


def _object(selected: Selected) -> Finish | None:
    return _at([(field.key, _field(field)) for field in selected.fields])


def _field(field: object) -> Finish | None:
    match field:
        case Made(make=make):
            return make
        case Link(target=target, required=required):
            return _required(_object(target)) if required else _optional(_object(target))
        case List():
            return _list(field)
    return None


def _list(asked: List) -> Finish | None:
    return _at([(part.key, _part(part, asked.page)) for part in asked.parts])


def _part(part: object, page: int) -> Finish | None:
    match part:
        case Nodes(each=each):
            return _each(_object(each))
        case Edges(members=members):
            return _each(_at([(key, _edge(member, page)) for key, member in members]))
        case Info():
            return _page_info(part, page)
    return None


def _edge(member: str | Selected, page: int) -> Finish | None:
    if isinstance(member, Selected):
        return _object(member)
    if member != "cursor":
        return None
    return lambda position, given: cursor(given.pages[page].fingerprint, position)


def _page_info(part: Info, number: int) -> Finish:
    """From the positions of the page's rows and, where there is one, of the next: as `Page.connection` says it."""

    def run(positions: list[list[str | None]], given: Given) -> dict[str, Any]:
        page = given.pages[number]
        more, elsewhere = len(positions) > page.size, page.started
        kept = positions[: page.size]
        first, last = (kept[-1], kept[0]) if kept and page.backwards else (kept[0], kept[-1]) if kept else (None, None)
        found = {
            "hasNextPage": elsewhere if page.backwards else more,
            "hasPreviousPage": more if page.backwards else elsewhere,
            "startCursor": None if first is None else cursor(page.fingerprint, first),
            "endCursor": None if last is None else cursor(page.fingerprint, last),
        }
        return {key: name[1:] if name.startswith(":") else found[name] for key, name in part.members}

    return run

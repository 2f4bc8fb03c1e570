"""What fields weigh in the price of an operation: two directives of the SDL, so that a client can compute it as well."""

from typing import Final

import strawberry
from strawberry import UNSET
from strawberry.schema_directive import Location

OPERATION: Final = 1
"""What an operation weighs before anything is asked of it."""
FIELD: Final = 0
OBJECT: Final = 1
LEAF: Final = 0
MUTATION: Final = 10
"""What a field of Mutation weighs besides: a transaction, an audit entry, events."""
LIST: Final = 10
"""Entries a list is taken to have where nothing is said."""
INTROSPECTION: Final = {"__typename": 0, "__type": 50, "__schema": 2_000}
"""Fields no directive can be put on; what is asked below them is included."""


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION, Location.OBJECT, Location.INTERFACE],
    description="What a field weighs in the price of an operation, or each object of a type. Where it is not said, a field"
    " weighs nothing but what it answers (a field of Mutation 10 besides), an object 1, a scalar or enum 0."
    " docs/limits.md has the formula.",
)
class Cost:
    weight: int


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    description="How many entries a list is taken to have: the largest of the slicing arguments that are given (of an argument"
    " that is a list, its length), else the assumed size. It holds for the field itself, or for the sized fields below it."
    " A list of objects without the directive is taken to have 10.",
)
class ListSize:
    assumed_size: int
    slicing_arguments: list[str] | None = UNSET
    sized_fields: list[str] | None = UNSET


def costs(weight: int | None) -> list[object]:
    """The directive of a field with a weight of its own."""
    return [] if weight is None else [Cost(weight=weight)]

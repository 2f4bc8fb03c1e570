"""Enums of the public schema, made from the StrEnums of the rules."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar

import strawberry
from strawberry.types.enum import StrawberryEnumDefinition

E = TypeVar("E", bound=Enum)


def public_enum(enum_class: type[E], *, name: str, description: str, values: Mapping[str, str]) -> type[E]:
    """Publish an enum; `values` describes every member, and exactly its members."""
    members = set(enum_class.__members__)
    if members != set(values):
        raise ValueError(f"{name}: describe exactly its values; differing: {sorted(members ^ set(values))}")
    made = strawberry.enum(enum_class, name=name, description=description)
    definition: StrawberryEnumDefinition = made.__strawberry_definition__  # type: ignore[attr-defined]
    for value in definition.values:
        value.description = values[value.name]
    return made


def enum_name(enum_class: Any) -> str:
    """The public name of an enum."""
    definition: StrawberryEnumDefinition | None = getattr(enum_class, "__strawberry_definition__", None)
    if definition is None:
        raise ValueError(f"{enum_class.__name__} is not published: call public_enum() before it is listed")
    return definition.name

"""What a selection asks for, as a tree of declared fields: a plan before it is SQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLError

from schema.context import Context
from schema.faults import Fault
from schema.listing import Listing
from schema.node import Node

UNFIT = (GraphQLError, Fault, RecursionError)
"""What is raised of values that do not fit where a document puts them: the loaders say what is wrong."""


class NotPlanned(Exception):
    """This is left to the loaders; the message says why."""


NAME_BYTES = 63
"""PostgreSQL cuts longer names."""


def short(key: str) -> str:
    """A response key can be the name of a column: GraphQL's names are plain letters, digits and underscores."""
    if len(key) > NAME_BYTES:
        raise NotPlanned("a response key longer than names in PostgreSQL")
    return key


class Unplanned(Exception):
    """The loaders have to answer after all: they know the words for what is wrong."""


@dataclass(frozen=True, slots=True)
class Given:
    """What an answer is made with besides what PostgreSQL sent: the values of the operation's pages, and its context."""

    pages: Sequence[Any]
    context: Context


Finish = Callable[[Any, Given], Any]
"""The answer's value, from what PostgreSQL sent."""


@dataclass(frozen=True, slots=True)
class Typename:
    key: str
    name: str


@dataclass(frozen=True, slots=True)
class Id:
    key: str


@dataclass(frozen=True, slots=True)
class Value:
    """A column PostgreSQL prints."""

    key: str
    column: Any
    type: Any


@dataclass(frozen=True, slots=True)
class Parts:
    """An object made of columns as they are: null where the first of them is."""

    key: str
    columns: tuple[Any, ...]
    members: tuple[tuple[str, int | str, Any], ...]
    """Response key, then the place in `columns` and the type, or the name of the type."""


@dataclass(frozen=True, slots=True)
class Made:
    """A value Python makes of columns."""

    key: str
    columns: tuple[Any, ...]
    make: Finish
    """Of the list of their values."""


@dataclass(frozen=True, slots=True)
class Link:
    key: str
    column: Any
    """The foreign key."""
    target: Selected
    required: bool


@dataclass(frozen=True, slots=True)
class Nodes:
    key: str
    each: Selected


@dataclass(frozen=True, slots=True)
class Edges:
    key: str
    members: tuple[tuple[str, str | Selected], ...]
    """Response key with `cursor`, the name of the type after a colon, or what is asked of the node."""


@dataclass(frozen=True, slots=True)
class Info:
    """`pageInfo`."""

    key: str
    members: tuple[tuple[str, str], ...]
    """Response key and name of the field, or the name of the type after a colon."""


@dataclass(frozen=True, slots=True)
class Total:
    key: str
    members: tuple[tuple[str, str], ...]


Part = Nodes | Edges | Info | Total | Typename


@dataclass(frozen=True, slots=True)
class List:
    """A connection: of a root field, or of the objects whose foreign key points to the object it stands in."""

    key: str
    node: type[Node]
    listing: Listing
    foreign_key: Any | None
    page: int
    """Which of the operation's pages its arguments make."""
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class One:
    """A root field that is one object."""

    key: str
    page: int
    target: Selected


@dataclass(frozen=True, slots=True)
class Selected:
    """What is asked of each object of a type."""

    node: type[Node]
    fields: tuple[Typename | Id | Value | Parts | Made | Link | List, ...]


@dataclass(frozen=True, slots=True)
class Several:
    """A root field that is a list of objects by their ids."""

    key: str
    page: int
    targets: tuple[Selected, ...]
    """Of each type that an id names, as the page's values number them."""


Root = One | Several | List


@dataclass(slots=True)
class Arguments:
    """The arguments of one field of the document: a function from the operation's variables to what the field takes."""

    read: Callable[[Any], Mapping[str, Any]]
    constant: bool
    listing: Listing | None = None
    parent: str = ""
    node: type[Node] | None = None
    """Of a look-up: what it finds."""
    known: tuple[Any, Any] | None = None
    """The conditions read last, and their SQL."""
    keys: Mapping[str, Any] = field(default_factory=dict)
    """Of a look-up: its keys besides the id."""
    types: tuple[str, ...] = ()
    """Of objects by their ids: the types the ids name."""
    most: int = 0
    """Of objects by their ids: how many there may be."""

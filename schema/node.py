"""Types that declare: each field of an object type says, once, where its value is.

`column`, `to_one`, `to_many` and `computed` return Strawberry fields that carry the declaration. The loaders execute
them (`schema/loaders.py`); nothing in a module does.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, ClassVar, TypeVar, dataclass_transform

import strawberry
from sqlalchemy import Select, select
from strawberry import UNSET
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField
from strawberry.types.lazy_type import LazyType

from db.base import LedgerTable, PersonalTable
from schema.connection import PAGED, Connection, Page
from schema.ids import encode
from schema.listing import Listing
from schema.permissions import requires

__all__ = ["Connection", "Node", "column", "computed", "extension", "node", "to_many", "to_one"]

C = TypeVar("C", bound=type)
NODES: dict[str, type["Node"]] = {}
"""Every declared type by name, for `node(id)` and for links."""


@strawberry.interface(description="Anything with an id")
class Node:
    id: strawberry.ID = strawberry.field(description="Opaque id, unique over all types")

    __declared__: ClassVar["Declared"]

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Any:
        """An object of this type over the values of its declared columns."""
        made = cls.__new__(cls)
        made.__dict__ = {"_row": row, "id": encode(cls.__declared__.name, row["id"])}
        return made


class Source:
    """Where the value of a field is."""

    def columns(self) -> dict[str, Any]:
        """Columns of the object's own row the value is made of."""
        return {}


@dataclasses.dataclass
class Column(Source):
    column: Any

    def columns(self) -> dict[str, Any]:
        return {self.column.key: self.column}


@dataclasses.dataclass
class ToOne(Source):
    key: Any
    """The foreign key on the object's own row."""

    def columns(self) -> dict[str, Any]:
        return {self.key.key: self.key}


@dataclasses.dataclass(eq=False)
class ToMany(Source):
    key: Any
    """The foreign key on the other table, pointing here."""
    listing: Listing


@dataclasses.dataclass
class Computed(Source):
    function: Callable[..., Any]
    sources: tuple[Any, ...]
    in_context: bool = False

    def columns(self) -> dict[str, Any]:
        return {source.key: source for source in self.sources}


@dataclasses.dataclass
class Declared:
    """What an object type says of itself."""

    name: str
    table: type[LedgerTable]
    permission: str | None
    columns: dict[str, Any]
    """Every column any field of the type needs, by name; always with `id`."""

    @property
    def personal(self) -> bool:
        """Are its rows seen by one person each: what was read for one caller is no answer for another."""
        return issubclass(self.table, PersonalTable)

    @property
    def divided(self) -> bool:
        """Do its rows belong to departments."""
        return "department_id" in self.table.__table__.columns

    @cached_property
    def selection(self) -> Select[Any]:
        """The declared columns of the type's rows."""
        return select(*(column.label(name) for name, column in self.columns.items()))

    def add(self, fields: list[StrawberryField]) -> None:
        for field in fields:
            if isinstance(field, SourceField):
                self.columns.update(field.source.columns())
        self.__dict__.pop("selection", None)


class SourceField(StrawberryField):
    """A field with a declaration. Values of the row are plain look-ups: no resolver, no `Info`, no await."""

    source: Source

    def __copy__(self) -> "SourceField":
        made = super().__copy__()
        made.source = self.source
        return made

    @property
    def is_basic_field(self) -> bool:
        in_context = isinstance(self.source, Computed) and self.source.in_context
        return isinstance(self.source, Column | Computed) and not in_context and not self.extensions

    @property
    def is_async(self) -> bool:
        return isinstance(self.source, ToOne | ToMany)

    def get_result(self, source: Any, info: Any, args: list[Any], kwargs: Any) -> Any:
        declared = self.source
        if isinstance(declared, Column):
            return source._row[declared.column.key]
        if isinstance(declared, Computed):
            known = (info.context,) if declared.in_context else ()
            return declared.function(*known, *(source._row[s.key] for s in declared.sources))
        if isinstance(declared, ToOne):
            key = source._row[declared.key.key]
            return None if key is None else info.context.loaders.one(target(self)).load(key)
        assert isinstance(declared, ToMany)
        page = Page.of(declared.listing, **kwargs, parent=f"{source.__declared__.name}.{self.python_name}")
        return info.context.loaders.many(target(self), declared, page, source._row["id"])


def target(field: StrawberryField) -> type[Node]:
    """The node type a link leads to."""
    found: Any = field.type
    while True:
        if isinstance(found, LazyType):
            found = found.resolve_type()
        elif hasattr(found, "of_type"):
            found = found.of_type
        elif (definition := getattr(found, "__strawberry_definition__", None)) and definition.type_var_map:
            found = next(iter(definition.type_var_map.values()))
        else:
            return found  # type: ignore[no-any-return]


def _declared_field(source: Source, description: str, permission: str | None, deprecated: str | None) -> Any:
    field = SourceField(
        description=description,
        metadata={"permission": permission},
        directives=requires(permission),
        deprecation_reason=deprecated,
    )
    field.source = source
    field.init = field.compare = field.repr = False
    return field


def column(
    source: Any = None, *, description: str, permission: str | None = None, deprecated: str | None = None
) -> Any:
    """A column of the row; without a source, the one with the field's own name."""
    return _declared_field(Column(source), description, permission, deprecated)


def computed(
    function: Callable[..., Any],
    *sources: Any,
    description: str,
    in_context: bool = False,
    permission: str | None = None,
    deprecated: str | None = None,
) -> Any:
    """A pure function of columns of the row; `in_context`, of the operation's context before them."""
    return _declared_field(Computed(function, sources, in_context), description, permission, deprecated)


def to_one(key: Any, *, description: str, permission: str | None = None, deprecated: str | None = None) -> Any:
    """The object a foreign key of the row points to; null where the caller may not see it."""
    return _declared_field(ToOne(key), description, permission, deprecated)


def to_many(
    key: Any, listing: Listing, *, description: str, permission: str | None = None, deprecated: str | None = None
) -> Any:
    """The objects whose foreign key points here, as a connection."""
    field = _declared_field(ToMany(key, listing), description, permission, deprecated)
    field.arguments = page_arguments(listing)
    field.directives = [*field.directives, PAGED]
    return field


def argument(
    name: str, annotation: Any, description: str, default: Any = UNSET, namespace: Any = None
) -> StrawberryArgument:
    return StrawberryArgument(
        python_name=name,
        graphql_name=None,
        type_annotation=StrawberryAnnotation(annotation, namespace=namespace),
        description=description,
        default=default,
    )


def _told(listing: Listing) -> str:
    return ", then ".join(f"{name[1:]} descending" if name.startswith("-") else name for name in listing.default)


def page_arguments(listing: Listing) -> list[StrawberryArgument]:
    where, order = listing.where_input, listing.order_input
    return [
        argument("where", where | None, "Conditions the rows must meet"),
        argument("order_by", list[order] | None, f"Order of the rows; {_told(listing)} unless stated"),  # type: ignore[valid-type]
        argument("first", int | None, "Size of the page from its start, 1 to 200; 50 unless stated"),
        argument("after", str | None, "Cursor: only rows after it"),
        argument("last", int | None, "Size of the page from its end, 1 to 200"),
        argument("before", str | None, "Cursor: only rows before it"),
    ]


def _claim(cls: type, table: type[LedgerTable] | None) -> list[SourceField]:
    """Give the class's fields their columns."""
    fields = [f for f in vars(cls).values() if isinstance(f, SourceField)]
    for name, field in [(n, f) for n, f in vars(cls).items() if isinstance(f, SourceField)]:
        if isinstance(field.source, Column) and field.source.column is None:
            if table is None:
                raise TypeError(f"{cls.__name__}.{name}: an extension names its column")
            field.source = Column(getattr(table, name))
    return fields


@dataclass_transform(kw_only_default=True)
def node(
    table: type[LedgerTable], *, permission: str | None, description: str, name: str | None = None
) -> Callable[[C], C]:
    """Publish a row as an object type. Reading any of its fields needs the permission."""

    def publish(cls: C) -> C:
        fields = _claim(cls, table)
        public = name or cls.__name__
        made = strawberry.type(cls, name=public, description=description, directives=requires(permission))
        declared = Declared(public, table, permission, {"id": table.id})
        declared.add(list(fields))
        made.__declared__ = declared  # type: ignore[attr-defined]
        NODES[public] = made
        return made

    return publish


def extension(cls: C) -> C:
    """Fields a module adds to a type of a module below it; named in the manifest's `extends`."""
    _claim(cls, None)
    return strawberry.type(cls)

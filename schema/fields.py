"""Root fields: each names the permission it needs, or it cannot be written."""

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Optional, TypeVar

import strawberry
from sqlalchemy import ColumnElement, and_, func
from strawberry import UNSET
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.field import StrawberryField

from db.actor import Access
from schema.connection import PAGED, Connection, Page
from schema.cost import costs
from schema.ids import key
from schema.listing import Listing
from schema.loaders import count_of, first_where, page_of
from schema.node import Declared, Node, argument, page_arguments
from schema.permissions import AUTHENTICATED, PUBLIC, requires
from schema.subscribe import MOST_INTERVAL_MS, Event, Subscription
from schema.write import Mutation

__all__ = [
    "AUTHENTICATED", "PUBLIC", "Offline", "RootField", "events", "listing", "lookup", "mutation", "query", "transactions",
]  # fmt: skip

N = TypeVar("N", bound=Node)
F = Callable[..., Any]


@dataclass(frozen=True)
class RootField:
    """A field of Query, Mutation or Subscription; its name is the attribute it stands under in `graph.py`."""

    kind: Literal["query", "mutation", "subscription"]
    field: StrawberryField


@dataclass(frozen=True)
class Offline:
    """How a mutation is replayed for a terminal that was offline: the fields of its input it is told by."""

    about: str
    """Holds the id of the object the fact is about: it is shown where the fact conflicts with what it is by now."""
    at: str | None = None
    """Holds the device's time and may be left out: then it is the item's, not the moment of the replay."""


class _Root(StrawberryField):
    """A root field run by a function of (info, arguments)."""

    run: Callable[..., Any]

    def __copy__(self) -> "_Root":
        made = super().__copy__()
        made.run = self.run
        return made

    @property
    def is_basic_field(self) -> bool:
        return False

    @property
    def is_async(self) -> bool:
        return not self.is_subscription

    def get_result(self, source: Any, info: Any, args: list[Any], kwargs: Any) -> Any:
        return self.run(info, **kwargs)


def _root(
    kind: Literal["query", "mutation", "subscription"], run: F, annotation: Any, arguments: list[StrawberryArgument],
    permission: str | None, description: str, deprecated: str | None = None, priced: Sequence[object] = (),
    **metadata: Any,
) -> RootField:  # fmt: skip
    if permission is None:
        raise TypeError("a root field names its permission, or AUTHENTICATED or PUBLIC")
    if kind == "query":
        annotation = Optional[annotation]  # one failed root field leaves the answers of the others
    field = _Root(
        type_annotation=StrawberryAnnotation(annotation),
        description=description,
        metadata={"permission": permission, **metadata},
        directives=[*requires(permission), *priced],
        deprecation_reason=deprecated,
        is_subscription=kind == "subscription",
    )
    field.run = run
    field.arguments = arguments
    return RootField(kind, field)


def _asked(declared: Declared) -> str:
    """Rows of a type without a permission are their reader's own: being signed in is enough."""
    return AUTHENTICATED if declared.permission is None else declared.permission


def lookup(node: type[N], *, description: str, deprecated: str | None = None, **keys: Any) -> RootField:
    """One object by its id or another unique key of the organization: `x(by: {id} | {number} | …)`. A key of several
    columns is a mapping of names to columns: `external_ref={"system": …, "key": …}`."""
    declared = node.__declared__
    name = f"{declared.name}By"
    annotations: dict[str, Any] = {"id": strawberry.ID | None}
    members: dict[str, Any] = {"id": strawberry.field(description="Its id", default=UNSET)}
    for public, source in keys.items():
        annotations[public] = _key_type(declared.name, public, source) | None
        members[public] = strawberry.field(description=f"Its {public.replace('_', ' ')}", default=UNSET)
    made = type(name, (), {"__annotations__": annotations, "__module__": __name__, **members})
    by_input = strawberry.input(made, one_of=True, description=f"Which {declared.name}: exactly one of its keys")

    async def run(info: Any, by: Any) -> Any:
        async with info.context.read(declared.permission) as tx:
            if by.id is not UNSET:
                return await first_where(tx, node, declared.table.id == key(declared.name, by.id, "by.id"))
            public = next(name for name in keys if getattr(by, name) is not UNSET)
            return await first_where(tx, node, key_is(keys[public], getattr(by, public)))

    by = argument("by", by_input, f"Which {declared.name}: exactly one of its keys")
    return _root("query", run, node, [by], _asked(declared), description, deprecated, lookup=node, keys=keys)


def _key_type(name: str, public: str, source: Any) -> Any:
    """The type of a key's value: that of its column, or an input with a field per column."""
    if not isinstance(source, Mapping):
        return source.property.columns[0].type.python_type
    title = name + "".join(part.capitalize() for part in public.split("_")) + "Key"
    made = type(
        title,
        (),
        {
            "__module__": __name__,
            "__annotations__": {part: column.property.columns[0].type.python_type for part, column in source.items()},
            **{part: strawberry.field(description=f"Its {part.replace('_', ' ')}") for part in source},
        },
    )
    return strawberry.input(made, description=f"Key of a row of type {name}: its {public.replace('_', ' ')}")


def key_is(source: Any, value: Any) -> ColumnElement[bool]:
    if isinstance(source, Mapping):
        return and_(*(column == getattr(value, part) for part, column in source.items()))
    whatever_the_case = source.key.endswith("_lower")  # a column of what another one says, in lower case
    found: ColumnElement[bool] = source == (func.lower(value) if whatever_the_case else value)
    return found


def listing(node: type[N], of: Listing, *, description: str, deprecated: str | None = None) -> RootField:
    """A connection over all rows the caller may see."""
    declared = node.__declared__

    async def run(info: Any, **arguments: Any) -> Connection[Any]:
        page = Page.of(of, **arguments)
        async with info.context.read(declared.permission) as tx:
            rows, positions = await page_of(tx, node, page)

        async def count() -> int:
            async with info.context.read(declared.permission) as tx:
                return await count_of(tx, node, page)

        return page.connection(rows, positions, count)

    annotation = Connection[node]  # type: ignore[valid-type]
    arguments = page_arguments(of)
    return _root("query", run, annotation, arguments, _asked(declared), description, deprecated, [PAGED], listing=of)


def query(
    permission: str, *, description: str, deprecated: str | None = None, priced: Sequence[object] = (), **metadata: Any
) -> Callable[[F], RootField]:
    """A query with a function of its own: `async def name(info, …)`; argument descriptions by Annotated. Of `info` it needs
    `info.context` only: then, and where what it answers has no functions of its own, it runs without the library's executor.
    `priced` holds the directives Cost and ListSize where it weighs more than what it answers, `metadata` what the field says to
    plans."""

    def declare(function: F) -> RootField:
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"{function.__name__}: a query is `async def`")
        hints = typing.get_type_hints(function, include_extras=True)
        return _root(
            "query",
            function,
            hints.pop("return"),
            _arguments(function, hints),
            permission,
            description,
            deprecated,
            priced,
            **metadata,
        )

    return declare


def _arguments(function: F, hints: dict[str, Any]) -> list[StrawberryArgument]:
    made = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name == "info":
            continue
        if typing.get_origin(hints[name]) is not Annotated:
            raise TypeError(f"{function.__name__}({name}): Annotated[…, strawberry.argument(description=…)]")
        default = UNSET if parameter.default is inspect.Parameter.empty else parameter.default
        made.append(argument(name, hints[name], "", default))
    return made


def mutation(
    permission: str, payload: type, *, description: str, posts_fact: bool = False, offline: Offline | None = None,
    access: Access = "write", before: F | None = None, deprecated: str | None = None, cost: int | None = None,
) -> Callable[[F], RootField]:  # fmt: skip
    """A mutation: a function of any of (tx, input, now, info) that returns the changed row, a dict of the payload's
    fields, or a refusal to be committed. It is one transaction; a raised refusal rolls it back. `before(info, input)` does
    what takes its time outside PostgreSQL, before the transaction begins; the function takes its answer as `prepared`.
    `cost` is its weight where it does more than the usual change of a few rows. With `offline`, `offlineBatchApply` takes
    it too."""

    def declare(function: F) -> RootField:
        hints = typing.get_type_hints(function)
        input_type = hints.get("input")
        if posts_fact and "idempotency_key" not in getattr(input_type, "__annotations__", {}):
            raise TypeError(f"{function.__name__} posts a fact: its input has `idempotency_key: str`")
        if offline is not None:
            _check_offline(function, getattr(input_type, "__annotations__", {}), offline, posts_fact and before is None)
        run = Mutation(function, payload, permission or None, access, before)
        arguments = [argument("input", input_type, "What to do")] if input_type else []
        return _root(
            "mutation", run, payload | None, arguments, permission, description, deprecated, costs(cost),
            posts_fact=posts_fact, offline=offline, payload=payload, input=input_type,
        )  # fmt: skip

    return declare


def _check_offline(function: F, fields: Mapping[str, Any], offline: Offline, posts: bool) -> None:
    known = posts and "info" not in inspect.signature(function).parameters
    if not known or offline.about not in fields or (offline.at is not None and offline.at not in fields):
        raise TypeError(
            f"{function.__name__}: what is replayed posts a fact, needs nothing but its input, and names fields of it"
        )


def transactions(
    permission: str, payload: type, input_type: Any, *, description: str, cost: int | None = None
) -> Callable[[F], RootField]:
    """A mutation of several transactions: a function of (info, input) that begins them itself and answers the payload."""

    def declare(function: F) -> RootField:
        arguments = [argument("input", input_type, "What to do")]
        return _root("mutation", function, payload | None, arguments, permission, description, priced=costs(cost))

    return declare


def events(node: type[N], of: Listing, *, description: str, deprecated: str | None = None) -> RootField:
    """A subscription to what happens to objects of a type: `xEvents(where, after, minIntervalMs, snapshot)`."""
    declared = node.__declared__
    arguments = [
        argument("where", of.where_input | None, "Only events of objects that meet these conditions"),
        argument("after", str | None, "Cursor of the last event seen: go on after it, missing and repeating nothing"),
        argument(
            "min_interval_ms",
            int | None,
            f"At most one event per object in this many milliseconds, up to {MOST_INTERVAL_MS}: "
            "the object as it is then, with all fields that changed",
        ),
        argument(
            "snapshot",
            bool | None,
            "Begin with the objects as they are now, as events of type SNAPSHOT; a cursor in `after` goes first",
        ),
    ]
    return _root(
        "subscription", Subscription(node, of), Event[node], arguments, _asked(declared), description, deprecated, topic=declared.name  # type: ignore[valid-type]
    )  # fmt: skip

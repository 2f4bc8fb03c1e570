"""What can be listed: a table of filters and orders per entity, from which `XWhere` and `XOrder` are made."""

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import cached_property
from typing import Any

import orjson
import strawberry
from sqlalchemy import ColumnElement, and_, not_, or_, true
from strawberry import UNSET
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.field import StrawberryField

from db.base import LedgerTable
from db.paging import Key, Position
from schema.faults import bad_input
from schema.filters import conditions, filter_for

MOST_PREDICATES = 50
MOST_DEPTH = 3


@strawberry.enum(description="Direction of an order")
class Direction(Enum):
    ASC = strawberry.enum_value("ASC", description="Smallest, earliest or first in the alphabet first; no value last")
    DESC = strawberry.enum_value("DESC", description="Largest, latest or last in the alphabet first; no value last")


def snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


class Listing:
    """How the rows of one table can be filtered and ordered. Every column named here is led by an index."""

    def __init__(
        self, table: type[LedgerTable], *, name: str, where: Mapping[str, Any], order_by: Mapping[str, Any],
        default: Sequence[str],
    ) -> None:  # fmt: skip
        self.table = table
        self.name = name
        self.where = dict(where)
        self.orders = dict(order_by)
        self.default = tuple(default)

    # --- the inputs -------------------------------------------------------------------------------------------------

    @cached_property
    def where_input(self) -> type:
        annotations: dict[str, Any] = {}
        members: dict[str, Any] = {}
        for public, column in self.where.items():
            annotations[snake(public)] = filter_for(column, self._ref(public)) | None
            members[snake(public)] = strawberry.field(
                name=public, default=UNSET, description=f"Condition on {_words(public)}"
            )
        made = type(f"{self.name}Where", (), {"__module__": __name__})
        for public, kind, description in (
            ("and", f"list[{made.__name__}] | None", "All of these hold"),
            ("or", f"list[{made.__name__}] | None", "At least one of these holds; an empty list never does"),
            ("not", f"{made.__name__} | None", "This does not hold"),
        ):
            annotation = StrawberryAnnotation(kind, namespace={made.__name__: made})
            members[f"{public}_"] = StrawberryField(
                graphql_name=public, type_annotation=annotation, default=UNSET, description=description
            )
            annotations[f"{public}_"] = Any
        made.__annotations__ = annotations
        for member, field in members.items():
            setattr(made, member, field)
        return strawberry.input(
            made,
            description=f"Conditions on rows of type {self.name}; all given ones hold. At most {MOST_PREDICATES}, {MOST_DEPTH} deep",
        )

    @cached_property
    def order_field(self) -> type[Enum]:
        values = {
            name: strawberry.enum_value(name, description=f"By {name.lower().replace('_', ' ')}")
            for name in self.orders
        }
        fields: Any = Enum(f"{self.name}OrderField", values, module=__name__)  # type: ignore[misc]
        published: type[Enum] = strawberry.enum(fields, description=f"What a list of {self.name} can be ordered by")
        return published

    @cached_property
    def order_input(self) -> type:
        made = type(
            f"{self.name}Order",
            (),
            {
                "__module__": __name__,
                "__annotations__": {"field": self.order_field, "direction": Direction},
                "field": strawberry.field(description="What to order by"),
                "direction": strawberry.field(default=Direction.ASC, description="Which way"),
            },
        )
        return strawberry.input(made, description="One level of an order; ties are broken by the next, at last by id")

    # --- a request's conditions and order -----------------------------------------------------------------------------

    def condition(self, where: Any) -> ColumnElement[bool] | None:
        """The condition of a filled-in `XWhere`."""
        if where is None or where is UNSET:
            return None
        budget = [MOST_PREDICATES]
        return and_(true(), *self._clauses(where, "where", 0, budget))

    def _clauses(self, where: Any, path: str, depth: int, budget: list[int]) -> list[ColumnElement[bool]]:
        if depth > MOST_DEPTH:
            raise bad_input(f"Conditions nest at most {MOST_DEPTH} deep", path)
        clauses: list[ColumnElement[bool]] = []
        for public, column in self.where.items():
            given = getattr(where, snake(public))
            if given is UNSET or given is None:
                continue
            made = conditions(column, self._ref(public), given, f"{path}.{public}")
            budget[0] -= max(len(made), 1)
            clauses += made
        if depth and not clauses:
            budget[0] -= 1  # one that only holds others is not free
        if budget[0] < 0:
            raise bad_input(f"At most {MOST_PREDICATES} conditions", path)
        for public, join in (("and", and_), ("or", or_), ("not", None)):
            given = getattr(where, f"{public}_")
            if given is UNSET or given is None:
                continue
            inner = [given] if join is None else given
            parts = [and_(*self._clauses(w, f"{path}.{public}", depth + 1, budget), true()) for w in inner]
            clauses.append(
                not_(parts[0]) if join is None else join(*parts) if parts else true() if join is and_ else ~true()
            )
        return clauses

    def keys(self, order_by: Sequence[Any] | None) -> list[Key]:
        """The order's columns, tie-broken by id so that it is total."""
        if order_by:
            if len(order_by) > 5:
                raise bad_input("At most 5 levels of order", "orderBy")
            asked = [(order.field.value, order.direction is Direction.DESC) for order in order_by]
        else:
            asked = [(name.lstrip("-"), name.startswith("-")) for name in self.default]
        seen = dict(reversed(asked))
        keys = [self._key(name, down) for name, down in dict.fromkeys((n, seen[n]) for n, _ in asked)]
        return [*keys, Key(self.table.id, keys[-1].descending if keys else False)]

    def _key(self, name: str, descending: bool) -> Key:
        column = self.orders[name]
        return Key(column, descending, nullable=bool(column.property.columns[0].nullable))

    def _ref(self, public: str) -> str | None:
        ref = self.where[public].property.columns[0].info.get("ref")
        return ref or (self.name if public == "id" else None)

    # --- cursors ------------------------------------------------------------------------------------------------------

    def fingerprint(self, where: Any, keys: Sequence[Key], parent: str = "") -> str:
        """What a cursor belongs to: this list under this filter in this order."""
        order = [(key.column.key, key.descending) for key in keys]
        return hashlib.blake2s(repr((self.name, parent, where, order)).encode(), digest_size=6).hexdigest()


def cursor(fingerprint: str, position: Sequence[str | None]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([fingerprint, *position])).decode().rstrip("=")


def position(text: str, fingerprint: str, keys: Sequence[Key], argument: str) -> Position:
    """The position in a cursor of this very list, or BAD_USER_INPUT with the reason INVALID_CURSOR."""
    try:
        parts = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        found, *values = parts if isinstance(parts, list) and parts else [None]
    except (binascii.Error, ValueError):
        found, values = None, []
    fits = len(values) == len(keys) and all(
        value is None or (isinstance(value, str) and key.fits(value)) for key, value in zip(keys, values, strict=True)
    )
    if found != fingerprint or not fits:
        raise bad_input("Not a cursor of this list under this filter and order", argument, reason="INVALID_CURSOR")
    return values


def _words(public: str) -> str:
    return snake(public).replace("_", " ")

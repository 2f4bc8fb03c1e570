"""Relay connections over keyset pages."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import strawberry
from sqlalchemy import ColumnElement
from strawberry import UNSET

from db.paging import Key, Position, beyond, ordering
from schema.cost import Cost, ListSize
from schema.faults import bad_input
from schema.listing import Listing, cursor, position

T = TypeVar("T")
DEFAULT_SIZE = 50
MOST = 200
COUNT_STOPS_AT = 10_000
PAGED = ListSize(assumed_size=DEFAULT_SIZE, slicing_arguments=["first", "last"], sized_fields=["nodes", "edges"])
"""On every field that answers a connection."""


@strawberry.type(description="Where a page lies in its list", directives=[Cost(weight=0)])
class PageInfo:
    has_next_page: bool = strawberry.field(description="There are rows after this page")
    has_previous_page: bool = strawberry.field(description="There are rows before this page")
    start_cursor: str | None = strawberry.field(description="Cursor of the first row of the page")
    end_cursor: str | None = strawberry.field(description="Cursor of the last row of the page; pass it as `after`")


@strawberry.type(description="How many rows a whole list has; counting stops at 10,000", directives=[Cost(weight=0)])
class Count:
    value: int = strawberry.field(description="Number of rows, at most 10,000")
    exact: bool = strawberry.field(description="False where there are more than the value says")


@strawberry.type(description="A row of a page with its place in the list", directives=[Cost(weight=0)])
class Edge(Generic[T]):
    cursor: str = strawberry.field(description="Place of the row in this list under this filter and order")
    node: T = strawberry.field(description="The row")


@strawberry.type(description="A page of a list, by keyset: rows that arrive meanwhile never shift it")
class Connection(Generic[T]):
    _rows: strawberry.Private[list[Any]]
    _cursors: strawberry.Private[list[str]]
    _count: strawberry.Private[Callable[[], Awaitable[int]]]
    page_info: PageInfo = strawberry.field(description="Where the page lies")

    @strawberry.field(description="The rows with their cursors")
    def edges(self) -> list[Edge[T]]:
        return [Edge(cursor=c, node=n) for c, n in zip(self._cursors, self._rows, strict=True)]

    @strawberry.field(description="The rows")
    def nodes(self) -> list[T]:
        return self._rows

    @strawberry.field(
        description="Number of rows of the whole list; costs a count, so ask only when it is shown",
        directives=[Cost(weight=20)],
    )
    async def total_count(self) -> Count:
        found = await self._count()
        return Count(value=min(found, COUNT_STOPS_AT), exact=found <= COUNT_STOPS_AT)


@dataclass(frozen=True)
class Page:
    """A request for one page: validated, its cursor read."""

    listing: Listing
    where: Any
    keys: Sequence[Key]
    size: int
    backwards: bool
    at: Position | None
    fingerprint: str

    @classmethod
    def of(
        cls, listing: Listing, *, where: Any = None, order_by: Any = None, first: int | None = None, after: str | None = None,
        last: int | None = None, before: str | None = None, parent: str = "",
    ) -> "Page":  # fmt: skip
        backwards = last is not None or before is not None
        if backwards and (first is not None or after is not None):
            raise bad_input("Use first and after, or last and before", "last" if last is not None else "before")
        name, size = ("last", last) if backwards else ("first", first)
        size = DEFAULT_SIZE if size is None else size
        if not 1 <= size <= MOST:
            raise bad_input(f"`{name}` is from 1 to {MOST}", name)
        where = None if where is UNSET else where
        keys = listing.keys(None if order_by is UNSET else order_by)
        fingerprint = listing.fingerprint(where, keys, parent)
        text = before if backwards else after
        at = None if text is None else position(text, fingerprint, keys, "before" if backwards else "after")
        return cls(listing, where, keys, size, backwards, at, fingerprint)

    @property
    def condition(self) -> ColumnElement[bool] | None:
        return self.listing.condition(self.where)

    @property
    def past(self) -> ColumnElement[bool] | None:
        return None if self.at is None else beyond(self.keys, self.at, backwards=self.backwards)

    @property
    def order(self) -> list[ColumnElement[Any]]:
        return ordering(self.keys, backwards=self.backwards)

    def connection(
        self, rows: Sequence[Any], positions: Sequence[Sequence[str | None]], count: Callable[[], Awaitable[int]]
    ) -> "Connection[Any]":
        """The page from one row more than its size, so that it is known whether there are more."""
        more = len(rows) > self.size
        nodes, cursors = list(rows[: self.size]), [cursor(self.fingerprint, p) for p in positions[: self.size]]
        if self.backwards:
            nodes.reverse()
            cursors.reverse()
        before, after = (more, self.at is not None) if self.backwards else (self.at is not None, more)
        info = PageInfo(
            has_next_page=after,
            has_previous_page=before,
            start_cursor=cursors[0] if cursors else None,
            end_cursor=cursors[-1] if cursors else None,
        )
        return Connection(_rows=nodes, _cursors=cursors, _count=count, page_info=info)

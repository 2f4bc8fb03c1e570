"""Subscriptions: events of one type of object, each with the object read again as the subscriber may see it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar, cast

import strawberry
from sqlalchemy import ColumnElement
from strawberry import UNSET

from schema.context import Context, Info
from schema.context import Event as HubEvent
from schema.faults import bad_input
from schema.feed import Cursor, coalesced, events_between, window
from schema.listing import Listing
from schema.loaders import after_key, found_where
from schema.node import Node

T = TypeVar("T")
PAGE = 200
"""Events read from the log at a time."""
TOGETHER = 50
"""Objects read at a time."""
MOST_SNAPSHOT = 10_000
MOST_INTERVAL_MS = 60_000


@strawberry.enum(description="What happened to an object")
class EventType(Enum):
    CREATED = strawberry.enum_value("insert", description="It was created")
    UPDATED = strawberry.enum_value("update", description="It was changed")
    DELETED = strawberry.enum_value("delete", description="It was removed")
    SNAPSHOT = strawberry.enum_value("snapshot", description="Nothing happened: it is shown as it is")
    RESYNC = strawberry.enum_value("resync", description="Events are missing: read everything again, then go on")


@strawberry.type(description="Something that happened to an object")
class Event(Generic[T]):
    cursor: str = strawberry.field(
        description="Place of the event in the order of all events; go on with it as `after`"
    )
    type: EventType = strawberry.field(description="What happened")
    occurred_at: datetime = strawberry.field(description="When it happened")
    changed_fields: list[str] = strawberry.field(
        description="Stored fields whose value changed, in snake_case; empty on creation of ledger rows"
    )
    object: T | None = strawberry.field(description="The object as it is now; null when removed or out of sight")
    resync_required: bool = strawberry.field(
        description="Events before this one are missing, because the subscriber was too slow or the cursor too old"
    )


@dataclass(frozen=True, slots=True)
class Together:
    """Events that were read by one statement: those that came, and those of them that are to be shown."""

    came: list[HubEvent]
    shown: list[Event[Any]]


class Pay(Protocol):
    """What the API hands to a subscription as its root value: who catches up pays for it."""

    async def __call__(self, *, looked: int = 0, shown: int = 0) -> None:
        """Pay for missed events that were looked at, or for objects that are to be shown, and wait until there is enough for
        it. No transaction is to be open meanwhile."""
        ...


async def _free(*, looked: int = 0, shown: int = 0) -> None:
    """Where nobody counts."""


class Subscription:
    """Runs `xEvents`. Between events it holds no transaction; each event is read in one of its own."""

    def __init__(self, node: type[Node], listing: Listing) -> None:
        self.node = node
        self.listing = listing

    async def __call__(
        self,
        info: Info,
        where: Any = None,
        after: str | None = None,
        min_interval_ms: int | None = None,
        snapshot: bool | None = None,
    ) -> AsyncIterator[Event[Any] | Together]:
        context = info.context
        pay = cast("Pay | None", info.root_value) or _free
        condition = self.listing.condition(where)
        pause = _pause(min_interval_ms)
        if context.together:
            async with aclosing(self._live(context, condition, pause)) as live:
                async for together in live:
                    yield together
            return
        given = context.last_event_id or after
        start = None if given is None or given is UNSET else Cursor.of(given)
        if start is None and snapshot is True:
            start = Cursor(await context.hub.position(), 0)
        if start is not None and start.shown is not None:
            async with aclosing(self._snapshot(context, start, condition, pay)) as shown:
                async for event in shown:
                    yield event
                    await context.renew()
        async with aclosing(self._batches(context, None if start is None else start.pos, pause, pay)) as batches:
            async for missed, batch in batches:
                for first in range(0, len(batch), TOGETHER):
                    events = batch[first : first + TOGETHER]
                    async with aclosing(self._shown(context, events, condition, pay if missed else None)) as shown:
                        async for event in shown:
                            yield event
                            await context.renew()

    async def _live(
        self, context: Context, condition: ColumnElement[bool] | None, pause: float | None
    ) -> AsyncGenerator[Together, None]:
        """What happens from here on, for a group whose members have caught up by themselves. At a pace all of a batch is
        told together: events that were joined do not come apart again."""
        declared = self.node.__declared__
        feed = context.hub.listen(context.actor, declared.name, declared.permission, divided=declared.divided)
        async with aclosing(feed):
            while True:
                batch = await feed.batch()
                if pause is not None:
                    yield Together(batch, await self._all_shown(context, coalesced(batch), condition))
                    await asyncio.sleep(pause)
                    continue
                for first in range(0, len(batch), TOGETHER):
                    came = batch[first : first + TOGETHER]
                    yield Together(came, await self._all_shown(context, came, condition))

    async def _snapshot(
        self, context: Context, start: Cursor, condition: ColumnElement[bool] | None, pay: Pay
    ) -> AsyncGenerator[Event[Any], None]:
        """The objects in the order of their keys. A cursor among them is of a snapshot under way, which goes on from
        there; that of the last is the position the snapshot was begun at."""
        shown, left = start.shown or 0, MOST_SNAPSHOT
        while left > 0:
            asked_as = context.actor
            async with context.read(self.node.__declared__.permission) as tx:
                found = await after_key(tx, self.node, shown, condition, TOGETHER + 1)
            await context.renew()
            page = list(found.items())[:TOGETHER]
            for key, item in page:
                await pay(shown=1)
                if context.actor is not asked_as:  # the caller's rights have changed meanwhile: the rest is read again
                    break
                shown, left = key, left - 1
                last = len(found) <= TOGETHER and shown == page[-1][0]
                yield _event("snapshot", Cursor(start.pos, None if last else shown), datetime.now(UTC), item)
            else:
                if len(found) <= TOGETHER:
                    return
        yield _event("resync", Cursor(start.pos), datetime.now(UTC), None)

    async def _batches(
        self, context: Context, start: int | None, pause: float | None, pay: Pay
    ) -> AsyncGenerator[tuple[bool, list[HubEvent]], None]:
        """What was missed, then what happens, and which of the two it is. The feed is opened when most of the log is read, so
        that little waits in it; then the log is read up to where the feed began: a position comes from the one or from the
        other."""
        hub, declared = context.hub, self.node.__declared__
        seen = start
        if seen is not None:
            async with aclosing(self._missed(context, seen, await hub.position(), pay)) as pages:
                async for reached, page in pages:
                    seen = reached
                    yield True, page if pause is None else coalesced(page)
        feed = hub.listen(context.actor, declared.name, declared.permission, divided=declared.divided)
        async with aclosing(feed):
            if seen is not None:
                async with aclosing(self._missed(context, seen, feed.since, pay)) as pages:
                    async for reached, page in pages:
                        seen = reached
                        yield True, page if pause is None else coalesced(page)
                feed.begin_after(seen)
            while True:
                batch = await feed.batch()
                yield False, batch if pause is None else coalesced(batch)
                if pause is not None:
                    await asyncio.sleep(pause)

    async def _missed(
        self, context: Context, seen: int, upto: int, pay: Pay
    ) -> AsyncGenerator[tuple[int, list[HubEvent]], None]:
        """Pages of the log between two positions, each with the position it reaches to; where the log does not reach back,
        one event that says so."""
        declared = self.node.__declared__
        while True:
            async with context.read(declared.permission) as tx:
                resumable, newest = await window(tx, seen)
                page = await events_between(tx, [declared], seen, upto, PAGE) if resumable else []
            await context.renew()
            if not resumable:
                yield newest, [_missing(newest)]
                return
            await pay(looked=len(page))
            full = len(page) == PAGE
            seen = page[-1].pos if full else max(seen, upto)
            yield seen, page
            if not full:
                return

    async def _all_shown(
        self, context: Context, events: list[HubEvent], condition: ColumnElement[bool] | None
    ) -> list[Event[Any]]:
        return [
            event
            for first in range(0, len(events), TOGETHER)
            async for event in self._shown(context, events[first : first + TOGETHER], condition)
        ]

    async def _shown(
        self, context: Context, events: list[HubEvent], condition: ColumnElement[bool] | None, pay: Pay | None = None
    ) -> AsyncGenerator[Event[Any], None]:
        """Events with their objects; those whose object is out of sight, or not asked for, are left out."""
        asked_as = None
        found: dict[int, Any] = {}
        for event in events:
            if context.actor is not asked_as:  # at first, and when the caller's rights have changed meanwhile
                asked_as, found = context.actor, await self._read(context, events, condition)
            if pay is not None and _told(event, found):
                await context.renew()
                await pay(shown=1)
                if context.actor is not asked_as:
                    asked_as, found = context.actor, await self._read(context, events, condition)
            if event.resync_required:
                yield _event("resync", Cursor(event.pos), event.occurred_at, None, event.changed_fields)
            elif _told(event, found):
                item = None if event.operation == "delete" else found[event.entity_id]
                yield _event(event.operation, Cursor(event.pos), event.occurred_at, item, event.changed_fields)

    async def _read(
        self, context: Context, events: list[HubEvent], condition: ColumnElement[bool] | None
    ) -> dict[int, Any]:
        keys = list({event.entity_id for event in events if event.operation != "delete" and not event.resync_required})
        await context.renew()
        if not keys:
            return {}
        async with context.read(self.node.__declared__.permission) as tx:
            return await found_where(tx, self.node, keys, condition)


def _told(event: HubEvent, found: dict[int, Any]) -> bool:
    return event.resync_required or event.operation == "delete" or event.entity_id in found


def _pause(milliseconds: Any) -> float | None:
    if milliseconds is None or milliseconds is UNSET or milliseconds == 0:
        return None
    if not 0 < milliseconds <= MOST_INTERVAL_MS:
        raise bad_input(f"`minIntervalMs` is from 0 to {MOST_INTERVAL_MS}", "minIntervalMs")
    return float(milliseconds) / 1_000


def _missing(pos: int) -> HubEvent:
    now = datetime.now(UTC)
    return HubEvent(pos, "", -1, "resync", (), None, None, now, resync_required=True)


def _event(
    operation: str, cursor: Cursor, occurred_at: datetime, item: Any, changed: tuple[str, ...] = ()
) -> Event[Any]:
    return Event(
        cursor=str(cursor),
        type=EventType(operation),
        occurred_at=occurred_at,
        changed_fields=list(changed),
        object=item,
        resync_required=operation == "resync",
    )

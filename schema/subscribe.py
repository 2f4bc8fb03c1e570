"""Subscriptions: events of one type of object, each with the object read again as the subscriber may see it."""

from collections.abc import AsyncIterator
from datetime import datetime
from enum import Enum
from typing import Any, Generic, TypeVar

import strawberry
from sqlalchemy import and_

from schema.context import Event as HubEvent
from schema.context import Info
from schema.listing import Listing
from schema.loaders import first_where
from schema.node import Node

T = TypeVar("T")


@strawberry.enum(description="What happened to an object")
class EventType(Enum):
    CREATED = strawberry.enum_value("insert", description="It was created")
    UPDATED = strawberry.enum_value("update", description="It was changed")
    DELETED = strawberry.enum_value("delete", description="It was removed")
    RESYNC = strawberry.enum_value("resync", description="Events were dropped because the subscriber was too slow")


@strawberry.type(description="Something that happened to an object")
class Event(Generic[T]):
    cursor: str = strawberry.field(description="Place of the event in the order of all events")
    type: EventType = strawberry.field(description="What happened")
    occurred_at: datetime = strawberry.field(description="When it happened")
    changed_fields: list[str] = strawberry.field(
        description="Stored fields whose value changed, in snake_case; empty on creation of ledger rows"
    )
    object: T | None = strawberry.field(description="The object as it is now; null when removed or out of sight")
    resync_required: bool = strawberry.field(description="Events were dropped: read everything again")


class Subscription:
    """Runs `xEvents`. Between events it holds no transaction; each event is read in one of its own."""

    def __init__(self, node: type[Node], listing: Listing) -> None:
        self.node = node
        self.listing = listing

    async def __call__(self, info: Info, where: Any = None) -> AsyncIterator[Event[Any]]:
        declared = self.node.__declared__
        condition = self.listing.condition(where)
        async for event in info.context.hub.listen(info.context.actor, declared.name, declared.permission):
            await info.context.renew()
            found = None
            if event.operation != "delete" and not event.resync_required:
                matches = declared.table.id == event.entity_id
                async with info.context.read(declared.permission) as tx:
                    found = await first_where(tx, self.node, matches if condition is None else and_(matches, condition))
                if found is None:
                    await info.context.renew()
                    continue
            yield _shown(event, found)
            await info.context.renew()


def _shown(event: HubEvent, found: Any) -> Event[Any]:
    return Event(
        cursor=str(event.pos),
        type=EventType("resync" if event.resync_required else event.operation),
        occurred_at=event.occurred_at,
        changed_fields=list(event.changed_fields),
        object=found,
        resync_required=event.resync_required,
    )

"""The event log as a query, for programs that ask instead of listening."""

from datetime import datetime
from typing import Annotated

import strawberry

from schema.context import Event as LogEvent
from schema.context import Info
from schema.cost import ListSize
from schema.faults import bad_input
from schema.feed import Cursor
from schema.fields import AUTHENTICATED, query
from schema.ids import encode
from schema.subscribe import EventType

from . import service

DEFAULT_SIZE = 100
MOST = 1_000


@strawberry.type(description="Something that happened to one object, as the event log keeps it")
class Change:
    cursor: str = strawberry.field(description="Place of the event in the order of all events")
    topic: str = strawberry.field(description="Type of the object, as in `__typename`")
    type: EventType = strawberry.field(description="What happened")
    entity_id: strawberry.ID = strawberry.field(description="Id of the object; read it with `node`")
    occurred_at: datetime = strawberry.field(description="When it happened")
    changed_fields: list[str] = strawberry.field(
        description="Stored fields whose value changed, in snake_case; empty on creation of ledger rows"
    )
    from_status: str | None = strawberry.field(description="Status before, by the name in its enum; null without one")
    to_status: str | None = strawberry.field(description="Status after, by the name in its enum; null without one")


@strawberry.type(description="A page of the event log; its cursors are those of the subscriptions")
class ChangePage:
    events: list[Change] = strawberry.field(description="Events in the order of the log")
    end_cursor: str = strawberry.field(
        description="Pass it as `after` next time: up to here there is no other event for this caller and these topics"
    )
    has_more: bool = strawberry.field(description="There are events after this page already")
    resync_required: bool = strawberry.field(
        description="The log does not reach back to `after`: read the objects again, then go on from `endCursor`"
    )


@query(
    AUTHENTICATED,
    description="What happened in the organization after a cursor, of topics and in plants and departments the caller "
    "may read; the same positions as in the subscriptions",
    priced=[ListSize(assumed_size=DEFAULT_SIZE, slicing_arguments=["first"], sized_fields=["events"])],
)
async def changes(
    info: Info,
    after: Annotated[
        str | None, strawberry.argument(description="Cursor: only events after it; else all that are kept")
    ] = None,
    topics: Annotated[
        list[str] | None,
        strawberry.argument(description="Names of object types; else every type the caller may read"),
    ] = None,
    first: Annotated[
        int | None,
        strawberry.argument(
            description=f"Size of the page, up to {MOST}; {DEFAULT_SIZE} unless stated. 0 asks for the end cursor alone"
        ),
    ] = None,
) -> ChangePage:
    most = DEFAULT_SIZE if first is None else first
    if not 0 <= most <= MOST:
        raise bad_input(f"`first` is from 0 to {MOST}", "first")
    cursor = None if after is None else Cursor.of(after)
    found = await service.changes(info.context, service.readable(info.context.actor, topics), cursor, most)
    return ChangePage(
        events=[_change(event) for event in found.events],
        end_cursor=str(Cursor(found.reached)),
        has_more=found.more,
        resync_required=found.resync,
    )


def _change(event: LogEvent) -> Change:
    return Change(
        cursor=str(Cursor(event.pos)),
        topic=event.topic,
        type=EventType(event.operation),
        entity_id=encode(event.topic, event.entity_id),
        occurred_at=event.occurred_at,
        changed_fields=list(event.changed_fields),
        from_status=_name(event.from_status),
        to_status=_name(event.to_status),
    )


def _name(status: str | None) -> str | None:
    """Statuses are stored as the lower-case names of their enum."""
    return None if status is None else status.upper()

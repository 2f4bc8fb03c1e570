"""The event log as a transaction's caller may read it, and the cursors that name a place in it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import text

from db.session import ReadTx
from schema.context import Event
from schema.faults import bad_input
from schema.node import Declared

_CURSOR = re.compile(r"e:(\d{1,18})(?::(\d{1,18}))?", re.ASCII)
_WINDOW = text("select resumable, newest from app.event_window(cast(:after as bigint))")
_OLDEST = text("select app.oldest_event()")
_EVENTS = text(
    "select pos, plant_id, department_id, topic, entity_id, operation, changed_fields, from_status, to_status, occurred_at"
    " from app.read_events(cast(:after as bigint), cast(:upto as bigint), cast(:topics as text[]),"
    " cast(:divided as text[]), cast(:most as integer))"
)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Everything up to a position has been seen; of a snapshot that is still under way, everything up to an object."""

    pos: int
    shown: int | None = None

    def __str__(self) -> str:
        plain = f"e:{self.pos}" if self.shown is None else f"e:{self.pos}:{self.shown}"
        return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")

    @classmethod
    def of(cls, given: str, argument: str = "after") -> Cursor:
        """The place a client names, or BAD_USER_INPUT with the reason INVALID_CURSOR."""
        try:
            plain = base64.b64decode(given + "=" * (-len(given) % 4), altchars=b"-_", validate=True).decode("ascii")
        except (binascii.Error, ValueError):
            plain = ""
        found = _CURSOR.fullmatch(plain)
        if found is None:
            raise bad_input("Not a cursor of the event log", argument, reason="INVALID_CURSOR")
        return cls(int(found[1]), None if found[2] is None else int(found[2]))


async def window(tx: ReadTx, after: int) -> tuple[bool, int]:
    """Whether everything that followed a position is still kept, and the newest position."""
    row = await tx.first(_WINDOW, {"after": after})
    assert row is not None
    return bool(row.resumable), int(row.newest)


async def oldest(tx: ReadTx) -> int:
    """The position to begin at to read all that is kept."""
    return int(await tx.scalar(_OLDEST))


async def events_between(
    tx: ReadTx, topics: Sequence[Declared], after: int, upto: int, most: int
) -> list[Event]:  # fmt: skip
    """The first events after one position up to another, in the plants and departments the transaction shows."""
    given = {
        "after": after,
        "upto": upto,
        "topics": [topic.name for topic in topics],
        "divided": [topic.name for topic in topics if topic.divided],
        "most": most,
    }
    return [
        Event(
            pos=row.pos,
            topic=row.topic,
            entity_id=row.entity_id,
            operation=row.operation,
            changed_fields=tuple(row.changed_fields or ()),
            from_status=row.from_status,
            to_status=row.to_status,
            occurred_at=row.occurred_at,
            plant_id=row.plant_id,
            department_id=row.department_id,
        )
        for row in await tx.rows(_EVENTS, given)
    ]


def merged(earlier: Event | None, later: Event) -> Event:
    """Two events of one object as one: the last state, everything that changed; what was created stays new."""
    if earlier is None:
        return later
    return replace(
        later,
        operation=earlier.operation if later.operation == "update" else later.operation,
        changed_fields=tuple(sorted({*earlier.changed_fields, *later.changed_fields})),
        from_status=earlier.from_status,
    )


def coalesced(events: Iterable[Event]) -> list[Event]:
    """One event per object, in the order of their last ones, so that a cursor never passes an event not yet told."""
    kept: dict[int, Event] = {}
    for event in events:
        if event.resync_required:
            kept.clear()
            kept[-1] = event
        else:
            kept[event.entity_id] = merged(kept.pop(event.entity_id, None), event)
    return list(kept.values())

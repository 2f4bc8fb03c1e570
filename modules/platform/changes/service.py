"""The event log as a page: what happened to objects of the topics a caller may read, where the caller may read them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from db.actor import Actor, Scope
from schema.context import Context, Event
from schema.faults import bad_input, forbidden
from schema.feed import Cursor, events_between, oldest, window
from schema.node import NODES, Declared


@dataclass(frozen=True, slots=True)
class Changes:
    """Events after a position, and the position up to which there are no others for this caller."""

    events: list[Event]
    reached: int
    more: bool
    resync: bool = False


def readable(actor: Actor, topics: Iterable[str] | None) -> list[Declared]:
    """The topics asked for, or else all the caller holds the permission of."""
    if topics is None:
        every = [node.__declared__ for node in NODES.values()]
        return [topic for topic in every if topic.permission is None or actor.may(topic.permission)]
    asked: list[Declared] = []
    for name in dict.fromkeys(topics):
        if name not in NODES:
            raise bad_input(f"There is no topic {name[:60]!r}; topics are the names of object types", "topics")
        topic = NODES[name].__declared__
        if topic.permission is not None and not actor.may(topic.permission):
            raise forbidden(topic.permission)
        asked.append(topic)
    return asked


async def changes(context: Context, topics: list[Declared], after: Cursor | None, most: int) -> Changes:
    """One state of the log. Topics whose permissions hold in the same places are read together."""
    async with context.read(None) as tx:
        start = await oldest(tx) if after is None else after.pos
        resumable, newest = await window(tx, start)
    if not resumable:
        return Changes([], newest, more=False, resync=True)
    if most == 0:
        return Changes([], start if after is not None else newest, more=False)
    found: list[Event] = []
    for permission, together in by_scope(context.actor, topics):
        async with context.read(permission) as tx:
            found += await events_between(tx, together, start, newest, most + 1)
    found.sort(key=lambda event: event.pos)
    more = len(found) > most
    shown = found[:most]
    return Changes(shown, shown[-1].pos if more else newest, more)


def by_scope(actor: Actor, topics: list[Declared]) -> list[tuple[str | None, list[Declared]]]:
    groups: dict[Scope, tuple[str | None, list[Declared]]] = {}
    for topic in topics:
        groups.setdefault(actor.read_scope(topic.permission), (topic.permission, []))[1].append(topic)
    return list(groups.values())

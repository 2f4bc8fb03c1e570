"""One subscription's bounded queue in the hub: one event per change, then one per object, then only that some are missing."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from api import metrics
from db.actor import Actor
from schema.context import Event
from schema.feed import merged


class Listener:
    """Events of one topic in the plants and departments of one caller, from the position it was made at."""

    def __init__(
        self, actor: Actor, permission: str | None, *, divided: bool, backlog: int, since: int,
        leave: Callable[[Listener], None],
    ) -> None:  # fmt: skip
        self._permission = permission
        self._divided = divided
        self._backlog = backlog
        self._leave = leave
        self._waiting: OrderedDict[int, Event] = OrderedDict()
        self._by_object = False
        self._lost = False
        self.known = 0
        """What lies up to here is left out."""
        self._wake = asyncio.Event()
        self.since = since
        self.actor = actor
        self.taken: list[Event] = []
        """The last batch. A group takes away from it what is dealt with."""

    @property
    def actor(self) -> Actor:
        return self._actor

    @actor.setter
    def actor(self, actor: Actor) -> None:
        self._actor = actor
        self._scope = actor.read_scope(self._permission)

    @property
    def depth(self) -> int:
        return len(self._waiting)

    @property
    def waiting(self) -> list[Event]:
        return list(self._waiting.values())

    def begin_after(self, pos: int) -> None:
        """Leave out what lies up to a position: it is known already."""
        self.known = pos
        self._waiting = OrderedDict(
            (key, event) for key, event in self._waiting.items() if event.pos > pos or event.resync_required
        )

    def put(self, event: Event) -> None:
        if event.resync_required:
            self.lose(event)
        elif event.pos > self.known and self._covers(event):
            self._keep(event)
            self._wake.set()

    def lose(self, event: Event) -> None:
        """Events of unknown number are missing before this one."""
        metrics.hub_dropped.inc(len(self._waiting))
        if not self._lost:
            metrics.hub_resyncs.inc()
        self._waiting.clear()
        self._waiting[event.pos] = replace(event, operation="resync", resync_required=True)
        self._by_object, self._lost = False, True
        self.known = 0  # it may be another log, whose positions are lower
        self._wake.set()

    async def batch(self) -> list[Event]:
        """All that wait, in order; at least one."""
        while not self._waiting:
            self._wake.clear()
            await self._wake.wait()
        taken = list(self._waiting.values())
        self._waiting.clear()
        self._by_object = self._lost = False
        self.taken = taken
        return list(taken)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._waiting:
            self._wake.clear()
            await self._wake.wait()
        _, event = self._waiting.popitem(last=False)
        if not self._waiting:
            self._by_object = self._lost = False
        return event

    def close(self) -> None:
        self._leave(self)

    async def aclose(self) -> None:
        self.close()

    def _covers(self, event: Event) -> bool:
        if event.recipient_user_id not in (None, self._actor.user_id):
            return False
        if self._divided:
            return self._scope.covers_row(event.plant_id, event.department_id)
        return self._scope.covers_plant(event.plant_id)

    def _keep(self, event: Event) -> None:
        if self._lost:
            self.lose(event)
            return
        if not self._by_object:
            if len(self._waiting) < self._backlog:
                self._waiting[event.pos] = event
                return
            waiting, self._waiting, self._by_object = self._waiting, OrderedDict(), True
            for earlier in waiting.values():
                self._merge(earlier)
        self._merge(event)
        if len(self._waiting) > self._backlog:
            self.lose(event)

    def _merge(self, event: Event) -> None:
        earlier = self._waiting.pop(event.entity_id, None)
        if earlier is not None:
            metrics.hub_coalesced.inc()
        self._waiting[event.entity_id] = merged(earlier, event)

"""Subscriptions that are the same: one execution per event for all of them, and the same bytes for each.

A member is served alone until it has caught up, then with the group of its kind. What the group has not told it yet goes
with it when it leaves, be it that its rights have changed or that its socket is slow: nothing is missing or told twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextvars import Context as Variables
from time import monotonic
from typing import Any

from api import metrics
from api.hub import Hub
from api.listener import Listener
from api.sharing import Key, Shared
from api.told import Batch, Outlet, Told
from db.actor import Actor
from schema import permissions
from schema.context import Context, Event


class Groups:
    """The groups of this process. `serve` executes the subscription of one until it is cancelled or fails."""

    def __init__(self, hub: Hub, serve: Callable[[Group], Coroutine[Any, Any, None]]) -> None:
        self.hub = hub
        self._serve = serve
        self._groups: dict[Key, Group] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def of(self, seat: Seat) -> Group:
        """The group of those who are told the same as a member: made for its first, ended with its last."""
        key = seat.shared.key(seat.actor)
        if (group := self._groups.get(key)) is None:
            reader = seat.shared.reader(seat.actor)
            self._groups[key] = group = Group(self, key, seat.shared, reader, listen(self.hub, seat.shared, reader))
            # in a context of its own: it is not part of the request that happened to come first
            group.task = asyncio.create_task(self._serve(group), context=Variables())
            self._tasks.add(group.task)
            group.task.add_done_callback(self._tasks.discard)
            metrics.groups.set(len(self._groups))
        return group

    def sizes(self, organization: int) -> list[int]:
        """How many members each group of an organization has."""
        return [group.size for group in self._groups.values() if group.key.organization == organization]

    def forget(self, group: Group) -> None:
        if self._groups.get(group.key) is group:
            del self._groups[group.key]
            metrics.groups.set(len(self._groups))

    async def close(self) -> None:
        """At the end of the process: whoever was told something has left."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Group:
    """Members with one key. To the subscription that is executed for them it is the hub."""

    task: asyncio.Task[None]

    def __init__(self, groups: Groups, key: Key, shared: Shared, reader: Actor, feed: Listener) -> None:
        self.key = key
        self.shared = shared
        self.reader = reader
        self.ended = False
        self._groups = groups
        self._feed = feed
        self._told_at = monotonic() - shared.pace
        self._members: dict[Seat, int] = {}
        """Each with the position up to which it knows what happened; 0 when that lies behind what the group tells."""

    @property
    def size(self) -> int:
        return len(self._members)

    async def position(self) -> int:
        return await self._groups.hub.position()

    def listen(self, actor: Actor, topic: str, permission: str | None, *, divided: bool = False) -> Listener:
        return self._feed

    def poke(self) -> None:
        self._groups.hub.poke()

    @property
    def rest(self) -> float:
        """Seconds until a member may be told the next thing, at the pace of the group."""
        return max(0.0, self._told_at + self.shared.pace - monotonic())

    def join(self, seat: Seat, known: int) -> None:
        self._members[seat] = known

    def leave(self, seat: Seat) -> tuple[int, list[Event]]:
        """Answers what the member has not been told, in order, and up to where it knew more than the group told."""
        known = self._members.pop(seat)
        if not self._members:
            self.end()
        untold = (*self._feed.taken, *self._feed.waiting)
        all_new = self._of_another_log(known)
        return known, [event for event in untold if event.pos > known or (event.resync_required and all_new)]

    def _of_another_log(self, known: int) -> bool:
        """Whether a member knows more than there is: the database was restored to an earlier time."""
        return known > self._groups.hub.handed_out

    def tell(self, came: Sequence[Event], answers: Sequence[Told]) -> None:
        """Hand the answers to everybody. Nothing else runs meanwhile; whom it would wait for leaves."""
        batch = Batch(answers)
        reached = came[-1].pos
        lost = any(event.resync_required for event in came)
        joined = self.shared.pace > 0
        for seat, known in list(self._members.items()):
            again = lost and self._of_another_log(known)
            if joined and came[0].pos <= known and not again:  # one answer may be of what it knows and what it does not
                seat.part()
                continue
            mine = batch if known == 0 or again else batch.after(known)
            if mine.answers and not seat.outlet.put(mine):
                seat.part()
            elif known and (again or reached >= known):
                self._members[seat] = 0
        del self._feed.taken[: len(came)]
        self._told_at = monotonic()

    def fail(self, error: Exception) -> None:
        """The subscription cannot be executed: its members end as if each had found out by itself."""
        members, self._members = self._members, {}
        self.end()
        for seat in members:
            seat.fail(error)

    def end(self) -> None:
        self._groups.forget(self)
        self._feed.close()
        self.ended = True
        if asyncio.current_task() is not self.task:  # which ends by itself, and tidies up undisturbed
            self.task.cancel()


class Seat:
    """One subscription's place. To the subscription it is the hub and the feed: it answers events that are to be dealt with
    alone, and while there are none the group tells the client."""

    def __init__(self, groups: Groups, shared: Shared, context: Context, outlet: Outlet) -> None:
        self.shared = shared
        self.outlet = outlet
        self.since = 0
        self._groups = groups
        self._context = context
        self._own: Listener | None = None
        self._group: Group | None = None
        self._parted: asyncio.Future[None] | None = None
        self._rest = 0.0

    @property
    def actor(self) -> Actor:
        return self._context.actor

    @actor.setter
    def actor(self, actor: Actor) -> None:
        """The caller's rights are others from here on."""
        self._context.actor = actor
        if self._group is not None and self.shared.key(actor) != self._group.key:
            self.part()

    async def position(self) -> int:
        return await self._groups.hub.position()

    def poke(self) -> None:
        self._groups.hub.poke()

    def listen(self, actor: Actor, topic: str, permission: str | None, *, divided: bool = False) -> Seat:
        self._own = listen(self._groups.hub, self.shared, actor)
        self.since = self._own.since
        return self

    def begin_after(self, pos: int) -> None:
        assert self._own is not None
        self._own.begin_after(pos)

    async def batch(self) -> list[Event]:
        """All that wait to be dealt with alone. Whoever asks has sent the answers of the batch before."""
        assert self._own is not None
        while not self._own.depth:
            permissions.check(self.shared.operation.needs, self.actor)
            self._own.close()
            self._group = self._groups.of(self)
            self._group.join(self, max(self._own.known, self._groups.hub.handed_out))
            self._parted = asyncio.get_running_loop().create_future()
            await self._parted
            await asyncio.sleep(self._rest)
        return await self._own.batch()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            for event in await self.batch():
                yield event

    def part(self) -> None:
        """Leave the group with what it has not told."""
        assert self._group is not None
        group, self._group = self._group, None
        self._rest = group.rest
        self._own = listen(self._groups.hub, self.shared, self.actor)
        known, untold = group.leave(self)
        self._own.begin_after(known)
        for event in untold:
            self._own.put(event)
        self._wake(None)

    def fail(self, error: Exception) -> None:
        self._group = None
        self._wake(error)

    def _wake(self, error: Exception | None) -> None:
        assert self._parted is not None
        if self._parted.done():
            return
        if error is None:
            self._parted.set_result(None)
        else:
            self._parted.set_exception(error)

    async def aclose(self) -> None:
        if self._group is not None:
            group, self._group = self._group, None
            group.leave(self)
        if self._own is not None:
            self._own.close()


def listen(hub: Hub, shared: Shared, actor: Actor) -> Listener:
    declared = shared.subscription.node.__declared__
    return hub.listen(actor, declared.name, declared.permission, divided=declared.divided)

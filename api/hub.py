"""One listening connection per process: reads the event log once per wake-up and hands events to subscriptions."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import structlog

from api import metrics
from db.actor import Actor
from schema.context import Event

log = structlog.stdlib.get_logger("api.hub")

BATCH = 500
POLL_SECONDS = 1.0
POKE_SECONDS = 0.05
BACKOFF_SECONDS = (0.1, 5.0)
_FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class Listener:
    """One subscription's bounded queue. When it overflows, one event saying so takes the place of all."""

    def __init__(self, actor: Actor, permission: str | None, backlog: int) -> None:
        self._permission = permission
        self._backlog = backlog
        self._waiting: deque[Event] = deque()
        self._wake = asyncio.Event()
        self.actor = actor

    @property
    def actor(self) -> Actor:
        return self._actor

    @actor.setter
    def actor(self, actor: Actor) -> None:
        self._actor = actor
        self._scope = actor.read_scope(self._permission)

    def put(self, event: Event, plant_id: int | None, department_id: int | None = None) -> None:
        scope = self._scope
        if not (scope.covers_plant(plant_id) if department_id is None else scope.covers_row(plant_id, department_id)):
            return
        if len(self._waiting) >= self._backlog or (self._waiting and self._waiting[-1].resync_required):
            self._waiting.clear()
            event = replace(event, resync_required=True)
        self._waiting.append(event)
        self._wake.set()

    async def next(self) -> Event:
        while not self._waiting:
            self._wake.clear()
            await self._wake.wait()
        return self._waiting.popleft()


class Hub:
    """Delivers what happens from the moment somebody listens."""

    def __init__(self, url: str, *, backlog: int = 256) -> None:
        self._url = url
        self._backlog = backlog
        self._listeners: defaultdict[tuple[int, str], set[Listener]] = defaultdict(set)
        self._wake = asyncio.Event()
        self._poked = asyncio.Event()
        self._position: int | None = None
        self._task: asyncio.Task[None] | None = None
        self.connected = False

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="hub")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def listen(self, actor: Actor, topic: str, permission: str | None) -> AsyncIterator[Event]:
        assert actor.organization_id is not None, "a caller who is signed in"
        key = (actor.organization_id, topic)
        listener = Listener(actor, permission, self._backlog)
        self._listeners[key].add(listener)
        try:
            while True:
                yield await listener.next()
        finally:
            self._listeners[key].discard(listener)
            if not self._listeners[key]:
                del self._listeners[key]

    def rescope(self, old: Actor, new: Actor) -> None:
        """The rights of a caller have changed: its subscriptions see other plants from here on."""
        for (organization_id, _), listeners in self._listeners.items():
            if organization_id == old.organization_id:
                for listener in listeners:
                    if listener.actor is old:
                        listener.actor = new

    def poke(self) -> None:
        """Something was committed here: ask the relay not to wait for its next look."""
        self._poked.set()

    async def _run(self) -> None:
        pause, longest = BACKOFF_SECONDS
        while True:
            try:
                connection = await asyncpg.connect(self._url, timeout=5)
                try:
                    pause = BACKOFF_SECONDS[0]
                    await self._follow(connection)
                finally:
                    self.connected = False
                    with suppress(*_FAILURES):
                        await connection.close(timeout=2)
            except _FAILURES as error:
                log.warning("hub disconnected", error=type(error).__name__, again_in=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)

    async def _follow(self, connection: Any) -> None:
        """Listen before looking, so that nothing is written in between; look again every second all the same."""
        connection.add_termination_listener(lambda _: self._wake.set())
        await connection.add_listener("ev", lambda *_: self._wake.set())
        if self._position is None:
            self._position = int(await connection.fetchval("select ev.position()"))
        self.connected = True
        log.info("hub connected", position=self._position)
        lock = asyncio.Lock()  # a connection does one thing at a time
        pokes = asyncio.create_task(self._pass_pokes(connection, lock))
        try:
            while not pokes.done():
                self._wake.clear()
                await self._read(connection, lock)
                with suppress(TimeoutError):
                    async with asyncio.timeout(POLL_SECONDS):
                        await self._wake.wait()
            pokes.result()
        finally:
            pokes.cancel()
            await asyncio.gather(pokes, return_exceptions=True)

    async def _read(self, connection: Any, lock: asyncio.Lock) -> None:
        while True:
            async with lock:
                rows = await connection.fetch("select * from ev.read($1, $2)", self._position, BATCH)
            for row in rows:
                self._dispatch(row)
                self._position = row["pos"]
            if rows:
                metrics.hub_position.set(rows[-1]["pos"])
                metrics.hub_lag_seconds.set((datetime.now(UTC) - rows[-1]["occurred_at"]).total_seconds())
            if len(rows) < BATCH:
                return

    def _dispatch(self, row: Any) -> None:
        listeners = self._listeners.get((row["organization_id"], row["topic"]))
        if not listeners:
            return
        event = Event(
            pos=row["pos"],
            topic=row["topic"],
            entity_id=row["entity_id"],
            operation=row["operation"],
            changed_fields=tuple(row["changed_fields"] or ()),
            from_status=row["from_status"],
            to_status=row["to_status"],
            occurred_at=row["occurred_at"],
        )
        for listener in listeners:
            listener.put(event, row["plant_id"], row["department_id"])

    async def _pass_pokes(self, connection: Any, lock: asyncio.Lock) -> None:
        """One NOTIFY for all commits of the last 50 ms."""
        while True:
            await self._poked.wait()
            self._poked.clear()
            async with lock:
                await connection.execute("notify ev_poke")
            await asyncio.sleep(POKE_SECONDS)

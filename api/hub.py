"""One listening connection per process: reads the event log once per wake-up and hands events to subscriptions."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import asyncpg
import structlog

from api import metrics
from api.listener import Listener
from db.actor import Actor
from schema.context import Event

log = structlog.stdlib.get_logger("api.hub")

BATCH = 500
BACKLOG = 512  # more than a batch: who takes each batch at once is never behind
POLL_SECONDS = 1.0
POKE_SECONDS = 0.05
STATEMENT_SECONDS = 10.0  # a connection that does not answer is a lost one
BACKOFF_SECONDS = (0.1, 5.0)
# InternalClientError: what the driver makes of a server that stops between two messages
FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)


class Hub:
    """Delivers what happens from the moment somebody listens."""

    def __init__(self, url: str, *, backlog: int = BACKLOG) -> None:
        self._url = url
        self._backlog = backlog
        self._listeners: defaultdict[tuple[int, str], set[Listener]] = defaultdict(set)
        self._wake = asyncio.Event()
        self._poked = asyncio.Event()
        self._position: int | None = None
        self._positioned = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.connected = False

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="hub")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    @property
    def depths(self) -> list[int]:
        """How many events wait for each subscription."""
        return [listener.depth for listeners in self._listeners.values() for listener in listeners]

    @property
    def handed_out(self) -> int:
        """Up to where events have been handed out; 0 before the first connection."""
        return self._position or 0

    async def position(self) -> int:
        """Up to where events have been handed out; waits for the first connection."""
        await self._positioned.wait()
        assert self._position is not None
        return self._position

    def listen(self, actor: Actor, topic: str, permission: str | None, *, divided: bool = False) -> Listener:
        """Every event after `since` is put there before this process hands out any later one."""
        assert actor.organization_id is not None, "a caller who is signed in"
        key = (actor.organization_id, topic)

        def leave(listener: Listener) -> None:
            listeners = self._listeners.get(key, set())
            listeners.discard(listener)
            if not listeners:
                self._listeners.pop(key, None)

        made = Listener(actor, permission, divided=divided, backlog=self._backlog, since=self.handed_out, leave=leave)
        self._listeners[key].add(made)
        return made

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
                connection = await asyncpg.connect(
                    self._url,
                    timeout=5,
                    command_timeout=STATEMENT_SECONDS,
                    server_settings={"application_name": "unison hub"},
                )
                try:
                    pause = BACKOFF_SECONDS[0]
                    await self._follow(connection)
                finally:
                    self.connected = False
                    with suppress(*FAILURES):
                        await connection.close(timeout=2)
            except FAILURES as error:
                log.warning("hub disconnected", error=type(error).__name__, again_in=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, longest)

    async def _follow(self, connection: Any) -> None:
        """Listen before looking, so that nothing is written in between; look again every second all the same."""
        connection.add_termination_listener(lambda _: self._wake.set())
        await connection.add_listener("ev", lambda *_: self._wake.set())
        newest = int(await connection.fetchval("select ev.position()"))
        if self._position is None:
            self._position = newest
        elif newest < self._position:  # another log: the database was restored to an earlier time
            self._lose(newest)
        self._positioned.set()
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
        assert self._position is not None
        while True:
            async with lock:
                rows = await connection.fetch("select * from ev.read_log($1, $2)", self._position, BATCH)
            for row in rows:
                if row["pos"] != self._position + 1:  # positions are dense: what is missing was forgotten
                    self._lose(row["pos"] - 1)
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
            plant_id=row["plant_id"],
            department_id=row["department_id"],
            recipient_user_id=row["recipient_user_id"],
        )
        for listener in listeners:
            listener.put(event)

    def _lose(self, position: int) -> None:
        """Go on from a position that does not follow: everybody has to read again."""
        log.warning("events are missing", position=self._position, again_at=position)
        self._position = position
        event = Event(position, "", -1, "resync", (), None, None, datetime.now(UTC))
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.lose(event)

    async def _pass_pokes(self, connection: Any, lock: asyncio.Lock) -> None:
        """One NOTIFY for all commits of the last 50 ms."""
        while True:
            await self._poked.wait()
            self._poked.clear()
            async with lock:
                await connection.execute("notify ev_poke")
            await asyncio.sleep(POKE_SECONDS)

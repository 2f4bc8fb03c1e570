"""Turns: so many operations run at once, the rest wait in line, one line per organization, and who would wait too long is
sent away. Not more than a counter as long as there is room.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from typing import TypeAlias

from api import metrics
from api.errors import Rejected, coded

Tenant: TypeAlias = int | None
Line: TypeAlias = deque[asyncio.Future[str]]
"""Of those who wait: what becomes of them, a turn or the reason why not."""
TURN = "turn"


class Shed(Rejected):
    """There is too much to do; the caller may try again."""

    def __init__(self, reason: str) -> None:
        super().__init__([coded("SERVICE_UNAVAILABLE", "There is too much to do just now; try again", retryAfter=1)])
        metrics.shed.labels(reason).inc()


class Turns:
    """Lines are served in rotation: an organization waits for its own requests, and at most for one of each other's."""

    def __init__(self, at_once: int, *, waiting: int, seconds: float) -> None:
        self._at_once = at_once
        self._most_waiting = waiting
        self._seconds = seconds
        self._running = 0
        self._waiting = 0
        self._lines: OrderedDict[Tenant, Line] = OrderedDict()
        """Whose turn it is next stands first."""

    @property
    def waiting(self) -> int:
        return self._waiting

    @property
    def running(self) -> int:
        return self._running

    async def begin(self, tenant: Tenant) -> None:
        """Take a turn, now or when it comes, or Shed; whoever gets it gives it back by `end`."""
        if self._running < self._at_once:
            self._running += 1
        else:
            await self._wait(tenant)

    async def _wait(self, tenant: Tenant) -> None:
        if self._waiting >= self._most_waiting and not self._make_room(tenant):
            raise Shed("full")
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[str] = loop.create_future()
        self._lines.setdefault(tenant, deque()).append(turn)
        self._waiting += 1
        since = loop.time()
        late = loop.call_later(self._seconds, _settle, turn, "late")
        try:
            outcome = await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result() == TURN:
                self.end()  # it was given to somebody who has just left
            raise
        finally:
            late.cancel()
            self._leave(tenant, turn)
        metrics.turn_seconds.observe(loop.time() - since)
        if outcome != TURN:
            raise Shed(outcome)

    def end(self) -> None:
        """Give the turn back: it goes to the first in the next line."""
        while self._lines:
            tenant, line = next(iter(self._lines.items()))
            turn = line.popleft()
            self._waiting -= 1
            if line:
                self._lines.move_to_end(tenant)
            else:
                del self._lines[tenant]
            if not turn.done():
                turn.set_result(TURN)
                return
        self._running -= 1

    def _make_room(self, tenant: Tenant) -> bool:
        """The longest line gives up its last one for a shorter line: one organization cannot take all the room."""
        longest = max(self._lines, key=lambda one: len(self._lines[one]), default=None)
        if len(self._lines.get(longest, ())) <= len(self._lines.get(tenant, ())) + 1:
            return False
        _settle(self._lines[longest].pop(), "full")
        self._waiting -= 1
        return True

    def _leave(self, tenant: Tenant, turn: asyncio.Future[str]) -> None:
        line = self._lines.get(tenant)
        if line is not None and turn in line:
            line.remove(turn)
            self._waiting -= 1
            if not line:
                del self._lines[tenant]


def _settle(turn: asyncio.Future[str], outcome: str) -> None:
    if not turn.done():
        turn.set_result(outcome)

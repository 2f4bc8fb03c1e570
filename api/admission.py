"""Turns: so many operations run at once, the rest wait in line, one line per organization, and who would wait too long is
sent away before anything is done for it. Not more than a counter as long as there is room.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from time import monotonic
from typing import TypeAlias

from api import metrics
from api.errors import Rejected, coded
from api.patience import Patience

Tenant: TypeAlias = int | None
Line: TypeAlias = deque[asyncio.Future[str]]
"""Of those who wait: what becomes of them, a turn or the reason why not."""
TURN = "turn"
KEPT = 4
"""One turn in so many is kept for organizations that have none: they need not wait for another's operation to end."""
SMOOTH = 1 / 32
"""What the latest turn counts for in the pace of all."""
HOPE = 0.5
"""A line is as long as can be served in this part of the time one may wait: waiting in vain is the dearest way to be refused."""
GUESS = 10
"""So long a line is held to be served in that time for each turn, before the pace is known."""


TOO_MUCH = coded("SERVICE_UNAVAILABLE", "There is too much to do just now; try again", retryAfter=1)


class Shed(Rejected):
    """There is too much to do; the caller may try again."""

    def __init__(self, reason: str) -> None:
        super().__init__([TOO_MUCH])
        metrics.shed.counts[reason,] += 1


class Turns:
    """Lines are served in rotation: an organization waits for its own requests, and at most for one of each other's."""

    def __init__(self, at_once: int, *, waiting: int, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._at_once = at_once
        self._shared = at_once - at_once // KEPT
        """So many may run where the next one's organization has a turn already."""
        self._most_waiting = waiting
        self._seconds = seconds
        self._patience = Patience(seconds)
        self._hope = seconds * HOPE
        self._clock = clock
        self._taken = 0
        self._running: Counter[Tenant] = Counter()
        self._waiting = 0
        self._lines: OrderedDict[Tenant, Line] = OrderedDict()
        """Whose turn it is next stands first."""
        self._pace = self._hope / (at_once * GUESS)
        """Seconds from one turn that somebody waited for to the next, as it was lately."""
        self._given = 0.0
        """When the last one was, or when somebody began to wait."""

    @property
    def waiting(self) -> int:
        return self._waiting

    @property
    def running(self) -> int:
        return self._taken

    def refuses(self, tenant: Tenant) -> str | None:
        """Why `begin` would send away at once; None where it would not. To be asked before a request costs anything."""
        return None if self._free(tenant) else self._hopeless(tenant)

    async def begin(self, tenant: Tenant) -> None:
        """Take a turn, now or when it comes, or Shed; whoever gets it gives it back by `end`."""
        if tenant not in self._lines and self._free(tenant):
            self._take(tenant)
            return
        if (reason := self.refuses(tenant)) is not None:
            raise Shed(reason)
        if self._waiting >= self._most_waiting:
            self._make_room()
        await self._wait(tenant)

    def end(self, tenant: Tenant) -> None:
        """Give the turn back: it goes to the first in the next line that may have it."""
        self._taken -= 1
        self._running[tenant] -= 1
        if not self._running[tenant]:
            del self._running[tenant]
        self._hand_on()

    def _hand_on(self) -> None:
        """Until nobody who waits may have a turn: one that ends can free two, a shared one for another line, and one that is
        kept for whoever has none left."""
        while self._lines and self._taken < self._at_once and self._next():
            pass

    def _next(self) -> bool:
        """A turn to one who waits, mostly in the first line; a line in which nobody waits any more is gone then."""
        for tenant in self._lines:
            if self._free(tenant):
                self._give(tenant)
                return True
        return False

    def _free(self, tenant: Tenant) -> bool:
        return self._taken < (self._shared if tenant in self._running else self._at_once)

    def _take(self, tenant: Tenant) -> None:
        self._taken += 1
        self._running[tenant] += 1

    def _hopeless(self, tenant: Tenant) -> str | None:
        """Why there is no use in waiting. The first of an organization always may: that is how the pace is known."""
        mine = len(self._lines.get(tenant, ()))
        if self._waiting >= self._most_waiting and self._longest() <= mine + 1:
            return "full"
        ahead = min((mine + 1) * len(self._lines), self._waiting + 1)
        return "long" if mine and ahead * self._pace > self._hope else None

    async def _wait(self, tenant: Tenant) -> None:
        turn: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        since = self._clock()
        if not self._lines:
            self._given = since
        self._lines.setdefault(tenant, deque()).append(turn)
        self._waiting += 1
        late = self._patience.begin(lambda: _settle(turn, "late"))
        try:
            outcome = await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result() == TURN:
                self.end(tenant)  # it was given to somebody who has just left
            else:
                self._leave(tenant, turn)
            raise
        finally:
            self._patience.end(late)
        metrics.turn_seconds.add(metrics.ALL, self._clock() - since)
        if outcome != TURN:
            self._leave(tenant, turn)
            raise Shed(outcome)

    def _give(self, tenant: Tenant) -> None:
        """A turn to the first in this line who still waits; the rest of it waits until every line has had one."""
        line = self._lines[tenant]
        turn = None
        while line and (turn is None or turn.done()):
            turn = line.popleft()
            self._waiting -= 1
        if line:
            self._lines.move_to_end(tenant)
        else:
            del self._lines[tenant]
        if turn is None or turn.done():
            return
        self._take(tenant)
        turn.set_result(TURN)
        now = self._clock()
        took = min(now - self._given, self._seconds)  # one that hangs says little of the others
        self._pace += (took - self._pace) * SMOOTH
        self._given = now

    def _longest(self) -> int:
        return max(map(len, self._lines.values()), default=0)

    def _make_room(self) -> None:
        """The longest line gives up its last one: one organization cannot take all the room."""
        _settle(max(self._lines.values(), key=len).pop(), "full")
        self._waiting -= 1

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

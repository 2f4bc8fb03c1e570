"""Turns: so many operations run at once, the rest wait in line, one line per organization, and who would wait too long is
sent away before anything is done for it. Not more than a counter as long as there is room.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from time import monotonic
from typing import TypeAlias

from graphql import GraphQLError

from api import metrics
from api.errors import Rejected, coded
from api.limits import Limits, Own
from api.patience import Patience

Tenant: TypeAlias = int | None
TURN = "turn"
KEPT = 4
"""One turn in so many is kept for organizations that have none: they need not wait for another's operation to end."""
SMOOTH = 1 / 32
"""What the latest turn counts for in the pace of all."""
HOPE = 0.5
"""A line is as long as can be served in this part of the time one may wait: waiting in vain is the dearest way to be refused."""
GUESS = 10
"""So long a line is held to be served in that time for each turn, before the pace is known."""
OWN = "own"
"""The organization is sent away because of its own limits."""
LATE = "late"

TOO_MUCH = coded("SERVICE_UNAVAILABLE", "There is too much to do just now; try again", retryAfter=1)


def too_much(own: Limits | None) -> GraphQLError:
    """What is told to who is sent away, with the limits of the organization's own where these are the reason."""
    if own is None:
        return TOO_MUCH
    limit, waiting = own.operations_at_once, own.operations_waiting
    said = f"At most {limit} operations of your organization run at once, and {waiting} wait; try again"
    return coded("SERVICE_UNAVAILABLE", said, retryAfter=1, limit=limit, waiting=waiting)


class Shed(Rejected):
    """There is too much to do; the caller may try again."""

    def __init__(self, reason: str, own: Limits | None = None) -> None:
        super().__init__([too_much(own)])
        metrics.shed.counts[reason,] += 1


class Pace:
    """How turns come to those who wait."""

    def __init__(self, guess: float, most: float) -> None:
        self.seconds = guess
        """From one to the next, as it was lately."""
        self._most = most
        self._given = 0.0
        """When the last one was, or when somebody began to wait."""

    def begin(self, now: float) -> None:
        self._given = now

    def give(self, now: float) -> None:
        took = min(now - self._given, self._most)  # one that hangs says little of the others
        self.seconds += (took - self.seconds) * SMOOTH
        self._given = now


class Line(deque[asyncio.Future[str]]):
    """Of those who wait: what becomes of them, a turn or the reason why not."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self.pace = pace
        """That of all lines, or its own: turns an organization does not let itself have say nothing of the others'."""


class Turns:
    """Lines are served in rotation: an organization waits for its own requests, and at most for one of each other's. One that
    has a lower limit of its own is passed over while it has so many turns."""

    def __init__(
        self, at_once: int, *, waiting: int, seconds: float, own: Own | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:  # fmt: skip
        self._at_once = at_once
        self._shared = at_once - at_once // KEPT
        """So many may run where the next one's organization has a turn already."""
        self._most_waiting = waiting
        self._seconds = seconds
        self._patience = Patience(seconds)
        self._hope = seconds * HOPE
        self._own: Own = {} if own is None else own
        self._clock = clock
        self._taken = 0
        self._running: Counter[Tenant] = Counter()
        self._waiting = 0
        self._lines: OrderedDict[Tenant, Line] = OrderedDict()
        """Whose turn it is next stands first."""
        self._pace = self._guessed(at_once)
        self._paces: dict[Tenant, Pace] = {}
        """Of organizations that may have fewer turns than others."""

    @property
    def waiting(self) -> int:
        return self._waiting

    @property
    def running(self) -> int:
        return self._taken

    def refuses(self, tenant: Tenant) -> str | None:
        """Why `begin` would send away at once; None where it would not. To be asked before a request costs anything."""
        return None if self._free(tenant) else self._hopeless(tenant)

    def limited(self, tenant: Tenant, reason: str) -> Limits | None:
        """The organization's own limits, where it is sent away because of them."""
        return self._own.get(tenant) if reason == OWN else None

    async def begin(self, tenant: Tenant) -> None:
        """Take a turn, now or when it comes, or Shed; whoever gets it gives it back by `end`."""
        if free := self._free(tenant):
            if tenant not in self._lines:
                self._take(tenant)
                return
        elif (reason := self._hopeless(tenant)) is not None:
            raise Shed(reason, self.limited(tenant, reason))
        if self._waiting >= self._most_waiting:
            self._make_room()
        await self._wait(tenant, lifted=free)

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
        if tenant not in self._running:
            return self._taken < self._at_once
        return self._taken < self._shared and not (self._own and self._held(tenant))

    def _held(self, tenant: Tenant) -> bool:
        """Has as many turns as the organization lets itself have."""
        own = self._own.get(tenant)
        return own is not None and self._running[tenant] >= own.operations_at_once

    def _take(self, tenant: Tenant) -> None:
        self._taken += 1
        self._running[tenant] += 1

    def _hopeless(self, tenant: Tenant) -> str | None:
        """Why there is no use in waiting. The first of an organization always may: that is how the pace is known."""
        line = self._lines.get(tenant)
        mine = 0 if line is None else len(line)
        if self._waiting >= self._most_waiting and self._longest() <= mine + 1:
            return "full"
        own = self._own.get(tenant)
        if own is not None and mine >= own.operations_waiting:
            return OWN
        if line is None:
            return None
        lines, waiting = len(self._lines), self._waiting
        if self._own:
            beside = [one for one in self._lines.values() if one.pace is line.pace]
            lines, waiting = len(beside), sum(map(len, beside))
        if min((mine + 1) * lines, waiting + 1) * line.pace.seconds <= self._hope:
            return None
        return "long" if line.pace is self._pace else OWN

    async def _wait(self, tenant: Tenant, *, lifted: bool) -> None:
        """Lifted: what held the line of the organization holds it no more."""
        turn: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        since = self._clock()
        if (line := self._lines.get(tenant)) is None:
            line = self._line(tenant, since)
        line.append(turn)
        self._waiting += 1
        if lifted:
            self._hand_on()
        late = self._patience.begin(lambda: _settle(turn, LATE))
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
            held_back = outcome == LATE and line.pace is not self._pace
            raise Shed(outcome, self._own.get(tenant) if held_back else None)

    def _line(self, tenant: Tenant, now: float) -> Line:
        pace = self._pace_of(tenant)
        if all(line.pace is not pace for line in self._lines.values()):
            pace.begin(now)
        line = self._lines[tenant] = Line(pace)
        return line

    def _pace_of(self, tenant: Tenant) -> Pace:
        own = self._own.get(tenant)
        if own is None or own.operations_at_once >= self._shared:
            self._paces.pop(tenant, None)
            return self._pace
        if tenant not in self._paces:
            self._paces[tenant] = self._guessed(own.operations_at_once)
        return self._paces[tenant]

    def _guessed(self, at_once: int) -> Pace:
        return Pace(self._hope / (at_once * GUESS), self._seconds)

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
        line.pace.give(self._clock())

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

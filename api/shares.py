"""Shares: what the process spends its time on, by organization, and who has to ask for less of it when it is behind.

What counts is the time itself. Requests differ a hundredfold, a price only foresees, and neither says anything of what was
refused, of a socket or of false credentials. So each stretch in which a task runs is timed, for whoever the task works for:
that is the same for every transport, and who waits for PostgreSQL meanwhile spends nothing. The clock is the thread's own: by
the clock on the wall, who happens to run would pay for it when the machine lends the processor to another. It is slow to
read, so nothing is timed before a tick comes late; whom to hold is decided two ticks later at the earliest.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Coroutine, Generator
from contextvars import ContextVar
from dataclasses import dataclass
from time import monotonic, thread_time
from typing import Any

from api.admission import Tenant

UNKNOWN = -1
"""Who has not said yet who it is, or said something false. It has a share like an organization, so that others do not pay for
it; it is not refused, since by then that is all that is done for it."""
TICK = 0.1
LATE = 0.05
"""A tick that comes so late has waited behind too much work: what is ready waits as long, whoever it is for."""
IN_A_ROW, BEHIND = 3, 0.25
"""So many late ticks in a row, together so late, are no accident: one is the collector's, or another program's."""
SMOOTH = 2.0
"""Seconds over which a share is taken: who asks now and then may ask for much at once."""
ALL = 0.5
"""What can be shared is at least this part of what the process does. The rest is nobody's."""
LESS, MORE = 0.8, 1.1
HELD = 10
"""For so many ticks after it had to be refused, an organization is one that asks for too much."""
MOST_OWED = 0.5
"""Seconds of its share for which an organization may be refused altogether."""
EXACT = 0.999


@dataclass(slots=True)
class Account:
    """Of one organization."""

    share: float = 0.0
    """Seconds per second, lately."""
    owes: float = 0.0
    """Seconds it has had beyond what it may have."""
    held: int = 0
    """Ticks for which it still is limited."""


class Shares:
    """Nobody is refused who asks for less than a fair share: what those leave is for the others, and who has more of it than
    all others is held to less than that, for as long as the process is behind."""

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._spent: defaultdict[Tenant, float] = defaultdict(float)
        """In this tick."""
        self._accounts: dict[Tenant, Account] = {}
        self._level: float | None = None
        """Seconds per second for each of those who are held; None while nobody is."""
        self._began = clock()
        self._timed = 0.0
        """Seconds that tell of the shares."""
        self._late = self._in_time = 0
        """Ticks in a row."""
        self._behind = 0.0
        self._before = 0.0

    def begin(self) -> None:
        """A request or a socket has come. It is found out later whose it is."""
        _visit.set(Visit(self, UNKNOWN))

    def working(self, tenant: Tenant) -> None:
        """What this task does, and those it starts, is done for this organization."""
        if (visit := _visit.get()) is None:
            _visit.set(Visit(self, tenant))
        else:
            visit.tenant = tenant

    def spend(self, tenant: Tenant, seconds: float) -> None:
        self._spent[tenant] += seconds

    def refuses(self, tenant: Tenant) -> bool:
        """Whether the process is behind and this organization has had what it may have."""
        if self._level is None or (account := self._accounts.get(tenant)) is None or not account.held:
            return False
        may = self._level * max(TICK, self._clock() - self._began)  # a tick that is late is a long one
        if account.owes + self._spent.get(tenant, 0.0) < may:
            return False
        account.held = HELD
        return True

    async def watch(self) -> None:
        """Tick. Tasks made from here on can be timed; the factory stays, another application on this loop may need it."""
        loop = asyncio.get_running_loop()
        loop.set_task_factory(_timed)
        try:
            while True:
                began, worked = loop.time(), thread_time()
                await asyncio.sleep(TICK)
                self.tick(loop.time() - began - TICK, thread_time() - worked)
        finally:
            _timing.discard(self)

    def tick(self, late: float, worked: float) -> None:
        """How late it comes, and the seconds of work since the one before, whoever it was for."""
        self._began = self._clock()
        length = TICK + late
        if self in _timing:
            self._weigh(length)
        if late > LATE:
            self._fall_behind(late, worked / length)
        else:
            self._late, self._behind, self._before, self._in_time = 0, 0.0, 0.0, self._in_time + 1
            if self._level is not None:
                self._level *= MORE
        if not any(account.held for account in self._accounts.values()):
            self._level = None
            if self._in_time > HELD:
                self._rest()

    def _fall_behind(self, late: float, work: float) -> None:
        """Hold them to less, unless that begins to help: what has come before has to be dealt with as well."""
        if self._late == 0 and self._level is None:
            _timing.add(self)
            self._timed = 0.0  # what was before says little of who it is now
        self._late, self._behind, self._in_time = self._late + 1, self._behind + late, 0
        catching_up = self._level is not None and late < self._before
        self._before = late
        if catching_up:
            return
        if self._late >= IN_A_ROW and self._behind > BEHIND:
            self._hold(work)
        elif self._level is not None:
            self._level *= LESS

    def _weigh(self, length: float) -> None:
        """Take into the accounts what was spent in a tick."""
        self._timed += length
        lately = length / min(self._timed, length + SMOOTH)
        level = self._level or 0.0
        for tenant in self._spent.keys() - self._accounts.keys():
            self._accounts[tenant] = Account()
        for tenant, account in self._accounts.items():
            had = self._spent.get(tenant, 0.0)
            account.share += (had / length - account.share) * lately
            account.owes = min(max(0.0, account.owes + had - level * length), level * MOST_OWED)
            account.held = max(0, account.held - 1)
        self._spent.clear()

    def _hold(self, work: float) -> None:
        """Hold those who have a fair share or more. The process may be behind because of work that is nobody's: then nobody
        is held who has little of it."""
        shares = sorted(account.share for account in self._accounts.values())
        left = fair = max(sum(shares), work * ALL)
        if not left:
            return  # it waits for something else
        for others, share in zip(range(len(shares), 0, -1), shares, strict=True):
            fair = left / others
            if share >= fair * EXACT:
                break
            left -= share
        for account in self._accounts.values():
            if account.share >= fair * EXACT:
                account.held = HELD
        self._level = fair * LESS

    def _rest(self) -> None:
        """Nothing is timed until there is a need again."""
        _timing.discard(self)
        self._accounts.clear()
        self._spent.clear()
        self._timed = 0.0


class Visit:
    """What a task and those it starts belong to: a request, a socket, a group of subscriptions."""

    __slots__ = ("shares", "tenant")

    def __init__(self, shares: Shares, tenant: Tenant) -> None:
        self.shares = shares
        self.tenant = tenant


_visit: ContextVar[Visit | None] = ContextVar("visit", default=None)
_timing: set[Shares] = set()
"""Those who want to know."""


class Timed(Coroutine[Any, Any, Any]):
    """A coroutine whose stretches can be timed. It stands for the coroutine also where somebody looks what a task does."""

    __slots__ = ("_send", "_work")

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        self._work = work
        self._send = work.send

    def send(self, value: Any) -> Any:
        if not _timing:
            return self._send(value)
        began = thread_time()
        try:
            return self._send(value)
        finally:
            _pay(began)

    def throw(self, *why: Any) -> Any:
        began = thread_time() if _timing else 0.0
        try:
            return self._work.throw(*why)
        finally:
            why = ()  # an error that comes out again has this frame, and must not be in it
            if began:
                _pay(began)

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._work.__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._work, name)


def _pay(began: float) -> None:
    """Whom the task works for may have turned out meanwhile."""
    if (visit := _visit.get()) is not None and visit.shares in _timing:
        visit.shares.spend(visit.tenant, thread_time() - began)


def _timed(loop: asyncio.AbstractEventLoop, work: Any, /, **options: Any) -> asyncio.Task[Any]:
    return asyncio.Task(Timed(work), loop=loop, **options)

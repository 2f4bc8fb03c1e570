"""The door: who would only be sent away is sent away here, before a byte of the request is read or anybody is asked."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import TypeAlias

from starlette.responses import Response
from starlette.types import Scope

from api import metrics
from api.admission import TOO_MUCH, Shed, Tenant, Turns
from api.graphql import refused
from api.negotiation import GRAPHQL, JSON
from api.responses import respond

SECONDS = 3.0
"""So long a caller is known by what it sent; then it is looked at again, as every caller is."""
TICK = 0.1
LATE = 0.05
"""A tick that comes so late has waited behind too much work: what is ready waits as long, whoever it is for."""
BEHIND = 0.25
"""Late ticks in a row that are together so late are no accident."""
FEWER, LESS, MORE = 0.7, 0.3, 1.1
LEAST = 10
"""An organization may always ask so often in a tick: that alone overloads nothing."""
_ID = "the-request-id"
_BODIES = {media: bytes(respond(refused([TOO_MUCH], _ID), media).body).split(_ID.encode()) for media in (JSON, GRAPHQL)}

Sent: TypeAlias = tuple[str, bytes, bytes]
"""Path, credentials and Accept, as they came."""


class Door:
    """Nobody new is turned away here: only who was proven to belong to an organization moments ago, while that has a line
    in which there is no use in waiting."""

    def __init__(self, turns: Turns, *, size: int = 10_000, clock: Callable[[], float] = monotonic) -> None:
        self._turns = turns
        self._size = size
        self._clock = clock
        self._known: OrderedDict[Sent, tuple[float, Tenant, str]] = OrderedDict()
        self._let_in: Counter[Tenant] = Counter()
        """In this tick."""
        self._asked: Counter[Tenant] = Counter()
        self._asked_before: Counter[Tenant] = Counter()
        """In this tick and the one before, also those who were sent away."""
        self._quota: float | None = None
        """So many of each organization in a tick; None while the process keeps up."""
        self._began = clock()
        self._behind = 0.0

    def check(self, scope: Scope, tenant: Tenant, media: str) -> None:
        """Shed where the organization's line is hopeless; the next request with these credentials gets no further than here."""
        reason = self._reason(tenant)
        if reason is None:
            self._let_in[tenant] += 1
            return
        if (sent := _sent(scope)) is not None:
            self._known[sent] = (self._clock() + SECONDS, tenant, media)
            if len(self._known) > self._size:
                self._known.popitem(last=False)
        raise Shed(reason)

    def refusal(self, scope: Scope, request_id: str) -> Response | None:
        """The answer to who is not let in; None for everybody else."""
        if not self._known or (sent := _sent(scope)) is None or (known := self._known.get(sent)) is None:
            return None
        until, tenant, media = known
        if until < self._clock():
            del self._known[sent]
            return None
        reason = self._reason(tenant)
        if reason is None:
            return None
        metrics.sent_away(reason).inc()
        before, after = _BODIES[media]
        return Response(before + request_id.encode() + after, 503, {"Retry-After": "1"}, f"{media}; charset=utf-8")

    async def watch(self) -> None:
        """What takes no turn for long stands in no line: where the process itself is behind, its ticks come late."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await asyncio.sleep(TICK)
            self.tick(loop.time() - began - TICK)

    def tick(self, late: float) -> None:
        """Fewer of the busiest organization as long as ticks come late, then gradually more, until there is no need."""
        busiest = max(self._let_in.values(), default=0) * TICK / (TICK + late)
        self._let_in.clear()
        self._asked, self._asked_before = Counter(), self._asked
        self._began = self._clock()
        self._behind = self._behind + late if late > LATE else 0.0
        if self._behind > BEHIND:
            fewer = max(LESS, min(FEWER, TICK / late))
            self._quota = max(LEAST, fewer * min(busiest, self._quota or busiest))
        elif self._quota is not None and not self._behind:
            self._quota = None if busiest * 2 < self._quota else self._quota * MORE

    def _reason(self, tenant: Tenant) -> str | None:
        self._asked[tenant] += 1
        if self._quota is not None and self._asks_much(tenant):
            ticks = max(1.0, (self._clock() - self._began) / TICK)  # one that is late is a long one
            if self._let_in[tenant] >= self._quota * ticks:
                return "busy"
        return self._turns.refuses(tenant)

    def _asks_much(self, tenant: Tenant) -> bool:
        """At least as much as organizations do on average: the others have no part in it that the process is behind."""
        asked = self._asked[tenant] + self._asked_before[tenant]
        others = len(self._asked_before.keys() | self._asked.keys())
        return asked * others >= self._asked.total() + self._asked_before.total()


def _sent(scope: Scope) -> Sent | None:
    """None for what has no credentials, or comes from a browser: that reads an answer by headers which are added later."""
    authorization = key = accept = b""
    for name, value in scope["headers"]:
        if name == b"authorization":
            authorization = authorization or value
        elif name == b"x-api-key":
            key = key or value
        elif name == b"accept":
            accept = accept or value
        elif name == b"origin":
            return None
    credentials = authorization or key
    return (scope["path"], credentials, accept) if credentials else None

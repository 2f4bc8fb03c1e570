"""The door: who would only be sent away is sent away here, before a byte of the request is read or anybody is asked."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from time import monotonic
from typing import TypeAlias

from starlette.responses import Response
from starlette.types import Scope

from api import metrics
from api.admission import Shed, Tenant, Turns, too_much
from api.graphql import refused
from api.limits import Limits
from api.negotiation import EVENTS, accepted
from api.responses import Ready, dumps, respond
from api.shares import Shares
from api.sse import COMPLETE
from api.told import event

SECONDS = 3.0
"""So long a caller is known by what it sent; then it is looked at again, as every caller is."""
LONG = 1_024
"""Credentials of more bytes are known by their digest."""
_ID = "the-request-id"

Sent: TypeAlias = tuple[str, bytes, str | None]
"""Path and credentials as they came, and the media type of the answer."""


class Door:
    """Nobody new is turned away here: only who was proven to belong to an organization moments ago, while that asks for more
    than its share or has a line in which there is no use in waiting. Those who have not signed in are one of these."""

    def __init__(
        self, turns: Turns, shares: Shares, *, size: int = 10_000, clock: Callable[[], float] = monotonic
    ) -> None:
        self._turns = turns
        self._size = size
        self._clock = clock
        self._known: OrderedDict[Sent, tuple[float, Tenant]] = OrderedDict()
        """Until when, and who it is. The first to be forgotten stands first."""
        self.shares = shares

    def check(self, tenant: Tenant) -> None:
        """For every operation, whatever brought it: Shed where its organization has to ask for less."""
        self.shares.working(tenant)
        if self.shares.refuses(tenant):
            raise Shed("busy")

    def working(self, tenant: Tenant) -> None:
        self.shares.working(tenant)

    def away(self, scope: Scope, tenant: Tenant, media: str, request_id: str) -> Response | None:
        """The answer where the request of this organization has no chance. The next one with these credentials gets no further
        than the door."""
        self.shares.working(tenant)
        reason = self._reason(tenant, media)
        if reason is None:
            return None
        self._forget()
        sent = _sent(scope)
        self._known.pop(sent, None)
        self._known[sent] = (self._clock() + SECONDS, tenant)
        if len(self._known) > self._size:
            self._known.popitem(last=False)
        return self._answer(reason, tenant, media, request_id)

    def refusal(self, scope: Scope, request_id: str) -> Response | None:
        """The answer to who is not let in; None for everybody else."""
        if not self._known:
            return None
        self._forget()
        sent = _sent(scope)
        if (known := self._known.get(sent)) is None:
            return None
        _, tenant = known
        self.shares.working(tenant)
        media = sent[2]
        assert media is not None, "nobody is known who cannot be answered"
        reason = self._reason(tenant, media)
        return None if reason is None else self._answer(reason, tenant, media, request_id)

    def _answer(self, reason: str, tenant: Tenant, media: str, request_id: str) -> Response:
        """Made of parts that are ready: there are thousands of these in a second."""
        metrics.shed.counts[reason,] += 1
        said, before, after = _ready(media, self._turns.limited(tenant, reason))
        answer = Ready.__new__(Ready)
        answer.body = before + request_id.encode() + after
        answer.status_code, answer.background = said.status_code, None
        length = (b"content-length", b"%d" % len(answer.body))
        answer.raw_headers = [length, *(header for header in said.raw_headers if header[0] != b"content-length")]
        return answer

    def _reason(self, tenant: Tenant, media: str) -> str | None:
        """Neither a subscription waits for a turn, nor a sign-in."""
        if self.shares.refuses(tenant):
            return "busy"
        return None if media == EVENTS or tenant is None else self._turns.refuses(tenant)

    def _forget(self) -> None:
        now = self._clock()
        while self._known and next(iter(self._known.values()))[0] < now:
            self._known.popitem(last=False)


@lru_cache(maxsize=1_000)
def _ready(media: str, own: Limits | None) -> tuple[Response, bytes, bytes]:
    """An answer, and its body before and after the request's id. An EventSource cannot read the body of a refusal: it is told
    inside the stream."""
    told = refused([too_much(own)], _ID)
    if media == EVENTS:
        answer = Response(event(dumps(told.payload), None) + COMPLETE, media_type=f"{EVENTS}; charset=utf-8")
    else:
        answer = respond(told, media)
    before, after = bytes(answer.body).split(_ID.encode())
    return answer, before, after


def _sent(scope: Scope) -> Sent:
    authorization = key = accept = None
    for name, value in scope["headers"]:
        if name == b"authorization" and authorization is None:
            authorization = value
        elif name == b"x-api-key" and key is None:
            key = value
        elif name == b"accept" and accept is None:
            accept = value
    credentials = (key or b"") if authorization is None else authorization
    if len(credentials) > LONG:
        credentials = blake2b(credentials).digest()
    return scope["path"], credentials, accepted(accept)

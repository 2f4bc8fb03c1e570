"""The door: who would only be sent away is sent away here, before a byte of the request is read or anybody is asked."""

from __future__ import annotations

from collections import OrderedDict
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

    def check(self, scope: Scope, tenant: Tenant, media: str) -> None:
        """Shed where the organization's line is hopeless; the next request with these credentials gets no further than here."""
        reason = self._turns.refuses(tenant)
        if reason is None:
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
        reason = self._turns.refuses(tenant)
        if reason is None:
            return None
        metrics.sent_away(reason).inc()
        before, after = _BODIES[media]
        return Response(before + request_id.encode() + after, 503, {"Retry-After": "1"}, f"{media}; charset=utf-8")


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

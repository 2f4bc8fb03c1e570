"""Around every request: its id, its log line, the headers every answer carries, and an answer whatever happens inside."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random
from time import perf_counter

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import logs
from api.client_ip import Network, client_ip
from api.door import Door
from api.drain import RETRY_AFTER, Drain
from api.heads import heads_of
from api.responses import plain_error

log = structlog.stdlib.get_logger("api.edge")

_ids = Random()  # told apart is all they have to be
SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


class Edge:
    def __init__(
        self, app: ASGIApp, *, drain: Drain, door: Door, cors: Callable[[ASGIApp], ASGIApp],
        trusted_proxies: Sequence[Network], https: bool,
    ) -> None:  # fmt: skip
        """`cors` puts the headers on an answer without which a browser does not read it, as it does inside the application."""
        self._app = app
        self._refusals = cors(_refusal)
        self._drain = drain
        self._door = door
        self._trusted = tuple(trusted_proxies)
        named = SECURITY | ({"Strict-Transport-Security": "max-age=63072000"} if https else {})
        self._headers = [(name.lower().encode(), value.encode()) for name, value in named.items()]
        self._names = frozenset(name for name, _ in self._headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        heads = heads_of(scope)
        given = heads.get(b"x-request-id", b"").decode("latin-1")
        request_id = given if given and SANE_ID.fullmatch(given) else f"{_ids.getrandbits(128):032x}"
        peer = scope["client"][0] if scope.get("client") else None
        forwarded = _forwarded(scope) if b"x-forwarded-for" in heads else None
        ip = client_ip(peer, forwarded, self._trusted)
        scope["state"].update(request_id=request_id, client_ip=ip)
        logs.begin(request_id=request_id)
        self._door.shares.begin()
        if scope["type"] == "http":
            await self._http(scope, receive, send, request_id)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        started = perf_counter()
        status: int | None = None

        async def mark(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = message["headers"]
                said = dict(headers)
                if self._names.isdisjoint(said):
                    headers += self._headers
                else:
                    headers += [header for header in self._headers if header[0] not in said]
                headers.append((b"x-request-id", request_id.encode()))
            await send(message)

        probe = scope["path"] in PROBES
        try:
            if self._drain.begun and not probe:
                more = {"Retry-After": str(RETRY_AFTER), "Connection": "close"}
                refusal = plain_error(
                    503, "SERVICE_UNAVAILABLE", "This process is stopping; try again", request_id, **more
                )
                await self._refuse(refusal, scope, receive, mark)
                return
            if not probe and (away := self._door.refusal(scope, request_id)) is not None:
                await self._refuse(away, scope, receive, mark)
                return
            with self._drain:
                await self._app(scope, receive, mark)
        except Exception:
            log.exception("request failed")
            if status is None:
                said = "Something went wrong here. Quote the request id when you report it."
                await plain_error(500, "INTERNAL_SERVER_ERROR", said, request_id)(scope, receive, mark)
        finally:
            if not probe:
                logs.access(
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    milliseconds=round((perf_counter() - started) * 1000, 1),
                    client_ip=scope["state"]["client_ip"],
                )

    async def _refuse(self, refusal: Response, scope: Scope, receive: Receive, send: Send) -> None:
        if b"origin" in heads_of(scope):
            scope["state"]["refusal"] = refusal
            await self._refusals(scope, receive, send)
        else:
            await refusal(scope, receive, send)


def _forwarded(scope: Scope) -> str:
    """Many lines are one list."""
    lines = (value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for")
    return ",".join(filter(None, lines))


async def _refusal(scope: Scope, receive: Receive, send: Send) -> None:
    await scope["state"]["refusal"](scope, receive, send)

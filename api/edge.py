"""Around every request: its id, its log line, the headers every answer carries, and an answer whatever happens inside."""

from __future__ import annotations

import re
from collections.abc import Sequence
from time import perf_counter
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import logs
from api.client_ip import Network, client_ip
from api.drain import RETRY_AFTER, Drain
from api.responses import plain_error

log = structlog.stdlib.get_logger("api.access")

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
    def __init__(self, app: ASGIApp, *, drain: Drain, trusted_proxies: Sequence[Network], https: bool) -> None:
        self._app = app
        self._drain = drain
        self._trusted = trusted_proxies
        self._headers = SECURITY | ({"Strict-Transport-Security": "max-age=63072000"} if https else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if SANE_ID.fullmatch(given) else uuid4().hex
        peer = scope["client"][0] if scope.get("client") else None
        ip = client_ip(peer, headers.get("x-forwarded-for"), self._trusted)
        scope.setdefault("state", {}).update(request_id=request_id, client_ip=ip)
        logs.clear()
        logs.bind(request_id=request_id)
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
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        probe = scope["path"] in PROBES
        try:
            if self._drain.begun and not probe:
                more = {"Retry-After": str(RETRY_AFTER), "Connection": "close"}
                refusal = plain_error(
                    503, "SERVICE_UNAVAILABLE", "This process is stopping; try again", request_id, **more
                )
                await refusal(scope, receive, mark)
                return
            with self._drain.running():
                await self._app(scope, receive, mark)
        except Exception:
            log.exception("request failed")
            if status is None:
                said = "Something went wrong here. Quote the request id when you report it."
                await plain_error(500, "INTERNAL_SERVER_ERROR", said, request_id)(scope, receive, mark)
        finally:
            level = log.debug if probe else log.info
            milliseconds = round((perf_counter() - started) * 1000, 1)
            level(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                milliseconds=milliseconds,
                client_ip=scope["state"]["client_ip"],
            )

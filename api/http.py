"""GraphQL over HTTP: POST and GET, as the GraphQL-over-HTTP specification and its auditors want it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, cast
from urllib.parse import parse_qsl

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from api import logs, negotiation
from api.auth import Authenticator, Caller, Credentials, credentials_of
from api.door import Door
from api.errors import Rejected
from api.gate import READING, SINGLE, Request
from api.graphql import Answer, GraphQL, broken
from api.heads import heads_of
from api.patience import Patience, begun
from api.requests import bad_request, parse_json, request_of, request_of_params
from api.responses import plain_error, reject, respond
from api.sse import EventStream

BODY_SECONDS = 30.0
GONE_SECONDS = 0.05
"""Most answers are there sooner; from then on it is worth a task to notice that nobody waits for this one."""
NOBODY = Credentials()

log = logs.log("api.http")


class ClientGone(Exception):
    """Nobody will read the answer."""


class HttpEndpoint:
    """Decides who asks and how to answer; the work is GraphQL's."""

    def __init__(
        self, graphql: GraphQL, authenticator: Authenticator, events: EventStream, door: Door,
        ide: Callable[[], Response] | None,
    ) -> None:  # fmt: skip
        """Without the IDE, as in production, a plain link or image cannot ask anything: GET needs credentials."""
        self._graphql = graphql
        self._authenticator = authenticator
        self._events = events
        self._door = door
        self._ide = ide
        self._body = Patience(BODY_SECONDS)
        self._gone = Patience(GONE_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._response(scope, receive)
        if response is not None:
            await response(scope, receive, send)

    async def _response(self, scope: Scope, receive: Receive) -> Response | None:
        request_id, method = scope["state"]["request_id"], scope["method"]
        if method not in ("GET", "POST"):
            return plain_error(405, "BAD_REQUEST", "Use POST or GET", request_id, Allow="GET, POST")
        heads = heads_of(scope)
        params = (
            dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)) if method == "GET" else {}
        )
        accept = heads.get(b"accept")
        if self._ide and method == "GET" and negotiation.wants_html(accept) and not _asks(params):
            return self._ide()
        media = negotiation.accepted(accept)
        if media is None:
            return plain_error(406, "BAD_REQUEST", "Accept JSON or an event stream", request_id)
        streaming = media == negotiation.EVENTS
        try:
            credentials = credentials_of(heads)
            if method == "GET" and self._ide is None and credentials == NOBODY:
                raise bad_request("Without credentials, send a POST")
            caller = await self._authenticator.caller(
                credentials, request_id=request_id, client_ip=scope["state"]["client_ip"]
            )
            actor = caller.actor
            logs.bind(organization=actor.organization_id, principal=actor.principal)
            if (away := self._door.away(scope, actor.organization_id, media, request_id)) is not None:
                return away
            request = request_of_params(params) if method == "GET" else await self._read(heads, receive)
            if streaming:
                request = replace(request, last_event_id=heads.get(b"last-event-id", b"").decode("latin-1") or None)
                return self._events.respond(method, request, caller)
            answer = await self._answer(request, caller, method, receive)
            return None if answer is None else respond(answer, media)
        except ClientGone:
            return None
        except Rejected as rejected:
            allow = {"Allow": "POST"} if rejected.status == 405 else {}
            return reject(rejected, negotiation.JSON if streaming else media, request_id, **allow)
        except Exception as error:
            return respond(broken(error, request_id), negotiation.JSON if streaming else media)

    async def _answer(self, request: Request, caller: Caller, method: str, receive: Receive) -> Answer | None:
        operation = await self._graphql.prepare(request, caller.actor, READING if method == "GET" else SINGLE)
        logs.bind(operation=operation.name, kind=operation.kind_name)
        return await _unless_gone(receive, self._graphql.run(operation, request, caller.actor), self._gone)

    async def _read(self, heads: Mapping[bytes, bytes], receive: Receive) -> Request:
        if not negotiation.is_json(heads.get(b"content-type")):
            raise bad_request("Send Content-Type: application/json in UTF-8", status=415)
        body = await read_body(heads.get(b"content-length", b"0"), receive, self._graphql.limits.body, self._body)
        key = heads.get(b"idempotency-key")
        return request_of(parse_json(body), idempotency_key=None if key is None else key.decode("latin-1"))


async def read_body(said: bytes, receive: Receive, limit: int, patience: Patience) -> bytes:
    """The body, as far as it is not larger than it may be."""
    if said.isdigit() and int(said) > limit:
        raise bad_request(f"The body is larger than {limit} bytes", status=413)
    body = bytearray()
    here, first = begun(cast(Coroutine[Any, Any, Message], receive()))  # mostly all of it came with the head
    if here and not _added(body, first, limit):
        return bytes(body)
    try:
        with patience.limit():
            while _added(body, await receive() if here else await first, limit):
                here = True
            return bytes(body)
    except TimeoutError:
        raise bad_request(f"The body did not arrive within {patience.seconds:g} seconds", status=408) from None


def _added(body: bytearray, message: Message, limit: int) -> bool:
    """Whether there is more to come."""
    if message["type"] == "http.disconnect":
        raise ClientGone
    body += message.get("body", b"")
    if len(body) > limit:
        raise bad_request(f"The body is larger than {limit} bytes", status=413)
    return bool(message.get("more_body", False))


async def _unless_gone(receive: Receive, work: Awaitable[Answer], patience: Patience) -> Answer | None:
    """The answer, or None once the client has hung up: then the work is cancelled, since nobody will read it."""
    task = asyncio.current_task()
    assert task is not None
    watching: list[asyncio.Task[None]] = []
    gone = False

    def hung_up(watcher: asyncio.Task[None]) -> None:
        nonlocal gone
        if watching and not watcher.cancelled() and watcher.exception() is None:
            gone = True
            task.cancel()

    def watch() -> None:
        watching.append(asyncio.create_task(_disconnected(receive)))
        watching[0].add_done_callback(hung_up)

    wait = patience.begin(watch)
    try:
        return await work
    except asyncio.CancelledError:
        if not gone or task.uncancel():
            raise
        log.info("client gone, operation cancelled")
        return None
    finally:
        patience.end(wait)
        if watching:
            watching.pop().cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _asks(params: Mapping[str, str]) -> bool:
    """The query string holds a request; else it is a browser that was pointed here."""
    return any(name in params for name in ("query", "documentId", "extensions"))

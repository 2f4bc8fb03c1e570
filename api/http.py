"""GraphQL over HTTP: POST and GET, as the GraphQL-over-HTTP specification and its auditors want it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api import negotiation
from api.auth import Authenticator, Credentials, credentials_of
from api.errors import Rejected
from api.gate import READING, SINGLE, Request
from api.graphql import Answer, GraphQL, broken
from api.requests import bad_request, parse_json, request_of, request_of_params
from api.responses import plain_error, reject, respond
from api.sse import EventStream
from db.actor import Actor

BODY_SECONDS = 30.0
NOBODY = Credentials()

log = structlog.stdlib.get_logger("api.http")


class HttpEndpoint:
    """Decides who asks and how to answer; the work is GraphQL's."""

    def __init__(
        self, graphql: GraphQL, authenticator: Authenticator, events: EventStream, ide: Callable[[], Response] | None
    ) -> None:
        """Without the IDE, as in production, a plain link or image cannot ask anything: GET needs credentials."""
        self._graphql = graphql
        self._authenticator = authenticator
        self._events = events
        self._ide = ide

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        http = HttpRequest(scope, receive)
        response = await self._response(http)
        if response is not None:
            await response(scope, receive, send)

    async def _response(self, http: HttpRequest) -> Response | None:
        request_id = http.state.request_id
        if http.method not in ("GET", "POST"):
            return plain_error(405, "BAD_REQUEST", "Use POST or GET", request_id, Allow="GET, POST")
        header = http.headers.get("accept")
        if self._ide and http.method == "GET" and negotiation.wants_html(header) and not _asks(http):
            return self._ide()
        media = negotiation.accepted(header)
        if media is None:
            return plain_error(406, "BAD_REQUEST", "Accept JSON or an event stream", request_id)
        streaming = media == negotiation.EVENTS
        try:
            credentials = credentials_of(http.headers)
            if http.method == "GET" and self._ide is None and credentials == NOBODY:
                raise bad_request("Without credentials, send a POST")
            caller = await self._authenticator.caller(
                credentials, request_id=request_id, client_ip=http.state.client_ip
            )
            _bind(caller.actor)
            request = await self._read(http)
            if streaming:
                request = replace(request, last_event_id=http.headers.get("last-event-id") or None)
                return self._events.respond(http, request, caller)
            allowed = READING if http.method == "GET" else SINGLE
            operation = await self._graphql.prepare(request, caller.actor, allowed)
            structlog.contextvars.bind_contextvars(operation=operation.name, kind=operation.kind.value)
            answer = await _unless_gone(http, self._graphql.run(operation, request, caller.actor))
            return None if answer is None else respond(answer, media)
        except ClientDisconnect:
            return None
        except Rejected as rejected:
            allow = {"Allow": "POST"} if rejected.status == 405 else {}
            return reject(rejected, negotiation.JSON if streaming else media, request_id, **allow)
        except Exception as error:
            return respond(broken(error, request_id), negotiation.JSON if streaming else media)

    async def _read(self, http: HttpRequest) -> Request:
        if http.method == "GET":
            return request_of_params(http.query_params)
        if not negotiation.is_json(http.headers.get("content-type")):
            raise bad_request("Send Content-Type: application/json in UTF-8", status=415)
        body = await read_body(http, self._graphql.limits.body)
        return request_of(parse_json(body), idempotency_key=http.headers.get("idempotency-key"))


async def read_body(http: HttpRequest, limit: int) -> bytes:
    """The body, as far as it is not larger than it may be."""
    said = http.headers.get("content-length", "0")
    if said.isdigit() and int(said) > limit:
        raise bad_request(f"The body is larger than {limit} bytes", status=413)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in http.stream():
                body += chunk
                if len(body) > limit:
                    raise bad_request(f"The body is larger than {limit} bytes", status=413)
    except TimeoutError:
        raise bad_request(f"The body did not arrive within {BODY_SECONDS:g} seconds", status=408) from None
    return bytes(body)


async def _unless_gone(http: HttpRequest, work: Awaitable[Answer]) -> Answer | None:
    """The answer, or None once the client has hung up: then the work is cancelled, since nobody will read it."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(http))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        log.info("client gone, operation cancelled")
        return None
    finally:
        for one in (task, gone):
            if not one.done():
                one.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnected(http: HttpRequest) -> None:
    while (await http.receive())["type"] != "http.disconnect":
        pass


def _asks(http: HttpRequest) -> bool:
    """The query string holds a request; else it is a browser that was pointed here."""
    return any(name in http.query_params for name in ("query", "documentId", "extensions"))


def _bind(actor: Actor) -> None:
    structlog.contextvars.bind_contextvars(organization=actor.organization_id, principal=actor.principal)

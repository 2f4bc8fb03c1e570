"""Subscriptions, queries and mutations over Server-Sent Events, one connection each (graphql-sse, distinct mode)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing, suppress

import structlog
from graphql import OperationType
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.auth import Caller
from api.drain import Drain
from api.errors import Rejected
from api.gate import EVERYTHING, STREAMED_BY_GET, Request
from api.graphql import Answer, GraphQL, broken, refused
from api.responses import dumps

KEEP_ALIVE = 12.0
COMPLETE = b"event: complete\ndata:\n\n"


class EventStream:
    def __init__(self, graphql: GraphQL, drain: Drain) -> None:
        self._graphql = graphql
        self._drain = drain

    def respond(self, http: HttpRequest, request: Request, caller: Caller) -> Response:
        """A document that cannot run is told inside the stream: an EventSource cannot read the body of a refusal."""
        allowed = STREAMED_BY_GET if http.method == "GET" else EVERYTHING
        return StreamResponse(self._frames(request, caller, allowed), self._drain, caller)

    async def _frames(
        self, request: Request, caller: Caller, allowed: Collection[OperationType]
    ) -> AsyncGenerator[bytes, None]:
        request_id = caller.actor.request_id
        try:
            operation = await self._graphql.prepare(request, caller.actor, allowed)
            structlog.contextvars.bind_contextvars(operation=operation.name, kind=operation.kind.value)
            async with aclosing(self._graphql.stream(operation, request, caller)) as answers:
                async for answer in answers:
                    yield _next(answer)
                    if not answer.executed:
                        break
        except Rejected as rejected:
            yield _next(refused(rejected.errors, request_id, extensions=rejected.extensions))
        except Exception as error:
            yield _next(broken(error, request_id))
        yield COMPLETE


class StreamResponse(Response):
    """Frames as they come, a comment when none come, and an end when the client leaves, is signed out, or we stop."""

    def __init__(self, frames: AsyncGenerator[bytes, None], drain: Drain, caller: Caller) -> None:
        super().__init__(
            status_code=200,
            headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"},
            media_type="text/event-stream; charset=utf-8",
        )
        del self.headers["content-length"]
        self._frames = frames
        self._drain = drain
        self._caller = caller

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        lock = asyncio.Lock()

        async def write(chunk: bytes, more: bool = True) -> None:
            async with lock:
                await send({"type": "http.response.body", "body": chunk, "more_body": more})

        async def deliver() -> None:
            async for frame in self._frames:
                await write(frame)

        async def keep_alive() -> None:
            while True:
                await asyncio.sleep(KEEP_ALIVE)
                await write(b":\n\n")

        async def until_gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        await write(b":\n\n")
        ends = [deliver(), until_gone(), self._caller.until_refused(), self._drain.beginning(), keep_alive()]
        tasks = [asyncio.ensure_future(end) for end in ends]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._frames.aclose()
        with suppress(OSError, RuntimeError):
            await write(b"", more=False)


def _next(answer: Answer) -> bytes:
    """An event's cursor is the frame's id: a client that connects again sends it as `Last-Event-ID`."""
    id = b"" if answer.cursor is None else b"id: " + answer.cursor.encode() + b"\n"
    return b"event: next\n" + id + b"data: " + dumps(answer.payload) + b"\n\n"

"""Subscriptions, queries and mutations over Server-Sent Events, one connection each (graphql-sse, distinct mode)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import aclosing, suppress

from graphql import OperationType
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api import logs
from api.auth import Caller
from api.drain import Drain
from api.errors import Rejected
from api.gate import EVERYTHING, STREAMED_BY_GET, Request
from api.graphql import Answer, broken, refused
from api.responses import dumps
from api.streams import Streams
from api.told import Batch, event

KEEP_ALIVE = 12.0
COMPLETE = b"event: complete\ndata:\n\n"
MOST_WAITING = 65_536
"""Bytes that may wait for a client before it is one that reads slowly."""


class EventStream:
    def __init__(self, streams: Streams, drain: Drain) -> None:
        self._streams = streams
        self._drain = drain

    def respond(self, method: str, request: Request, caller: Caller) -> Response:
        """A document that cannot run is told inside the stream: an EventSource cannot read the body of a refusal."""
        allowed = STREAMED_BY_GET if method == "GET" else EVERYTHING
        outlet = Outlet()
        return StreamResponse(self._frames(request, caller, allowed, outlet), self._drain, caller, outlet)

    async def _frames(
        self, request: Request, caller: Caller, allowed: Collection[OperationType], outlet: Outlet
    ) -> AsyncGenerator[bytes, None]:
        request_id = caller.actor.request_id
        try:
            operation = await self._streams.graphql.prepare(request, caller.actor, allowed)
            logs.bind(operation=operation.name, kind=operation.kind_name)
            async with aclosing(self._streams.stream(operation, request, caller, outlet)) as answers:
                async for answer in answers:
                    yield _next(answer)
                    if not answer.executed:
                        break
        except Rejected as rejected:
            yield _next(refused(rejected.errors, request_id, extensions=rejected.extensions))
        except Exception as error:
            yield _next(broken(error, request_id))
        yield COMPLETE


class Outlet:
    """Frames made for many, until the connection has taken them."""

    def __init__(self) -> None:
        self._waiting: list[bytes] = []
        self._size = 0
        self._filled = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def put(self, batch: Batch) -> bool:
        if self._size > MOST_WAITING:
            return False
        self._waiting.append(batch.stream)
        self._size += len(batch.stream)
        self._filled.set()
        self._empty.clear()
        return True

    async def drain(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Write what is put here, all that waits at once."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            chunk = b"".join(self._waiting)
            self._waiting.clear()
            await write(chunk)
            self._size -= len(chunk)
            if not self._waiting:
                self._empty.set()

    async def empty(self) -> None:
        await self._empty.wait()


class StreamResponse(Response):
    """Frames as they come, a comment when none come, and an end when the client leaves, is signed out, or we stop."""

    def __init__(self, frames: AsyncGenerator[bytes, None], drain: Drain, caller: Caller, outlet: Outlet) -> None:
        super().__init__(
            status_code=200,
            headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"},
            media_type="text/event-stream; charset=utf-8",
        )
        del self.headers["content-length"]
        self._frames = frames
        self._drain = drain
        self._caller = caller
        self._outlet = outlet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        lock = asyncio.Lock()

        async def write(chunk: bytes, more: bool = True) -> None:
            async with lock:
                await send({"type": "http.response.body", "body": chunk, "more_body": more})

        async def deliver() -> None:
            async for frame in self._frames:
                await self._outlet.empty()  # what was told with others comes before
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
        tasks = [asyncio.ensure_future(end) for end in (*ends, self._outlet.drain(write))]
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
    return event(dumps(answer.payload), answer.cursor)

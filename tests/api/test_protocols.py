"""The protocols under the application, in the event loop of production: heads that are too large, and what closed sockets leave."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import weakref
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn
import uvloop
from websockets.asyncio.client import connect

from api import metrics, negotiation
from api.frames import EXTENSION, MOST_HEAD, BoundedProtocol, FramesProtocol
from api.supervisor import collecting, configured
from tests.api.conftest import settings

HEAD = b"POST / HTTP/1.1\r\nhost: x\r\n"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """What came, by either protocol."""
    if scope["type"] == "lifespan":
        for end in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{end}.complete"})
        return
    if scope["type"] == "websocket":
        assert scope["extensions"][EXTENSION].write_frames
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        return
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    body = b"%d headers, %d bytes" % (len(scope["headers"]), size)
    await send({
        "type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))],
    })  # fmt: skip
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def listening(http: Any = None, ws: Any = None, app: Any = echo) -> AsyncIterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        config = configured(settings(), app)
        config.http, config.ws = http or config.http, ws or config.ws
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve([taken]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield port
        finally:
            server.should_exit = True
            await serving


async def in_production(work: Coroutine[Any, Any, None]) -> None:
    await asyncio.to_thread(uvloop.run, work)


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self) -> tuple[int, bytes]:
        async with asyncio.timeout(10):
            head = await self.reader.readuntil(b"\r\n\r\n")
            size = next(int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"content-length: "))
            return int(head.split(b" ", 2)[1]), await self.reader.readexactly(size)

    async def crawl(self, data: bytes) -> None:
        """Not faster than it is read, so that an answer is not lost with what was sent after it."""
        for at in range(0, len(data), 4_096):
            self.writer.write(data[at : at + 4_096])
            await self.writer.drain()
            await asyncio.sleep(0.002)
            if self.reader._buffer or self.reader.at_eof():  # type: ignore[attr-defined]
                return


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


ENDLESS = {
    "a value": HEAD + b"accept: " + b"a" * 200_000,
    "a name": HEAD + b"a" * 200_000,
    "many headers": HEAD + b"a: b\r\n" * 30_000,
    "an address": b"GET /" + b"a" * 200_000,
}


@pytest.mark.parametrize("head", ENDLESS.values(), ids=ENDLESS.keys())
async def test_a_head_without_an_end_is_refused(head: bytes) -> None:
    async def work() -> None:
        async with listening() as port, connected(port) as client:
            await client.crawl(head)
            status, body = await client.answer()
            assert status == 431
            assert json.loads(body)["errors"][0]["extensions"]["code"] == "BAD_REQUEST"
            assert await client.reader.read() == b"", "and it is closed"

    await in_production(work())


async def test_heads_up_to_the_bound_are_read() -> None:
    async def work() -> None:
        async with listening() as port, connected(port) as client:
            for size, status in ((MOST_HEAD - 200, 200), (MOST_HEAD - 200, 200), (MOST_HEAD + 100, 431)):
                client.writer.write(HEAD + b"content-length: 3\r\naccept: " + b"a" * size + b"\r\n\r\nabc")
                assert (await client.answer())[0] == status
        async with listening() as port, connected(port) as client:  # much at once, but each of it is small
            client.writer.write((HEAD + b"content-length: 100\r\n\r\n" + b"x" * 100) * 2_000)
            assert [await client.answer() for _ in range(2_000)] == [(200, b"2 headers, 100 bytes")] * 2_000
        async with listening() as port, connected(port) as client:
            client.writer.write(HEAD + b"content-length: 1000000\r\n\r\n" + b"x" * 1_000_000)
            assert await client.answer() == (200, b"2 headers, 1000000 bytes")
            client.writer.write(
                HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"5\r\nabcde\r\n" * 30_000 + b"0\r\n\r\n"
            )
            assert await client.answer() == (200, b"2 headers, 150000 bytes"), "the sizes of chunks are no head"

    await in_production(work())


async def test_what_follows_a_body_is_bounded_as_well() -> None:
    async def work() -> None:
        async with listening() as port, connected(port) as client:
            await client.crawl(HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 30_000)
            async with asyncio.timeout(10):
                with suppress(ConnectionResetError):
                    assert await client.reader.read() == b"", "there was nothing to say: an answer was under way"

    await in_production(work())


async def test_a_websockets_head_is_bounded_as_well() -> None:
    async def work() -> None:
        async with listening() as port, connected(port) as client:
            upgrade = b"connection: upgrade\r\nupgrade: websocket\r\n"
            client.writer.write(b"GET / HTTP/1.1\r\n" + upgrade + b"a: b\r\n" * 12_000 + b"\r\n")
            assert (await client.answer())[0] == 431

    await in_production(work())


async def test_a_head_that_is_no_http_is_refused_as_before() -> None:
    async def work() -> None:
        async with listening() as port, connected(port) as client:
            client.writer.write(b"what?\r\n\r\n")
            assert await client.answer() == (400, b"Invalid HTTP request received.")

    await in_production(work())


def test_long_headers_are_read_but_not_kept() -> None:
    kept: dict[bytes, str] = negotiation.accepted.__self__  # type: ignore[attr-defined]
    before = len(kept)
    for n in range(3):
        assert negotiation.accepted(b"application/json," + b"a/%d," % n * 200) == negotiation.JSON
        assert negotiation.is_json(b"application/json; v=%d; x=%b" % (n, b"x" * 300))
    assert len(kept) == before
    for n in range(2 * negotiation.MOST_KEPT):
        negotiation.accepted(b"a/%d" % n)
    assert len(kept) <= negotiation.MOST_KEPT
    assert negotiation.accepted(b"text/event-stream") == negotiation.EVENTS
    assert negotiation.accepted(None) == negotiation.JSON
    assert negotiation.accepted(b"a/b," * 100_000 + b"application/json") is None


async def test_a_closed_socket_leaves_nothing_that_only_the_collector_could_find() -> None:
    left: list[weakref.ref[Any]] = []

    class WatchedHttp(BoundedProtocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            left.append(weakref.ref(self))

    class WatchedSocket(FramesProtocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            left.extend((weakref.ref(self), weakref.ref(self.conn)))

    async def work() -> None:
        async with listening(WatchedHttp, WatchedSocket) as port:
            for how in ("closed", "cut", "never said anything"):
                async with connect(f"ws://127.0.0.1:{port}/") as client:
                    if how != "never said anything":
                        await client.send("a")
                        assert await client.recv() == "a"
                    if how == "cut":
                        client.transport.abort()
            async with connected(port) as late:
                late.writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                assert (await late.answer())[0] == 200
            for _ in range(500):
                if not any(ref() for ref in left):
                    break
                await asyncio.sleep(0.01)
            assert len(left) == 3 * 3 + 1
            assert [type(found).__name__ for ref in left if (found := ref()) is not None] == []

    gc.collect()
    gc.disable()
    try:
        await in_production(work())
    finally:
        gc.enable()


class Circle:
    def __init__(self) -> None:
        self.me = self


async def test_circles_are_collected_now_and_then_and_rather_while_nothing_is_answered() -> None:
    gc.disable()
    task = asyncio.create_task(collecting(0.01, 3_600))
    try:
        with metrics.in_flight:
            circle = weakref.ref(Circle())
            await asyncio.sleep(0.2)
            assert circle() is not None, "an operation is being answered"
        async with asyncio.timeout(10):
            while circle() is not None:
                await asyncio.sleep(0.01)
        task.cancel()
        task = asyncio.create_task(collecting(0.01, 0.05))
        with metrics.in_flight:
            circle = weakref.ref(Circle())
            async with asyncio.timeout(10):
                while circle() is not None:
                    await asyncio.sleep(0.01)
    finally:
        task.cancel()
        gc.enable()

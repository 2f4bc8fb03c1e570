"""Many who connect at once while the process has a lot to do, in the event loop it runs in production."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from typing import Any

import uvicorn
import uvloop

from api.supervisor import ACCEPTED_AT_ONCE, copies

CALLERS = 12


async def answer(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def turns_until_all_are_served(listening: Callable[[socket.socket], list[socket.socket]]) -> int:
    """How often the loop looks, each time after a while of other work, until everybody who had connected has an answer."""

    async def serve() -> int:
        taken = socket.socket()
        taken.bind(("127.0.0.1", 0))
        taken.listen(64)
        address = taken.getsockname()
        server = uvicorn.Server(uvicorn.Config(answer, lifespan="off", log_config=None, access_log=False))
        serving = asyncio.create_task(server.serve(listening(taken)))
        while not server.started:
            await asyncio.sleep(0.01)
        clients = [socket.create_connection(address) for _ in range(CALLERS)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            client.setblocking(False)
        waiting, turns = set(clients), 0
        while waiting:
            time.sleep(0.005)  # noqa: ASYNC251 - the loop is busy
            await asyncio.sleep(0)
            turns += 1
            waiting -= {client for client in waiting if _has_come(client)}
        for client in clients:
            client.close()
        server.should_exit = True
        await serving
        taken.close()
        return turns

    return uvloop.run(serve())


def _has_come(client: socket.socket) -> bool:
    try:
        return b"200" in client.recv(1_000)
    except BlockingIOError:
        return False


async def test_all_who_wait_at_the_door_come_in_together() -> None:
    one_by_one = await asyncio.to_thread(turns_until_all_are_served, lambda taken: [taken.dup()])
    together = await asyncio.to_thread(turns_until_all_are_served, copies)
    assert CALLERS < ACCEPTED_AT_ONCE
    assert together < one_by_one / 2
    assert one_by_one >= CALLERS, "else libuv takes them at once by itself, and the copies are not needed"


def refused_while_it_stops() -> bool:
    """Whether callers are told at once, while the application still puts things away, that nobody is there any more."""
    stopping, tried = asyncio.Event(), asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await answer(scope, receive, send)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        stopping.set()
        await tried.wait()
        await send({"type": "lifespan.shutdown.complete"})

    async def serve() -> bool:
        taken = socket.socket()
        taken.bind(("127.0.0.1", 0))
        taken.listen(8)
        address = taken.getsockname()
        made = copies(taken)
        assert len(made) == ACCEPTED_AT_ONCE
        server = uvicorn.Server(uvicorn.Config(application, lifespan="on", log_config=None))
        serving = asyncio.create_task(server.serve(made))
        while not server.started:
            await asyncio.sleep(0.01)
        socket.create_connection(address).close()
        server.should_exit = True
        await stopping.wait()
        try:
            socket.create_connection(address).close()
        except ConnectionRefusedError:
            return True
        finally:
            tried.set()
            await serving
            taken.close()
        return False

    return uvloop.run(serve())


async def test_nobody_is_let_in_while_the_application_stops() -> None:
    assert await asyncio.to_thread(refused_while_it_stops)

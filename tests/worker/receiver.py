"""A receiver of webhooks on a socket of this machine, and the parts of a worker that serve it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from db.queue import Queue
from db.session import Database
from tests.conftest import Urls
from tests.support import House
from worker.calls import connect_pool
from worker.consumer import Consumer
from worker.outbound import Outbound, Targets
from worker.relay import Relay
from worker.webhooks import Deliverer, Dispatcher

HERE = Targets(["127.0.0.0/8"], http=True)
QUICK = (0.05, 0.1, 0.1)
Answer = Callable[["Received"], Awaitable[Response | int] | Response | int]


@dataclass
class Received:
    """One request."""

    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def entity(self) -> str:
        return str(self.body["data"]["entityId"])

    def signed_by(self, secret: str) -> bool:
        """Worked out anew from the convention, not by the code that signs."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        signed = b".".join([self.id.encode(), self.headers["webhook-timestamp"].encode(), self.raw])
        good = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return good in self.headers["webhook-signature"].split(" ")


@dataclass
class Receiver:
    """What it was told, and what it answers."""

    url: str
    answer: Answer = lambda _: 200
    received: list[Received] = field(default_factory=list)
    accepted: list[Received] = field(default_factory=list)

    def of(self, entity: str) -> list[Received]:
        return [one for one in self.accepted if one.entity == entity]


@asynccontextmanager
async def receiving(answer: Answer = lambda _: 200, host: str = "127.0.0.1", **tls: Any) -> AsyncIterator[Receiver]:
    async def told(request: Request) -> Response:
        one = Received(dict(request.headers), await request.body())
        receiver.received.append(one)
        answered = receiver.answer(one)
        if isinstance(answered, Awaitable):
            answered = await answered
        response = PlainTextResponse("noted", answered) if isinstance(answered, int) else answered
        if response.status_code < 300:
            receiver.accepted.append(one)
        return response

    with socket.socket() as listening:
        listening.bind((host, 0))
        port = listening.getsockname()[1]
        receiver = Receiver(f"http://{host}:{port}/hooks", answer)
        app = Starlette(routes=[Route("/hooks", told, methods=["POST"])])
        config = uvicorn.Config(
            app, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1, **tls
        )
        server = uvicorn.Server(config)
        server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]
        task = asyncio.create_task(server.serve([listening]))
        while not server.started:
            await asyncio.sleep(0.01)
            assert not task.done(), task.result()
        try:
            yield receiver
        finally:
            server.should_exit = True
            await task


@asynccontextmanager
async def delivering(
    urls: Urls, database: Database, house: House, *, delays: tuple[float, ...] = QUICK, dispatchers: int = 1,
    targets: Targets = HERE, seconds: float = 10.0,
) -> AsyncIterator[None]:  # fmt: skip
    """Relay, dispatchers and the consumer of the queue, as the worker has them."""
    pool = await connect_pool(urls.events)
    outbound = Outbound(targets, seconds=seconds)
    handlers = Deliverer(house.schema._schema, outbound, delays=delays).handlers
    parts: list[Any] = [Relay(urls.events), Consumer(Queue.WEBHOOKS, database, pool, handlers, slots=16)]
    parts += [Dispatcher(urls.events, database) for _ in range(dispatchers)]
    tasks = [asyncio.create_task(part.run()) for part in parts]
    try:
        yield
    finally:
        for part in parts:
            part.stop()
        await asyncio.wait_for(asyncio.gather(*tasks), 30)
        await outbound.close()
        await pool.close()

"""Operations over a WebSocket: the protocol graphql-transport-ws, with every message's shape checked first."""

from __future__ import annotations

import asyncio
import weakref
from contextlib import ExitStack, aclosing, suppress
from typing import Any

import structlog
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from api import logs, metrics
from api.auth import Authenticator, Caller, Credentials, bearer, credentials_of
from api.drain import Drain
from api.errors import Rejected
from api.frames import EXTENSION, FramesProtocol
from api.gate import Request
from api.graphql import Answer, broken, refused
from api.heads import heads_of
from api.requests import parse_json, request_of
from api.responses import dumps
from api.streams import Streams
from api.throttle import Full, Slots
from api.told import Batch

log = structlog.stdlib.get_logger("api.ws")

PROTOCOL = "graphql-transport-ws"
INIT_SECONDS = 5.0
MOST_IN_FLIGHT = 200
"""Operations one socket may have running, whatever their kind."""


class Close(Exception):
    """The socket has to close with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason[:120]


class Gone(Exception):
    """The client has left."""


class SocketEndpoint:
    def __init__(
        self, streams: Streams, authenticator: Authenticator, drain: Drain, sockets: Slots,
        *, init_seconds: float = INIT_SECONDS,
    ) -> None:  # fmt: skip
        self.streams = streams
        self.graphql = streams.graphql
        self.authenticator = authenticator
        self.drain = drain
        self.sockets = sockets
        self.init_seconds = init_seconds

    async def serve(self, websocket: WebSocket) -> None:
        offered = websocket.scope.get("subprotocols", [])
        await websocket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
        if PROTOCOL not in offered:
            await websocket.close(4406, f"Subprotocol not acceptable: offer {PROTOCOL}")
            return
        with metrics.sockets.track_inprogress(), self.drain:
            await Socket(self, websocket).serve()


class Socket:
    """One connection, from its first message to its last."""

    def __init__(self, endpoint: SocketEndpoint, websocket: WebSocket) -> None:
        self._to = endpoint
        self._websocket = websocket
        self._request_id: str = websocket.state.request_id
        self._caller: Caller | None = None
        self._running: dict[str, asyncio.Task[None]] = {}
        self._frames: FramesProtocol | None = websocket.scope.get("extensions", {}).get(EXTENSION)
        self._sending = asyncio.Lock()
        self._stack = ExitStack()
        self._initialised = asyncio.Event()
        self._init_seen = False

    async def serve(self) -> None:
        """Read until the client leaves or something ends the connection; then stop what still runs."""
        ends = [self._read(), self._greeted_in_time(), self._told_to_leave(), self._refused()]
        tasks = [asyncio.create_task(end) for end in ends]
        close = Close(1000, "")
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            # not raised here: an error that is kept by its task would keep this frame, and with it the socket
            why = next((error for task in done if (error := task.exception()) is not None), None)
            if isinstance(why, Close):
                close = why
            elif why is not None and not isinstance(why, Gone):
                log.error("socket failed", exc_info=why)
                close = Close(4500, "Internal server error")
        finally:
            waiting = [*tasks, *self._running.values()]
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            self._stack.close()
        states = (self._websocket.client_state, self._websocket.application_state)
        if states == (WebSocketState.CONNECTED, WebSocketState.CONNECTED):
            with suppress(RuntimeError, OSError, WebSocketDisconnect):
                await self._websocket.close(close.code, close.reason)
        who = {} if self._caller is None else {"principal": self._caller.key}
        log.info("socket closed", code=close.code, reason=close.reason, **who)

    # --- what may end the connection ----------------------------------------------------------------------------------

    async def _read(self) -> None:
        limit = self._to.graphql.limits.body
        while True:
            received = await self._websocket.receive()
            if received["type"] == "websocket.disconnect":
                return
            text = received.get("text")
            if text is None:
                raise Close(4400, "Messages are text")
            if len(text) > limit or (len(text) * 4 > limit and len(text.encode()) > limit):
                raise Close(1009, f"A message is at most {limit} bytes")
            try:
                message = parse_json(text)
            except Rejected:
                raise Close(4400, "A message is JSON") from None
            await self._handle(message)

    async def _greeted_in_time(self) -> None:
        try:
            async with asyncio.timeout(self._to.init_seconds):
                await self._initialised.wait()
        except TimeoutError:
            raise Close(4408, "Connection initialisation timeout") from None
        await asyncio.Event().wait()

    async def _told_to_leave(self) -> None:
        await self._to.drain.beginning()
        raise Close(1001, "Going away")

    async def _refused(self) -> None:
        """Ends when the token has expired, the session is signed out, or the user is disabled."""
        await self._initialised.wait()
        assert self._caller is not None
        raise Close(4403, await self._caller.until_refused())

    # --- messages -----------------------------------------------------------------------------------------------------

    async def _handle(self, message: Any) -> None:
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise Close(4400, "A message is an object with a type")
        match message["type"]:
            case "connection_init":
                await self._init(message.get("payload"))
            case "ping":
                pong = {"type": "pong"} if message.get("payload") is None else {**message, "type": "pong"}
                try:
                    await self._send({name: pong[name] for name in ("type", "payload") if name in pong})
                except TypeError:  # what can be read nests deeper than what can be written
                    raise Close(4400, "The payload nests too deeply") from None
            case "pong":
                pass
            case "subscribe":
                self._subscribe(message)
            case "complete":
                if (task := self._running.pop(_id(message), None)) is not None:
                    task.cancel()
            case unknown:
                raise Close(4400, f"Unknown message type {unknown[:40]!r}")

    async def _init(self, payload: Any) -> None:
        if self._init_seen:
            raise Close(4429, "Too many initialisation requests")
        self._init_seen = True
        if payload is not None and not isinstance(payload, dict):
            raise Close(4400, "The payload of connection_init is an object")
        try:
            self._caller = await self._to.authenticator.caller(
                self._credentials(payload or {}),
                request_id=self._request_id,
                client_ip=self._websocket.state.client_ip,
            )
            most = self._to.graphql.limits_of(self._caller.actor).sockets
            self._stack.enter_context(self._to.sockets.taken(self._caller.key, most))
        except Rejected as rejected:
            raise Close(4429 if rejected.status == 429 else 4403, str(rejected)) from None
        except Full as full:
            raise Close(4429, f"At most {full.most} connections at once") from None
        actor = self._caller.actor
        logs.bind(organization=actor.organization_id, principal=actor.principal)
        await self._send({"type": "connection_ack"})
        self._initialised.set()

    def _credentials(self, payload: dict[str, Any]) -> Credentials:
        """What the payload says, in any spelling of `authorization`; else the handshake's headers."""
        given = next((value for name, value in payload.items() if name.lower() == "authorization"), None)
        if given is None:
            return credentials_of(heads_of(self._websocket.scope))
        if not isinstance(given, str):
            raise Close(4400, "`authorization` is a string")
        return bearer(given)

    def _subscribe(self, message: dict[str, Any]) -> None:
        if not self._initialised.is_set() or self._caller is None:
            raise Close(4401, "Unauthorized")
        id = _id(message)
        if id in self._running:
            raise Close(4409, f"Subscriber for {id[:60]} already exists")
        if len(self._running) >= MOST_IN_FLIGHT:
            raise Close(4429, f"At most {MOST_IN_FLIGHT} operations at once")
        try:
            request = request_of(message.get("payload"))
        except Rejected as rejected:
            raise Close(4400, str(rejected)) from None
        task = asyncio.create_task(self._run(id, request, self._caller))
        self._running[id] = task

    async def _run(self, id: str, request: Request, caller: Caller) -> None:
        logs.bind(operation=request.operation_name, operation_id=id[:60])
        try:
            if await self._answers(id, request, caller):
                await self._send({"id": id, "type": "complete"})
        except Gone:
            pass  # the reader notices the same and ends the connection
        finally:
            if self._running.get(id) is asyncio.current_task():
                del self._running[id]

    async def _answers(self, id: str, request: Request, caller: Caller) -> bool:
        """Send every answer; False where the operation ended in an error message, which ends it by itself."""
        try:
            self._to.graphql.admit(caller.actor)
            operation = await self._to.graphql.prepare(request, caller.actor)
            outlet = None if self._frames is None else Outlet(self._frames, self._running, id)
            async with aclosing(self._to.streams.stream(operation, request, caller, outlet)) as answers:
                async for answer in answers:
                    if not answer.executed:
                        return await self._fail(id, answer, request)
                    await self._send({"id": id, "type": "next", "payload": answer.payload})
        except Rejected as rejected:
            return await self._fail(id, refused(rejected.errors, self._request_id), request)
        except Gone:
            raise
        except Exception as error:
            return await self._fail(id, broken(error, self._request_id), request)
        return True

    async def _fail(self, id: str, answer: Answer, request: Request) -> bool:
        """An error message has no room for extensions of the answer: what the operation cost stands in those of its errors."""
        for error in answer.payload["errors"]:
            error["extensions"] |= request.bill.extensions
        await self._send({"id": id, "type": "error", "payload": answer.payload["errors"]})
        return False

    async def _send(self, message: dict[str, Any]) -> None:
        text = dumps(message).decode()
        async with self._sending:
            try:
                await self._websocket.send_text(text)
            except (WebSocketDisconnect, OSError, RuntimeError):
                raise Gone from None


class Outlet:
    """Where the answers of one operation go that are made for many."""

    def __init__(self, frames: FramesProtocol, running: dict[str, asyncio.Task[None]], id: str) -> None:
        self._frames = frames
        self._running = running
        self._id = id
        task = asyncio.current_task()
        assert task is not None
        self._task = weakref.ref(task)  # which has us in its frame

    def put(self, batch: Batch) -> bool:
        if self._running.get(self._id) is not self._task():
            return True  # it was completed: the id may be another operation's by now
        return self._frames.write_frames(batch.frames(self._id))


def _id(message: dict[str, Any]) -> str:
    id = message.get("id")
    if not isinstance(id, str) or not id or len(id) > 200:
        raise Close(4400, "`id` is a non-empty string")
    return id

"""What uvicorn's protocols lack: a bound on what is no body of a request; heads of answers that are not looked at header by
header; and WebSocket frames that many sockets are sent, built once, written to each without a task where it does not block."""

from __future__ import annotations

import struct
from typing import Any

from uvicorn.protocols.http.httptools_impl import HEADER_VALUE_RE, STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from api.responses import WHOLE, plain_error

EXTENSION = "unison.frames"
"""Under this name the connection's own object stands among the scope's extensions."""
_FINAL_TEXT = 0x81
_SHORT, _LONG = 126, 1 << 16

MOST_HEAD = 65_536
"""Bytes of a request's line and headers. The parser keeps them however many come, before anybody has signed in."""
TOO_LARGE = bytes(plain_error(431, "BAD_REQUEST", f"The head of a request is at most {MOST_HEAD} bytes", None).body)


class HeadTooLarge(Exception):
    """Ends the parsing of a request."""


_TAKEN: dict[str, dict[object, object]] = {WHOLE: {}}
ALWAYS = frozenset({
    b"cache-control", b"content-security-policy", b"content-type", b"cross-origin-resource-policy", b"date", b"referrer-policy",
    b"retry-after", b"strict-transport-security", b"vary", b"www-authenticate", b"x-content-type-options", b"x-frame-options",
})  # fmt: skip
"""Headers that say the same in answer after answer."""
MOST_LINES = 200
_LINES: dict[tuple[bytes, bytes], bytes] = {}


class Answering(RequestResponseCycle):
    """uvicorn's, but a head of what is always said and a length is put together of lines that are ready. To look at each header
    anew took longer than the rest of the protocol."""

    async def send(self, message: Any) -> None:
        body = message.pop(WHOLE, None)
        if message["type"] == "http.response.start" and (head := self._head(message)) is not None:
            self.response_started, self.waiting_for_100_continue = True, False
            if body is not None and len(body) == self.expected_content_length:
                self._finish(head, body)
                return
            self.transport.write(head)
        else:
            await super().send(message)
        if body is not None:
            await super().send({"type": "http.response.body", "body": body})

    def _finish(self, head: bytes, body: bytes) -> None:
        self.transport.write(head + body)
        self.expected_content_length, self.response_complete = 0, True
        self.message_event.set()
        self.on_response()

    def _head(self, message: Any) -> bytes | None:
        """None where there is anything else to it, which is left to uvicorn."""
        if self.response_started or self.disconnected or self.flow.write_paused or not self.keep_alive:
            return None
        lines, length = [STATUS_LINE[message["status"]]], None
        for header in (*self.default_headers, *message["headers"]):
            line = _LINES.get(header)
            if line is None:
                name, value = header
                if name == b"content-length" and length is None and value.isdigit():
                    length = int(value)
                elif (
                    name not in ALWAYS and not (name == b"x-request-id" and value.isalnum())
                ) or HEADER_VALUE_RE.search(value):
                    return None
                line = b"%b: %b\r\n" % header
                if name in ALWAYS:
                    _keep(header, line)
            lines.append(line)
        if length is None:
            return None
        self.expected_content_length, self.chunked_encoding = length, False
        return b"".join([*lines, b"\r\n"])


def _keep(header: tuple[bytes, bytes], line: bytes) -> None:
    if len(_LINES) >= MOST_LINES:
        _LINES.clear()
    _LINES[header] = line


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP, with a bound on heads, and on what may follow a body. All it costs a request is to count what came."""

    _beside = 0
    """Bytes since the last head or piece of a body was whole: at most so much of the next head, or of trailers, is here."""

    def data_received(self, data: bytes) -> None:
        self._beside += len(data)
        super().data_received(data)
        if self._beside > MOST_HEAD:
            self._refuse()

    def on_headers_complete(self) -> None:
        if self._beside > MOST_HEAD and self._head() > MOST_HEAD:
            raise HeadTooLarge  # the parser tells data_received, and that answers by send_400_response
        self._beside = 0
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:  # there is no other way to tell the protocol which class to take
            self.cycle.__class__ = Answering
            self.scope["extensions"] = _TAKEN

    def on_body(self, body: bytes) -> None:
        self._beside = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        if self._beside > MOST_HEAD:
            self._refuse()
        else:
            super().send_400_response(msg)

    def handle_websocket_upgrade(self) -> None:
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]  # it holds us, and nobody tells us any more when the connection is lost

    def _head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + len(b": \r\n") for name, value in self.headers)

    def _refuse(self) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:  # else it would stand within another answer
            head = f"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: {len(TOO_LARGE)}\r\n"
            self.transport.write(
                f"{head}content-type: application/json; charset=utf-8\r\nconnection: close\r\n\r\n".encode() + TOO_LARGE
            )
        self.transport.close()


class FramesProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, and besides `send` a way to write frames that are ready."""

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions: dict[Any, Any] = self.scope["extensions"]
            extensions[EXTENSION] = self

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of what holds us in turn: full collections are rare, and until then every closed socket would stay."""
        super().connection_lost(exc)
        if hasattr(self, "scope"):
            self.scope["extensions"].pop(EXTENSION, None)
        self.conn.parser.close()

    def write_frames(self, frames: bytes) -> bool:
        """Hand whole frames to the socket, or answer False where it has not taken what it was given before."""
        if not self.writable.is_set():
            return False
        if not (self.disconnected or self.close_sent or self.transport.is_closing()):
            self.transport.write(frames)
        return True


def text_frame(text: bytes) -> bytes:
    """A server's frame with one whole text, not compressed: it is the same for every socket."""
    size = len(text)
    if size < _SHORT:
        return bytes((_FINAL_TEXT, size)) + text
    if size < _LONG:
        return struct.pack("!BBH", _FINAL_TEXT, 126, size) + text
    return struct.pack("!BBQ", _FINAL_TEXT, 127, size) + text

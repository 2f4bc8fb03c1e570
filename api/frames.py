"""WebSocket frames that many sockets are sent: built once, written to each without a task where it does not block."""

from __future__ import annotations

import struct
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

EXTENSION = "unison.frames"
"""Under this name the connection's own object stands among the scope's extensions."""
_FINAL_TEXT = 0x81
_SHORT, _LONG = 126, 1 << 16


class FramesProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, and besides `send` a way to write frames that are ready."""

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions: dict[Any, Any] = self.scope["extensions"]
            extensions[EXTENSION] = self

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

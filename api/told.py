"""What a group tells its members: answers as bytes, framed once for all that need the same frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from api.frames import text_frame


@dataclass(frozen=True, slots=True)
class Told:
    """One event's answer, and its place in the order of events."""

    pos: int
    cursor: str
    payload: bytes


class Batch:
    """Answers that go out together."""

    def __init__(self, answers: Sequence[Told]) -> None:
        self.answers = answers
        self._frames: dict[str, bytes] = {}
        self._stream: bytes | None = None

    def after(self, pos: int) -> Batch:
        return Batch([told for told in self.answers if told.pos > pos])

    def frames(self, id: str) -> bytes:
        """As messages of graphql-transport-ws. Clients count their subscriptions from 1: most ids are the same."""
        if (known := self._frames.get(id)) is None:
            start = b'{"id":' + orjson.dumps(id) + b',"type":"next","payload":'
            known = b"".join(text_frame(start + told.payload + b"}") for told in self.answers)
            self._frames[id] = known
        return known

    @property
    def stream(self) -> bytes:
        """As Server-Sent Events."""
        if self._stream is None:
            self._stream = b"".join(event(told.payload, told.cursor) for told in self.answers)
        return self._stream


class Outlet(Protocol):
    """Where a subscription's answers go."""

    def put(self, batch: Batch) -> bool:
        """Take answers at once, or none of them and answer False: the client reads more slowly than things happen."""
        ...


def event(payload: bytes, cursor: str | None) -> bytes:
    """An event's cursor is the frame's id: a client that connects again sends it as `Last-Event-ID`."""
    id = b"" if cursor is None else b"id: " + cursor.encode() + b"\n"
    return b"event: next\n" + id + b"data: " + payload + b"\n\n"

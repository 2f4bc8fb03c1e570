"""The client of all servers: keep-alive connections over one epoll loop, requests as ready-made bytes.

It does as little as a client can, so that two cores are left to server and database; its own CPU time is reported.
"""

from __future__ import annotations

import gc
import math
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

PIECE = 262_144
END_OF_CHUNKS = b"\r\n0\r\n\r\n"  # never inside JSON, which escapes line breaks
GRACE = 30.0


@dataclass(frozen=True)
class Measured:
    """What one client saw."""

    seconds: float
    latencies: list[float]
    """Milliseconds, ascending."""
    cpu: float
    """Seconds of the client's own."""
    refused: int
    """Requests that were answered with an error: they count as asked, not as answered."""
    refusal: str
    """What the last of them was told."""

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float:
        if not self.latencies:
            return math.nan
        return self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * share))]


class NoAnswer(Exception):
    """A server did not answer at all."""


class _Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = bytearray()
        self.sent_at = 0.0

    def send(self, request: bytes) -> None:
        self.received.clear()
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def answered(self) -> bool:
        """Read what is there; true when the answer is whole."""
        piece = self.socket.recv(PIECE)
        if not piece:
            raise NoAnswer("the connection was closed")
        received = self.received
        received += piece
        head = received.find(b"\r\n\r\n")
        if head < 0:
            return False
        headers = bytes(received[:head]).lower()
        at = headers.find(b"content-length:")
        if at >= 0:
            length = int(headers[at + 15 :].split(b"\r\n", 1)[0])
            return len(received) >= head + 4 + length
        return received.endswith(END_OF_CHUNKS)

    def good(self) -> bool:
        return self.received.startswith(b"HTTP/1.1 200") and b'"errors":[{' not in self.received


def measure(
    port: int, requests: Iterator[bytes], *, connections: int, seconds: float, most: int = 1_000_000
) -> Measured:
    """Ask over this many connections, each as soon as it was answered, for a time or a number of answers."""
    poll = select.epoll()
    open_ones = {c.socket.fileno(): c for c in (_Connection(port) for _ in range(connections))}
    latencies: list[float] = []
    for number in open_ones:
        poll.register(number, select.EPOLLIN)
    gc.collect()
    gc.disable()
    began, cpu = time.perf_counter(), time.process_time()
    until = began + seconds
    waiting, refused, refusal = connections, 0, ""
    try:
        for connection in open_ones.values():
            connection.send(next(requests))
        while waiting:
            if time.perf_counter() > until + GRACE:
                raise NoAnswer(f"{waiting} requests were not answered within {GRACE:g} seconds")
            for number, _ in poll.poll(1):
                connection = open_ones[number]
                if not connection.answered():
                    continue
                now = time.perf_counter()
                if connection.good():
                    latencies.append((now - connection.sent_at) * 1_000)
                else:
                    refused, refusal = refused + 1, bytes(connection.received[-1_000:]).decode(errors="replace")
                if now < until and len(latencies) + refused + waiting <= most:
                    connection.send(next(requests))
                else:
                    waiting -= 1
        took = time.perf_counter() - began
    finally:
        gc.enable()
        poll.close()
        for connection in open_ones.values():
            connection.socket.close()
    return Measured(took, sorted(latencies), time.process_time() - cpu, refused, refusal)

"""The client of `shedding.py`: one organization's requests, at a pace of their own or one after the other. Sockets and epoll
and nothing else, because it shares the cores with what it measures; it runs in a process of its own.
"""

from __future__ import annotations

import gc
import select
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

ANSWER_SECONDS = 30.0
MOST_CONNECTIONS = 2_000
"""When so many answers are out, a request waits here for a connection. Its time runs all the same."""
TICK = 0.001


def percentile(values: Sequence[float], percent: float) -> float:
    """Of seconds, as milliseconds."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1_000 if ordered else float("nan")


@dataclass
class Seen:
    """The answers to one organization's requests."""

    asked: int = 0
    lost: int = 0
    cpu: float = 0.0
    """Seconds of this client's own."""
    connections: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    admitted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)


class _Connection:
    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=ANSWER_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.due = 0.0

    def answered(self) -> int | None:
        """The status, once the answer is whole."""
        piece = self.socket.recv(262_144)
        if not piece:
            raise ConnectionError("closed by the server")
        self.received += piece
        head = self.received.find(b"\r\n\r\n")
        if head < 0:
            return None
        headers = self.received[:head].lower()
        length = headers.find(b"content-length:")
        more = int(headers[length + 15 :].split(b"\r\n", 1)[0]) if length >= 0 else 0
        return int(self.received[9:12]) if len(self.received) >= head + 4 + more else None


class Client:
    def __init__(self, host: str, port: int, request: bytes) -> None:
        self._address = (host, port)
        self._request = request
        self._poll = select.epoll()
        self._busy: dict[int, _Connection] = {}
        self._idle: list[_Connection] = []
        self._waiting: deque[float] = deque()
        self._again: Callable[[], bool] = lambda: False
        self.seen = Seen()

    def closed(self, connections: int, seconds: float) -> Seen:
        """Each connection asks as soon as it is answered."""
        until = time.perf_counter() + seconds
        self._again = lambda: time.perf_counter() < until
        for _ in range(connections):
            self._ask(time.perf_counter())
        return self._finished()

    def paced(self, rate: float, seconds: float) -> Seen:
        """So many requests per second, whatever becomes of them. Time counts from when one was due."""
        began, total, number = time.perf_counter(), int(rate * seconds), 0
        while number < total:
            due = min(total, int((time.perf_counter() - began) * rate) + 1)
            for each in range(number, due):
                self._ask(began + each / rate)
            number = max(number, due)
            self._listen(TICK)
        return self._finished()

    def _finished(self) -> Seen:
        last = time.perf_counter()
        while (self._busy or self._waiting) and time.perf_counter() < last + ANSWER_SECONDS:
            self._listen(0.1)
        self.seen.lost += len(self._busy) + len(self._waiting)
        return self.seen

    def _ask(self, due: float) -> None:
        self.seen.asked += 1
        if self._idle or len(self._busy) < MOST_CONNECTIONS:
            self._send(due)
        else:
            self._waiting.append(due)

    def _send(self, due: float) -> None:
        while True:
            connection = self._idle.pop() if self._idle else self._opened()
            connection.received, connection.due = b"", due
            self._busy[connection.socket.fileno()] = connection
            try:
                connection.socket.sendall(self._request)
                return
            except ConnectionError:  # closed while it was idle, as it may be
                self._drop(connection)

    def _opened(self) -> _Connection:
        connection = _Connection(self._address)
        self._poll.register(connection.socket.fileno(), select.EPOLLIN)
        self.seen.connections = max(self.seen.connections, len(self._busy) + 1)
        return connection

    def _drop(self, connection: _Connection) -> None:
        self._busy.pop(connection.socket.fileno(), None)
        connection.socket.close()

    def _listen(self, seconds: float) -> None:
        for number, _ in self._poll.poll(seconds):
            connection = self._busy.get(number)
            if connection is None:  # an idle one was closed
                gone = next(one for one in self._idle if one.socket.fileno() == number)
                self._idle.remove(gone)
                gone.socket.close()
                continue
            try:
                status = connection.answered()
            except ConnectionError as error:
                self._drop(connection)
                if connection.received:
                    self.seen.lost += 1
                    print(f"not answered: {error!r}", flush=True)
                else:
                    self._send(connection.due)
                continue
            if status is None:
                continue
            now = time.perf_counter()
            self.seen.statuses[status] += 1
            (self.seen.admitted if status == 200 else self.seen.refused).append(now - connection.due)
            del self._busy[number]
            self._idle.append(connection)
            if self._waiting:
                self._send(self._waiting.popleft())
            elif self._again():
                self._ask(now)


def run(host: str, port: int, request: bytes, how: str, much: float, seconds: float, wait: float = 0.0) -> Seen:
    """`closed` over so many connections or `paced` at so many per second; what a process of its own runs."""
    time.sleep(wait)
    gc.disable()
    client, before = Client(host, port, request), time.process_time()
    seen = client.closed(int(much), seconds) if how == "closed" else client.paced(much, seconds)
    seen.cpu = time.process_time() - before
    return seen

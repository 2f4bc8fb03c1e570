"""Thousands of WebSocket clients in one cheap process: raw sockets, an epoll, and a look at each frame for when it was made.

    echo '["token", …]' | .venv/bin/python -m tests.load.listeners host port subscribers

Says `ready` when all are subscribed, and to the line `?` how many frames came; another line ends it, then it prints what
it found as JSON.
"""

from __future__ import annotations

import base64
import json
import os
import re
import select
import socket
import struct
import sys
import time
from array import array
from collections import defaultdict

DOCUMENT = "subscription { projectEvents { cursor object { id name } } }"
MADE = re.compile(rb'"name":"(\d+) ([\d.]+)"')
"""The name of a project is the rate that is measured and the time just before its commit."""
PING = b"\x89\x04"  # never inside of the JSON, which is ASCII here
LONGEST = 400


def masked(opcode: int, payload: bytes) -> bytes:
    """A client's frame; masked with zeros, so that it stays as it is."""
    size = len(payload)
    head = bytes((0x80 | opcode, 0x80 | size)) if size < 126 else struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    return head + bytes(4) + payload


def say(message: object) -> bytes:
    return masked(1, json.dumps(message).encode())


def begin(host: str, port: int, token: str) -> socket.socket:
    made = socket.create_connection((host, port), timeout=60)
    key = base64.b64encode(os.urandom(16)).decode()
    made.sendall(
        f"GET /graphql HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode()
    )
    until(made, b"\r\n\r\n")
    made.sendall(say({"type": "connection_init", "payload": {"authorization": f"Bearer {token}"}}))
    until(made, b"connection_ack")
    made.sendall(say({"id": "1", "type": "subscribe", "payload": {"query": DOCUMENT}}))
    made.setblocking(False)
    return made


def until(made: socket.socket, words: bytes) -> None:
    seen = b""
    while words not in seen:
        more = made.recv(4096)
        assert more, "the server has closed the connection"
        seen += more


def listen(sockets: list[socket.socket]) -> dict[int, array[float]]:
    """Milliseconds from commit to socket of every frame, by rate, until a line comes in."""
    found: dict[int, array[float]] = defaultdict(lambda: array("d"))
    poll = select.epoll()
    known = {made.fileno(): made for made in sockets}
    rest = dict.fromkeys(known, b"")
    for number in known:
        poll.register(number, select.EPOLLIN)
    poll.register(sys.stdin.fileno(), select.EPOLLIN)
    while True:
        for number, _ in poll.poll():
            if number == sys.stdin.fileno():
                if sys.stdin.buffer.readline() != b"?\n":
                    return found
                print(sum(len(waits) for waits in found.values()), flush=True)
                continue
            data = rest[number] + known[number].recv(262_144)
            came = time.time()
            if (at := data.find(PING)) >= 0:
                known[number].send(masked(10, data[at + 2 : at + 6]))
            end = 0
            for match in MADE.finditer(data):
                found[int(match[1])].append((came - float(match[2])) * 1_000)
                end = match.end()
            rest[number] = data[max(end, len(data) - LONGEST) :]


def main() -> None:
    host, port, subscribers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    tokens = json.loads(sys.stdin.buffer.readline())
    sockets = [begin(host, port, tokens[n % len(tokens)]) for n in range(subscribers)]
    time.sleep(2)
    print("ready", flush=True)
    result = {}
    for rate, waits in listen(sockets).items():
        ordered = sorted(waits)
        result[rate] = {
            "told": len(ordered),
            "p50": ordered[len(ordered) // 2],
            "p99": ordered[len(ordered) * 99 // 100],
            "most": ordered[-1],
        }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()

"""The harness itself, in small: run by `make bench` before it measures. It takes longer than a unit test may."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from itertools import repeat
from pathlib import Path

from tests.load.bench.client import measure

ROOT = Path(__file__).parents[3]
TINY = {
    "BENCH_ORGANIZATIONS": "1", "BENCH_ORDERS": "600", "BENCH_SECONDS": "0.2", "BENCH_WARMUP": "0.1", "BENCH_ROUNDS": "1",
    "BENCH_CONNECTIONS": "1,16", "BENCH_QUERIES": "Q1,Q2,Q3,Q4,Q5", "BENCH_SERVERS": "unison,postgraphile,yoga", "SCALE": "1",
}  # fmt: skip


def test_a_tiny_run_sees_equal_rows_and_ends_with_a_ratio_per_query() -> None:
    command = [sys.executable, "-m", "tests.load.bench"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | TINY, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    for name in ("Q1", "Q2", "Q3", "Q4", "Q5"):
        assert any(re.fullmatch(rf"{name} .*: the same \d+ values from 3 servers", line) for line in lines), done.stdout
    assert [re.sub(r"[\d.]+$", "n", line) for line in lines[-5:]] == [f"Q{n} ratio n" for n in range(1, 6)]
    assert "refused" not in done.stdout


ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"data\":{}}",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n{\"data\r\n5\r\n\":{}}\r\n0\r\n\r\n",
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n{\"errors\":[{\"message\":\"x\"}]}"[:-1],
)  # fmt: skip


def _answering(listening: socket.socket) -> None:
    """Each request is answered by the next of the answers, in pieces."""
    connection, _ = listening.accept()
    with connection:
        for answer in ANSWERS:
            if not connection.recv(1_000):
                return
            for at in range(0, len(answer), 7):
                connection.sendall(answer[at : at + 7])


def test_the_client_reads_whole_answers_and_tells_refusals_from_them() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        answering = threading.Thread(target=_answering, args=(listening,))
        answering.start()
        seen = measure(port, repeat(b"POST / HTTP/1.1\r\n\r\n"), connections=1, seconds=30, most=len(ANSWERS))
        answering.join()
    assert (len(seen.latencies), seen.refused) == (2, 2)
    assert "errors" in seen.refusal

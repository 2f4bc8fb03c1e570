"""Logs, metrics and spans as those who run Unison receive them; in processes of their own, because all three are global."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from prometheus_client import Counter, Histogram

from api import metrics
from api.settings import REPOSITORY


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return done.stderr


def test_a_line_of_any_library_is_json_and_names_its_request() -> None:
    said = run("""
        import logging
        from api import logs
        from api.settings import Settings
        logs.configure(Settings(secret_key="s" * 32, log_format="json", _env_file=None))
        logs.bind(request_id="r-1", organization_id=7, operation="Orders")
        logs.log("modules.production").info("released", work_order=12)
        logging.getLogger("some.library").warning("odd: %s", "thing")
        try:
            1 / 0
        except ZeroDivisionError:
            logs.log("api").exception("broken")
        logs.clear()
        logs.log("api").info("after")
    """)
    ours, theirs, broken, after = map(json.loads, said.splitlines())
    assert (ours["event"], ours["work_order"], ours["level"], ours["logger"]) == (
        "released",
        12,
        "info",
        "modules.production",
    )
    for line in (ours, theirs, broken):
        assert (line["request_id"], line["organization_id"], line["operation"]) == ("r-1", 7, "Orders")
        assert line["process"] == "api"
        assert line["timestamp"].endswith("Z")
    assert theirs["event"] == "odd: thing"
    assert broken["exception"][0]["exc_type"] == "ZeroDivisionError"
    assert "request_id" not in after


def test_access_lines_are_written_in_pieces_a_pipe_takes_whole() -> None:
    """A pipe shows no seams between what was written to it; a datagram is what was written at once."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    program = """
        import asyncio
        from api import logs
        from api.settings import Settings
        logs.configure(Settings(secret_key="s" * 32, log_format="json", _env_file=None))
        async def main():
            for _ in range(2):
                for n in range(30):
                    logs.begin(request_id=f"r-{n}")
                    logs.bind(operation="O" * (n % 3) * 500, kind="query")
                    logs.access(method="POST", path="/" + "\\u00e4" * (n % 4) * 300, status=200, milliseconds=1.0)
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            logs.access(method="POST", path="/last")
            await asyncio.sleep(0)
        asyncio.run(main())
    """
    with (
        ours,
        theirs,
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], cwd=REPOSITORY, stderr=theirs.fileno()),
    ):
        ours.settimeout(60)
        pieces = []
        while not pieces or b"/last" not in pieces[-1]:
            pieces.append(ours.recv(1 << 20))
    assert all(len(piece) <= 4_096 and piece.endswith(b"\n") for piece in pieces)
    lines = [json.loads(line) for line in b"".join(pieces).splitlines()]
    assert [line.get("request_id") for line in lines[:60]] == [f"r-{n}" for n in range(30)] * 2
    assert len(lines) == 61
    assert len(pieces) < 20, "many lines are written together"
    assert max(len(line["operation"]) for line in lines) == 120
    assert max(len(line["path"]) for line in lines) == 200
    assert {line["operation"][-1:] for line in lines if len(line["operation"]) == 120} == {"…"}


def test_a_reader_at_a_terminal_gets_words() -> None:
    said = run("""
        from api import logs
        from api.settings import Settings
        logs.configure(Settings(secret_key="s" * 32, log_format="console", _env_file=None))
        logs.log("api").info("started", port=8000)
    """)
    assert "started" in said
    assert "port=8000" in said
    assert not said.startswith("{")


def test_metrics_are_written_as_prometheus_reads_them() -> None:
    body, kind = metrics.exposition()
    assert kind.startswith("text/plain")
    assert b"# TYPE unison_operations_total counter" in body
    (told,) = (line for line in body.decode().splitlines() if line.startswith("# HELP unison_operations_total"))
    for counted in ("query", "mutation", "unknown", "ok", "error", "refused", "rejected"):
        assert counted in told


def _samples(collector: Any) -> list[tuple[str, dict[str, str], float]]:
    (family,) = collector.collect()
    told = [(one.name.removeprefix(family.name), one.labels, one.value) for one in family.samples]
    return [one for one in told if one[0] != "_created"]


def test_tallies_and_times_are_told_as_the_librarys_own_counters_and_histograms() -> None:
    tally, counter = metrics.Tally("own_tally", "", ["kind"]), Counter("their_tally", "", ["kind"])
    times, histogram = (
        metrics.Times("own_times", "", ["kind"]), Histogram("their_times", "", ["kind"], buckets=metrics.SECONDS),
    )  # fmt: skip
    for kind, seconds in (("a", 0.0), ("a", 0.005), ("b", 0.0051), ("a", 3), ("b", 10), ("b", 99)):
        tally.counts[kind,] += 1
        counter.labels(kind).inc()
        times.add((kind,), seconds)
        histogram.labels(kind).observe(seconds)
    assert _samples(tally) == _samples(counter)
    assert _samples(times) == _samples(histogram)
    assert _samples(metrics.Tally("own_empty", "")) == _samples(Counter("their_empty", ""))
    assert _samples(metrics.Times("own_waits", "")) == _samples(Histogram("their_waits", "", buckets=metrics.SECONDS))


class Receiver(BaseHTTPRequestHandler):
    received: list[tuple[str, bytes]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.received.append((self.path, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_spans_go_to_the_endpoint_of_the_setting(receiver: str) -> None:
    run(f"""
        from api import tracing
        from api.settings import Settings
        finish = tracing.configure(
            Settings(secret_key="s" * 32, otel_exporter_otlp_endpoint="{receiver}", _env_file=None), process="test"
        )
        with tracing.tracer.start_as_current_span("a span of the test"):
            pass
        finish()
    """)
    ((path, body),) = Receiver.received
    assert path == "/v1/traces"
    assert b"a span of the test" in body
    assert b"unison-test" in body

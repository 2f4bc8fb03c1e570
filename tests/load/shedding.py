"""Too much at once: `python tests/load/shedding.py [--seconds 60] [--times 3] [--first 20]`.

Measures what a server of one process can do, then has one organization ask for several times that, at its own pace whatever
the answers, beside another organization that asks now and then. What the quiet one gets is compared with what it gets while
the other asks for no more than can be done: the processors are as busy then, but nobody is sent away. Each organization's
client is a process of its own. Prints figures; fails only if a request was not answered.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[2])  # not this folder: a `queue` stands in it

import argparse
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from urllib.parse import urlsplit

import httpx
import psutil

from tests.load.flood import Seen, percentile, run

DOCUMENT = (
    "{ workOrders(first: %d) { nodes { number status plant { code } operations(first: 4) { nodes { name } } } } }"
)
SIGN_IN = "mutation ($input: SessionCreateInput!) { sessionCreate(input: $input) { accessToken } }"
FLOODING, QUIET = "acme", "globex"
WARM_SECONDS = 5.0
AT_CAPACITY = 16
"""Connections that each ask as soon as they are answered: more than run at once, far fewer than may wait."""
NICER = 5
"""The flood comes from another machine in life: its client gives way to what is measured."""


class Server:
    """The process that is measured, and PostgreSQL's beside it."""

    def __init__(self, url: str, process: psutil.Process, log: Path) -> None:
        self.url = url
        self._process = process
        self._log = log

    def cpu(self) -> tuple[float, float]:
        """Seconds of the server and of PostgreSQL so far."""
        backends = (one for one in psutil.process_iter(["name"]) if one.info["name"] == "postgres")
        return _seconds(self._process), sum(map(_seconds, backends))

    def memory(self) -> float:
        return float(self._process.memory_info().rss) / 1_048_576

    def log_size(self) -> int:
        return self._log.stat().st_size

    def took(self, since: int, principal: str) -> list[float]:
        """Seconds the server itself took for the answers to a caller, by its access log from there on."""
        with self._log.open("rb") as log:
            log.seek(since)
            lines = [json.loads(line) for line in log if b'"api.access"' in line]
        mine = (line for line in lines if line.get("client_ip") and line.get("status") == 200)
        return [line["milliseconds"] / 1_000 for line in mine if str(line.get("organization")) == principal]


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


class Load:
    """Asks as one organization or both, each from a process of its own."""

    def __init__(self, server: Server, document: str, pool: ProcessPoolExecutor, nice: ProcessPoolExecutor) -> None:
        self._server = server
        parts = urlsplit(server.url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._requests = {code: _request(server.url, code, document) for code in (FLOODING, QUIET)}
        self._organization = {code: organization for code, (organization, _) in self._requests.items()}
        self._pools = {FLOODING: nice, QUIET: pool}

    def go(self, seconds: float, *asking: tuple[str, str, float]) -> list[Seen]:
        """Who asks, how, and how much; the answers in the same order."""
        running = [
            self._pools[code].submit(run, *self._address, self._requests[code][1], how, much, seconds)
            for code, how, much in asking
        ]
        return [one.result() for one in running]

    def quiet(self, name: str, pace: float, seconds: float, *beside: tuple[str, str, float]) -> list[Seen]:
        """The quiet organization's figures, alone or beside the other."""
        since, before = self._server.log_size(), self._server.cpu()
        began = time.perf_counter()
        mine, *others = self.go(seconds, (QUIET, "paced", pace), *beside)
        took = time.perf_counter() - began
        own, database = (after - then for after, then in zip(self._server.cpu(), before, strict=True))
        inside = self._server.took(since, self._organization[QUIET])
        clients = ", ".join(f"{seen.cpu / took:.2f}" for seen in (mine, *others))
        say(f"quiet, {name}", mine, seconds)
        print(
            f"    in the server p50 {percentile(inside, 50):.1f} ms, p99 {percentile(inside, 99):.1f} ms;   cores: server"
            f" {own / took:.2f}, PostgreSQL {database / took:.2f}, clients {clients}",
            flush=True,
        )
        return [mine, *others]


def _request(url: str, code: str, document: str) -> tuple[str, bytes]:
    """The organization's id, and its request as it is sent."""
    given = {"organization": code, "email": f"admin@{code}.example", "password": "unison-demo"}
    answer = httpx.post(f"{url}/graphql", json={"query": SIGN_IN, "variables": {"input": given}}, timeout=30).json()
    token = answer["data"]["sessionCreate"]["accessToken"]
    body = json.dumps({"query": document}).encode()
    head = (
        f"POST /graphql HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return _organization(token), head.encode() + body


def _organization(token: str) -> str:
    """As the token names it: the access log has the same."""
    from base64 import urlsafe_b64decode

    claims = json.loads(urlsafe_b64decode(token.split(".")[1] + "=="))
    return str(next(value for name, value in claims.items() if name in ("org", "organization", "organization_id")))


def measure(server: Server, load: Load, seconds: float, times: float) -> bool:
    load.go(2, (FLOODING, "closed", 8))
    before = server.cpu()
    (most,) = load.go(WARM_SECONDS, (FLOODING, "closed", AT_CAPACITY))
    capacity = most.statuses[200] / WARM_SECONDS
    own, database = (
        (now - then) / capacity / WARM_SECONDS * 1_000 for now, then in zip(server.cpu(), before, strict=True)
    )
    pace = max(2.0, min(100.0, capacity / 20))
    print(
        f"capacity {capacity:.0f} /s over {AT_CAPACITY} connections; CPU ms each: server {own:.2f}, PostgreSQL {database:.2f};"
        f" the quiet organization asks {pace:.0f} /s"
    )
    load.quiet("alone", pace, WARM_SECONDS)
    (usual, _) = load.quiet("at capacity", pace, seconds / 2, (FLOODING, "closed", AT_CAPACITY))
    rss, done = [server.memory()], threading.Event()
    watching = threading.Thread(target=_watch, args=(server, rss, done))
    watching.start()
    before = server.cpu()
    (quiet, flood) = load.quiet("in the flood", pace, seconds, (FLOODING, "paced", capacity * times))
    spent = server.cpu()[0] - before[0]
    done.set()
    watching.join()
    served = flood.statuses[200] + quiet.statuses[200]
    away = max(1, flood.asked + quiet.asked - served)
    say(f"flooding, {times:g} times", flood, seconds)
    print(f"    sent away after p50 {percentile(flood.refused, 50):.1f} ms, p99 {percentile(flood.refused, 99):.1f} ms;"
          f" {(spent * 1_000 - served * own) / away:.2f} CPU ms each")  # fmt: skip
    print(
        f"quiet's p99 in the flood is {percentile(quiet.admitted, 99) / percentile(usual.admitted, 99):.1f} times its p99 at capacity"
    )
    reasons = re.findall(r'shed_total\{reason="(\w+)"\} (\S+)', httpx.get(f"{server.url}/metrics", timeout=30).text)
    print("sent away because " + ", ".join(f"{reason}: {float(count):,.0f}" for reason, count in reasons))
    third = max(1, len(rss) // 3)
    print("memory MiB at the start, after a third, two thirds, at the end: "
          + ", ".join(f"{mark:.0f}" for mark in (rss[0], rss[third - 1], rss[2 * third - 1], rss[-1])))  # fmt: skip
    return flood.lost + quiet.lost == 0


def say(name: str, seen: Seen, seconds: float) -> None:
    answers = ", ".join(f"{status}: {count:,}" for status, count in sorted(seen.statuses.items()))
    print(
        f"{name:24} {seen.asked / seconds:6.0f} /s asked over {seen.connections} connections   {answers}   lost: {seen.lost}"
        f"   admitted p50 {percentile(seen.admitted, 50):.1f} ms, p99 {percentile(seen.admitted, 99):.1f} ms",
        flush=True,
    )


def _watch(server: Server, into: list[float], done: threading.Event) -> None:
    while not done.wait(1):
        into.append(server.memory())


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """`unison serve` with the demo and no limit on cost: this is about turns."""
    plenty = {"COST_BUCKET": "2000000000", "COST_RESTORE_PER_SECOND": "1000000000"}
    given = {"PORT": "0", "UNISON_HOME": str(folder / "home"), "LOG_FORMAT": "json", **plenty}
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "api.cli", "serve", "--no-worker"],
            cwd=sys.path[0], env=os.environ | given, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        while not (found := re.search(r"GraphQL\s+(http://\S+)/graphql", log.read_text(encoding="utf-8"))):
            if process.poll() is not None:
                raise SystemExit(log.read_text(encoding="utf-8")[-3_000:])
            time.sleep(0.2)
        yield Server(found[1], psutil.Process(process.pid), log)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--times", type=float, default=3)
    parser.add_argument(
        "--first",
        type=int,
        default=20,
        help="orders on the page that is asked for; more than 200 is refused by Python alone",
    )
    chosen = parser.parse_args(given)
    spawn = get_context("spawn")
    with (
        tempfile.TemporaryDirectory(prefix="unison-load-", ignore_cleanup_errors=True) as folder,
        serving(Path(folder)) as server,
        ProcessPoolExecutor(1, spawn) as pool,
        ProcessPoolExecutor(1, spawn, os.nice, (NICER,)) as nice,
    ):
        if not measure(server, Load(server, DOCUMENT % chosen.first, pool, nice), chosen.seconds, chosen.times):
            raise SystemExit("requests were not answered")


if __name__ == "__main__":
    main()

"""Too much at once: `python tests/load/shedding.py [--seconds 60] [--times 3]`.

Measures what a server of one process can do, then has one organization ask for several times that, at its own pace whatever
the answers, beside another organization that asks now and then. Prints figures; fails only if a request was not answered.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[2])  # not this folder: a `queue` stands in it

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx
import psutil
import uvloop

DOCUMENT = (
    "{ workOrders(first: 20) { nodes { number status plant { code } operations(first: 4) { nodes { name } } } } }"
)
SIGN_IN = "mutation ($input: SessionCreateInput!) { sessionCreate(input: $input) { accessToken } }"
WARM_SECONDS = 5.0
ANSWER_SECONDS = 30.0


@dataclass
class Seen:
    """The answers to one organization's requests."""

    asked: int = 0
    lost: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    admitted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    def p(self, percent: float) -> float:
        values = sorted(self.admitted)
        return values[min(len(values) - 1, int(len(values) * percent / 100))] * 1_000 if values else float("nan")


class Client:
    """Plain HTTP over as many kept connections as answers are waited for."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self._where = (parts.hostname or "127.0.0.1", parts.port or 80)
        body = json.dumps({"query": DOCUMENT}).encode()
        head = (
            f"POST /graphql HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._request = head.encode() + body
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(self, seen: Seen, due: float) -> None:
        """One request; its time counts from when it was due, not from when this program came round to it."""
        seen.asked += 1
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                status = await self._kept() or await self._fresh()
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            seen.lost += 1
            print(f"not answered: {error!r}", flush=True)
            return
        seen.statuses[status] += 1
        (seen.admitted if status == 200 else seen.refused).append(time.perf_counter() - due)

    async def _kept(self) -> int | None:
        """Over a connection that is open already; None where the server has closed it meanwhile, as it may."""
        while self._idle:
            reader, writer = self._idle.pop()
            try:
                return await self._exchange(reader, writer)
            except (ConnectionError, asyncio.IncompleteReadError) as error:
                if getattr(error, "partial", b""):
                    raise
        return None

    async def _fresh(self) -> int:
        return await self._exchange(*await asyncio.open_connection(*self._where))

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        writer.write(self._request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
        await reader.readexactly(int(length[1]) if length else 0)
        self._idle.append((reader, writer))
        return int(head.split(" ", 2)[1])

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


async def capacity(client: Client, connections: int, seconds: float) -> float:
    """Answers per second, each connection asking as soon as it is answered."""
    seen, until = Seen(), time.perf_counter() + seconds

    async def again() -> None:
        while (now := time.perf_counter()) < until:
            await client.ask(seen, now)

    await asyncio.gather(*(again() for _ in range(connections)))
    return seen.statuses[200] / seconds


async def paced(client: Client, rate: float, seconds: float) -> Seen:
    """So many requests per second, whatever becomes of them."""
    seen, tasks = Seen(), set()
    began = time.perf_counter()
    for number in range(int(rate * seconds)):
        due = began + number / rate
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        task = asyncio.create_task(client.ask(seen, due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    return seen


async def memory(process: psutil.Process, into: list[float]) -> None:
    while True:
        into.append(process.memory_info().rss / 1_048_576)
        await asyncio.sleep(1)


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def say(name: str, seen: Seen, seconds: float) -> None:
    answers = ", ".join(f"{status}: {count:,}" for status, count in sorted(seen.statuses.items()))
    print(
        f"{name:26} {seen.asked / seconds:8.0f} /s asked   {answers}   lost: {seen.lost}   "
        f"admitted p50 {seen.p(50):.0f} ms, p99 {seen.p(99):.0f} ms",
        flush=True,
    )


async def measure(url: str, process: psutil.Process, seconds: float, times: float) -> bool:
    flooding, quiet = (
        Client(url, sign_in(url, organization, f"admin@{organization}.example")) for organization in ("acme", "globex")
    )
    await capacity(flooding, 8, 2)
    used = cpu(process)
    most = await capacity(flooding, 16, WARM_SECONDS)
    each = (cpu(process) - used) / (most * WARM_SECONDS or 1) * 1_000
    pace = max(2.0, most / 20)
    print(
        f"capacity {most:.0f} /s over 16 connections, {each:.1f} CPU ms each; the quiet organization asks {pace:.0f} /s"
    )
    say("quiet, alone", await paced(quiet, pace, WARM_SECONDS), WARM_SECONDS)
    rss: list[float] = []
    used = cpu(process)
    watching = asyncio.create_task(memory(process, rss))
    flood, beside = await asyncio.gather(paced(flooding, most * times, seconds), paced(quiet, pace, seconds))
    watching.cancel()
    served = flood.statuses[200] + beside.statuses[200]
    spent = (cpu(process) - used - served * each / 1_000) / max(1, flood.asked + beside.asked - served) * 1_000
    print(f"CPU of the server {(cpu(process) - used) / seconds:.2f} cores; {spent:.1f} CPU ms per request sent away")
    say(f"flooding, {times:g} times", flood, seconds)
    say("quiet, beside the flood", beside, seconds)
    third = max(1, len(rss) // 3)
    marks = (rss[third - 1], rss[2 * third - 1], rss[-1])
    print("memory MiB after a third, two thirds, at the end: " + ", ".join(f"{mark:.0f}" for mark in marks))
    flooding.close()
    quiet.close()
    return flood.lost + beside.lost == 0


def sign_in(url: str, organization: str, email: str) -> str:
    given = {"organization": organization, "email": email, "password": "unison-demo"}
    answer = httpx.post(f"{url}/graphql", json={"query": SIGN_IN, "variables": {"input": given}}, timeout=30).json()
    return str(answer["data"]["sessionCreate"]["accessToken"])


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """`unison serve` with the demo and no limit on cost: this is about turns."""
    plenty = {"COST_BUCKET": "2000000000", "COST_RESTORE_PER_SECOND": "1000000000"}
    given = {"PORT": "0", "UNISON_HOME": str(folder / "home"), "LOG_FORMAT": "json", "LOG_LEVEL": "warning", **plenty}
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
        yield found[1], psutil.Process(process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--times", type=float, default=3)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="unison-load-", ignore_cleanup_errors=True) as folder,
        server(Path(folder)) as (url, process),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        if not runner.run(measure(url, process, given.seconds, given.times)):
            raise SystemExit("requests were not answered")


if __name__ == "__main__":
    main()

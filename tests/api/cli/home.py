"""The `unison` command in processes of its own, over a home of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil

from api.settings import REPOSITORY, Settings

SECONDS = 60


@dataclass
class Home:
    """A UNISON_HOME, and how to run a command over it."""

    folder: Path

    def environment(self, **more: str) -> dict[str, str]:
        known = {name.upper() for name in Settings.model_fields}
        inherited = {name: value for name, value in os.environ.items() if name not in known}
        return {**inherited, "UNISON_HOME": str(self.folder), "PORT": "0", "LOG_FORMAT": "json", **more}

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "api.cli", *arguments],
            cwd=REPOSITORY, env=self.environment(**environment), capture_output=True, text=True, check=False, timeout=SECONDS,
        )  # fmt: skip

    def serve(self, *arguments: str) -> Serving:
        with (self.folder / "log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "api.cli", "serve", *arguments],
                cwd=REPOSITORY, env=self.environment(), stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        return Serving(self, process).wait()

    def server(self) -> Any:
        return json.loads((self.folder / "postgres" / "server.json").read_text())

    def sql(self, statement: str) -> Any:
        async def ask() -> Any:
            connection = await asyncpg.connect(self.server()["url"])
            try:
                return await connection.fetchval(statement)
            finally:
                await connection.close()

        with asyncio.Runner() as runner:
            return runner.run(ask())


@dataclass
class Serving:
    home: Home
    process: subprocess.Popen[str]
    greeting: str = ""

    def wait(self) -> Serving:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.greeting += line
            if "Ctrl-C" in line:
                return self
        self.process.wait(SECONDS)
        self.process.stdout.close()
        raise AssertionError((self.home.folder / "log").read_text())

    @property
    def url(self) -> str:
        return re.findall(r"http://\S+", self.greeting)[0]

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def worker(self) -> psutil.Process | None:
        for child in self.children():
            with contextlib.suppress(psutil.Error):  # it may end while it is looked at
                if "worker" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                    return child
        return None

    def stop(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        code = self.process.wait(SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def eventually(condition: Any, seconds: float = 15) -> Any:
    until = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)
    return answer


def ask(serving: Serving, query: str, **headers: str) -> Any:
    return httpx.post(serving.url, json={"query": query}, headers=headers, timeout=10).json()

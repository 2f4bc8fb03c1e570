"""The servers that are compared: one process each, on one database, with as many connections to it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from api.settings import Settings
from tests.load.bench.house import SECRET, House
from tests.load.bench.node import NODE, PEERS, install

ROOT = Path(__file__).parents[3]
POOL = "10"
START_SECONDS = 90
OURS, POSTGRAPHILE, YOGA = "unison", "postgraphile", "yoga"
PEERS_OF = {POSTGRAPHILE: "postgraphile.mjs", YOGA: "yoga.mjs"}

PLENTY = {
    "COST_BUCKET": "1000000000", "COST_RESTORE_PER_SECOND": "1000000000", "MAX_OPERATIONS_WAITING": "10000",
    "MAX_WAIT_SECONDS": "30",
}  # fmt: skip
"""Limits stay on and are checked; only how much a tenant may spend is more than a bench can."""


@dataclass(frozen=True)
class Server:
    name: str
    port: int
    pid: int


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@asynccontextmanager
async def running(house: House, names: list[str], logs: Path) -> AsyncIterator[list[Server]]:
    """The servers, ready; their output stands in `logs`."""
    if any(name in PEERS_OF for name in names):
        await asyncio.to_thread(install)
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(_one(house, name, logs)) for name in names]


@asynccontextmanager
async def _one(house: House, name: str, logs: Path) -> AsyncIterator[Server]:
    port, log = _free_port(), logs / f"{name}.log"
    command, folder, more = _ours(house, logs) if name == OURS else _peer(house, name)
    known = {setting.upper() for setting in Settings.model_fields}
    inherited = {key: value for key, value in os.environ.items() if key not in known}
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env={**inherited, "PORT": str(port), **more}, stdout=output, stderr=output
        )
    try:
        await _ready(port, process, log)
        yield Server(name, port, process.pid)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 20)
            except TimeoutError:
                process.kill()
                await process.wait()


def _ours(house: House, home: Path) -> tuple[list[str], Path, Mapping[str, str]]:
    """As in production: permissions, limits, metrics and logs on. BENCH_SETTINGS adds or replaces: `NAME=value …`."""
    given = dict(pair.split("=", 1) for pair in os.environ.get("BENCH_SETTINGS", "").split())
    command = [sys.executable, "-m", "api.cli", "serve", "--no-worker", "--no-migrate", "--no-seed"]
    settings = {
        "UNISON_ENV": "production", "UNISON_HOME": str(home), "LOG_FORMAT": "json", "SECRET_KEY": SECRET,
        "DATABASE_URL": house.admin_url, "DATABASE_APP_URL": house.app_url, "DATABASE_EVENTS_URL": house.events_url,
        "POOL_SIZE": POOL, "MINIO_ENDPOINT": "127.0.0.1:9", "MINIO_ACCESS_KEY": "none", "MINIO_SECRET_KEY": "none-at-all",
    }  # fmt: skip
    return command, ROOT, {**settings, **PLENTY, **given}


def _peer(house: House, name: str) -> tuple[list[str], Path, Mapping[str, str]]:
    settings = {
        "DATABASE_URL": house.app_url,
        "NODE_ENV": "production",
        "POOL_SIZE": POOL,
        "GRAPHILE_ENV": "production",
    }
    return [NODE, PEERS_OF[name]], PEERS, settings


async def _ready(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    """Until it answers anything at all over HTTP."""
    async with httpx.AsyncClient() as client, asyncio.timeout(START_SECONDS):
        while True:
            if process.returncode is not None:
                raise RuntimeError(f"{log.stem} did not start:\n{log.read_text()[-4000:]}")
            try:
                await client.get(f"http://127.0.0.1:{port}/readyz")
                return
            except httpx.TransportError:
                await asyncio.sleep(0.1)

"""A house that is being broken: a server of its own, the API in this process, the worker in one that can be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from db.embedded import EmbeddedPostgres
from db.migrate import app_url, events_url, migrate
from db.session import Database
from tests.api.conftest import Live, serving
from tests.conftest import SECRET, Urls
from tests.support import Tenant, new_tenant

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def broken_server() -> Iterator[EmbeddedPostgres]:
    with tempfile.TemporaryDirectory(prefix="unison-faults-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedPostgres(Path(folder), durable=False)
        yield server
        server.stop()


@pytest.fixture(scope="module")
async def broken(broken_server: EmbeddedPostgres) -> Urls:
    url = await asyncio.to_thread(broken_server.start)
    await migrate(url, SECRET)
    return Urls(url, app_url(url, SECRET), events_url(url, SECRET))


@pytest.fixture(scope="module")
async def breaking(broken: Urls) -> AsyncIterator[Live]:
    database = Database.connect(broken.app, pool_size=10)
    async with serving(broken, database, max_sockets_per_principal=100) as live:
        yield live
    await database.close()


@pytest.fixture
async def victim(broken: Urls) -> Tenant:
    connection = await asyncpg.connect(broken.admin)
    try:
        return await new_tenant(connection)
    finally:
        await connection.close()


class Worker:
    """A worker process that is killed without warning and started again."""

    def __init__(self, urls: Urls, **settings: str) -> None:
        self._urls = urls
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self.killed = 0

    async def start(self) -> None:
        environment = {
            **os.environ,
            "DATABASE_APP_URL": self._urls.app,
            "DATABASE_EVENTS_URL": self._urls.events,
            "SECRET_KEY": SECRET,
            **self._settings,
        }
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "worker", cwd=REPOSITORY, env=environment, stderr=asyncio.subprocess.DEVNULL
        )

    async def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
        self.killed += 1

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()


@pytest.fixture
async def worker(broken: Urls) -> AsyncIterator[Worker]:
    worker = Worker(broken)
    await worker.start()
    yield worker
    await worker.stop()

"""A house that is being broken: PostgreSQL, object storage, API and worker, each a process that is ended without warning."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import httpx
import pytest

from api.embedded_s3 import EmbeddedS3
from db.embedded import EmbeddedPostgres
from db.migrate import app_url, events_url, migrate
from db.session import Database
from modules.identity.public import TokenSigner, issue_token_for
from tests.conftest import SECRET, Urls
from tests.support import Tenant, new_tenant
from tests.worker.queues import EFFECTS

REPOSITORY = Path(__file__).parents[2]
BUCKET = "faults"


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
    connection = await asyncpg.connect(url)
    await connection.execute(EFFECTS)
    await connection.close()
    return Urls(url, app_url(url, SECRET), events_url(url, SECRET))


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedS3]:
    server = EmbeddedS3(tmp_path_factory.mktemp("broken-objects"), BUCKET)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def victim(broken: Urls) -> Tenant:
    connection = await asyncpg.connect(broken.admin)
    try:
        return await new_tenant(connection)
    finally:
        await connection.close()


@pytest.fixture
async def token(broken: Urls, victim: Tenant) -> AsyncIterator[str]:
    """Good for every API process: they have the same secret."""
    database = Database.connect(broken.app, pool_size=1)
    yield await issue_token_for(database, TokenSigner(SECRET), victim.code, f"admin@{victim.code}.example")
    await database.close()


class Killable:
    """A process that is killed without warning and started again."""

    def __init__(self, urls: Urls, *command: str, **environment: str) -> None:
        self._command = command
        self._environment = {
            **os.environ,
            "DATABASE_APP_URL": urls.app,
            "DATABASE_EVENTS_URL": urls.events,
            "SECRET_KEY": SECRET,
            **environment,
        }
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *self._command, cwd=REPOSITORY, env=self._environment,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip

    async def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()


@pytest.fixture
async def worker(broken: Urls) -> AsyncIterator[Killable]:
    worker = Killable(broken, "tests.worker.process")
    await worker.start()
    yield worker
    await worker.stop()


class Api(Killable):
    """`unison serve` on a port that it comes back to."""

    def __init__(self, urls: Urls, objects: EmbeddedS3, home: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.socket_url = f"ws://127.0.0.1:{port}/graphql"
        super().__init__(
            urls, *("api.cli", "serve", "--no-worker", "--no-migrate", "--no-seed"), PORT=str(port), HOST="127.0.0.1",
            UNISON_HOME=str(home), MINIO_ENDPOINT=objects.endpoint, MINIO_ACCESS_KEY=objects.access_key,
            MINIO_SECRET_KEY=objects.secret_key, MINIO_BUCKET=BUCKET,
        )  # fmt: skip

    async def ready(self) -> None:
        async with httpx.AsyncClient() as client, asyncio.timeout(60):
            while True:
                with suppress(httpx.TransportError):
                    if (await client.get(f"{self.url}/healthz")).status_code == 200:
                        return
                await asyncio.sleep(0.05)


@pytest.fixture
async def api(broken: Urls, objects: EmbeddedS3, tmp_path: Path) -> AsyncIterator[Api]:
    api = Api(broken, objects, tmp_path)
    await api.start()
    await api.ready()
    yield api
    await api.stop()

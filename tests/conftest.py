"""A real PostgreSQL per test process, migrated as in production; every test asks as the application role."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from db.embedded import EmbeddedPostgres
from db.migrate import app_url, events_url, migrate
from db.session import Database
from schema.build import build
from tests.support import House, Tenant, new_tenant

SECRET = "test-secret-of-at-least-thirty-two-characters"


@dataclass(frozen=True)
class Urls:
    admin: str
    app: str
    events: str
    secret: str = SECRET


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a server of this test process alone."""
    with tempfile.TemporaryDirectory(prefix="unison-test-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        embedded = EmbeddedPostgres(Path(folder), durable=False)
        url = embedded.start()
        try:
            yield url
        finally:
            embedded.stop()


@pytest.fixture(scope="session")
async def urls(server: str) -> Urls:
    await migrate(server, SECRET)
    return Urls(server, app_url(server, SECRET), events_url(server, SECRET))


@pytest.fixture(scope="session")
async def admin(urls: Urls) -> AsyncIterator[asyncpg.Connection]:
    """A superuser's connection: to arrange and to inspect, never to ask."""
    connection = await asyncpg.connect(urls.admin)
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
async def database(urls: Urls) -> AsyncIterator[Database]:
    database = Database.connect(urls.app, pool_size=20)
    yield database
    await database.close()


@pytest.fixture(scope="session")
async def house(database: Database) -> House:
    return House(build(), database)


@pytest.fixture
async def tenant(admin: asyncpg.Connection) -> Tenant:
    """An organization no other test knows."""
    return await new_tenant(admin)


@pytest.fixture
async def stranger(admin: asyncpg.Connection) -> Tenant:
    """Another organization beside it."""
    return await new_tenant(admin)

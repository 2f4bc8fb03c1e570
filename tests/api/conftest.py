"""The application served over a real socket in the tests' own event loop, on the tests' database."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest
import uvicorn
from starlette.applications import Starlette

from api import tokens
from api.app import create_app
from api.frames import BoundedProtocol, FramesProtocol
from api.settings import Settings
from db.session import Database
from modules import MODULES
from modules.identity.public import TokenSigner, issue_token_for
from schema.build import build
from schema.registry import Permission, register
from tests.api import probe
from tests.api.floor import Floor
from tests.conftest import SECRET, Urls
from tests.support import Tenant
from worker.relay import Relay

PROBE = probe.module(
    permissions={"probe.secret": Permission("Told to administrators"), "probe.read": Permission("See events of probes")}
)


@dataclass
class Live:
    """A running server."""

    url: str
    app: Starlette
    settings: Settings
    database: Database
    signer: TokenSigner
    client: httpx.AsyncClient
    tokens: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def socket_url(self) -> str:
        return self.url.replace("http://", "ws://") + "/graphql"

    async def token(self, tenant: Tenant, role: str = "admin", *, lifetime: timedelta | None = None) -> str:
        """An access token as sign-in gives it, with a session of its own."""
        if lifetime is not None:
            signer = TokenSigner(SECRET, lifetime=lifetime)
            return await issue_token_for(self.database, signer, tenant.code, f"{role}@{tenant.code}.example")
        known = (tenant.code, role)
        if known not in self.tokens:
            email = f"{role}@{tenant.code}.example"
            self.tokens[known] = await issue_token_for(self.database, self.signer, tenant.code, email)
        return self.tokens[known]

    async def post(
        self, query: str, *, token: str | None = None, headers: dict[str, str] | None = None, **body: Any
    ) -> httpx.Response:
        sent = {"authorization": f"Bearer {token}"} if token else {}
        return await self.client.post("/graphql", json={"query": query, **body}, headers=sent | (headers or {}))


def settings(**given: Any) -> Settings:
    known: dict[str, Any] = {
        "secret_key": SECRET,
        "sign_ins_per_minute": 600,
        "bad_credentials_per_minute": 6_000,
        "drain_seconds": 2.0,
        "_env_file": None,
    }
    return Settings(**known | given)


@asynccontextmanager
async def serving(urls: Urls, database: Database, **given: Any) -> AsyncIterator[Live]:
    """The application with the probe among its modules, on a free port."""
    chosen = settings(**given)
    schema = build([*MODULES, PROBE])
    register([*MODULES, PROBE])
    app = create_app(chosen, app_url=urls.app, events_url=urls.events, schema=schema)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        config = uvicorn.Config(
            app, lifespan="on", log_config=None, access_log=False, proxy_headers=False, timeout_graceful_shutdown=3,
            http=BoundedProtocol, ws=FramesProtocol,
        )  # fmt: skip
        server = uvicorn.Server(config)
        server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]
        task = asyncio.create_task(server.serve([listening]))
        while not server.started:
            await asyncio.sleep(0.01)
            assert not task.done(), task.result()
        try:
            rested = httpx.Limits(keepalive_expiry=2)  # before the server lets go of it: the two never cross
            async with httpx.AsyncClient(base_url=url, timeout=15, limits=rested) as client:
                yield Live(url, app, chosen, database, tokens.signer(chosen), client)
        finally:
            app.state.drain.begin()
            server.should_exit = True
            await task


@pytest.fixture(scope="session")
async def live(urls: Urls, database: Database) -> AsyncIterator[Live]:
    async with serving(urls, database) as live:
        yield live


@pytest.fixture(scope="module")
async def relay(urls: Urls) -> AsyncIterator[None]:
    """The worker's part: give committed events their position. It leads, so it ends before others want to."""
    relay = Relay(urls.events)
    task = asyncio.create_task(relay.run())
    yield
    relay.stop()
    await task


@pytest.fixture
def floor(admin: asyncpg.Connection, tenant: Tenant) -> Floor:
    return Floor(admin, tenant)

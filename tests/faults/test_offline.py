"""Offline batches against a real server process: killed in the middle, and sent by several terminals at once."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from api import tokens
from api.settings import Settings
from db.session import Database
from modules.identity.public import issue_token_for
from schema.build import build
from tests.api.conftest import settings
from tests.conftest import SECRET, Urls
from tests.faults.conftest import REPOSITORY
from tests.modules.production.shop import Shop
from tests.schema.offline.batches import batch, report
from tests.support import Tenant

APPLY = """mutation($input: OfflineBatchApplyInput!) { offlineBatchApply(input: $input) {
  errors { code } items { idempotencyKey status errors { code message }
    result { ... on ProductionLogPayload { productionLog { id } } } } } }"""
BEFORE, AFTER = 12, 9


@pytest.fixture(scope="module")
def environment(broken: Urls, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    known = {name.upper() for name in Settings.model_fields}
    return {
        **{name: value for name, value in os.environ.items() if name not in known},
        "DATABASE_URL": broken.admin, "DATABASE_APP_URL": broken.app, "DATABASE_EVENTS_URL": broken.events,
        "SECRET_KEY": SECRET, "UNISON_HOME": str(tmp_path_factory.mktemp("home")), "LOG_FORMAT": "json",
        "MINIO_ENDPOINT": "127.0.0.1:9", "MINIO_ACCESS_KEY": "none", "MINIO_SECRET_KEY": "none-at-all",
    }  # fmt: skip


@asynccontextmanager
async def serving(environment: Mapping[str, str], log: Path) -> AsyncIterator[tuple[httpx.AsyncClient, Any]]:
    """`unison serve` without a worker, and a client of it."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "api.cli", "serve", "--no-worker", "--no-migrate", "--no-seed",
            cwd=REPOSITORY, env={**environment, "PORT": port}, stdout=asyncio.subprocess.DEVNULL, stderr=errors,
        )  # fmt: skip
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            async with asyncio.timeout(60):
                while not await _ready(client):
                    assert process.returncode is None, log.read_text()
                    await asyncio.sleep(0.05)
            yield client, process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
async def shop(broken: Urls, victim: Tenant) -> AsyncIterator[Shop]:
    build()
    database = Database.connect(broken.app, pool_size=4)
    yield Shop(database, victim)
    await database.close()


async def _headers(shop: Shop) -> dict[str, str]:
    email = f"operator@{shop.tenant.code}.example"
    token = await issue_token_for(shop.database, tokens.signer(settings()), shop.tenant.code, email)
    return {"authorization": f"Bearer {token}"}


async def _send(client: httpx.AsyncClient, headers: dict[str, str], sent: dict[str, Any]) -> list[dict[str, Any]]:
    answer = (await client.post("/graphql", json={"query": APPLY, "variables": sent}, headers=headers)).json()
    assert "errors" not in answer, answer
    items: list[dict[str, Any]] = answer["data"]["offlineBatchApply"]["items"]
    return items


async def test_a_kill_in_the_middle_of_a_batch_loses_nothing(
    broken: Urls, shop: Shop, environment: Mapping[str, str], tmp_path: Path
) -> None:
    first, held, last = [await shop.order(ordered=100) for _ in range(3)]
    steps = {order: (await shop.operations(order))[0].id for order in (first, held, last)}
    plan = [first] * BEFORE + [held] + [last] * AFTER
    sent = batch(*(report(steps[order], f"k{n}", sequence=n) for n, order in enumerate(plan)))
    headers = await _headers(shop)
    blocker = await asyncpg.connect(broken.admin)
    try:
        hold = blocker.transaction()
        await hold.start()
        await blocker.execute("select from app.work_orders where id = $1 for update", held)
        async with serving(environment, tmp_path / "log") as (client, process):
            sending = asyncio.create_task(_send(client, headers, sent))
            async with asyncio.timeout(30):
                while await shop.log_count(first) < BEFORE:  # the next item waits for the order that is held
                    await asyncio.sleep(0.01)
            process.send_signal(signal.SIGKILL)
            await process.wait()
            with pytest.raises(httpx.TransportError):
                await sending
        await hold.rollback()
        unfinished = await blocker.fetchval(
            "select count(*) from app.offline_batches where organization_id = $1 and finished_at is null",
            shop.tenant.organization_id,
        )
        assert unfinished == 1
    finally:
        await blocker.close()
    async with serving(environment, tmp_path / "log") as (client, _):
        items = await _send(client, headers, sent)
        again = await _send(client, headers, sent)
    assert [one["status"] for one in items] == ["DUPLICATE"] * BEFORE + ["APPLIED"] * (1 + AFTER)
    assert [one["status"] for one in again] == ["DUPLICATE"] * len(plan)
    assert [one["result"] for one in again] == [one["result"] for one in items]
    for order in (first, held, last):
        assert (await shop.get(order)).quantity_good == plan.count(order) == await shop.log_count(order)


async def test_the_same_batch_sent_by_many_at_once_posts_each_fact_once(
    shop: Shop, environment: Mapping[str, str], tmp_path: Path
) -> None:
    order = await shop.order(ordered=1000)
    step = (await shop.operations(order))[0].id
    sent = batch(*(report(step, f"k{n}", sequence=n) for n in range(25)))
    headers = await _headers(shop)
    async with serving(environment, tmp_path / "log") as (client, _):
        answers = await asyncio.gather(*(_send(client, headers, sent) for _ in range(5)))
    came = Counter(one["status"] for items in answers for one in items)
    assert came == {"APPLIED": 25, "DUPLICATE": 100}
    assert len({one["result"]["productionLog"]["id"] for items in answers for one in items}) == 25
    assert (await shop.get(order)).quantity_good == 25 == await shop.log_count(order)

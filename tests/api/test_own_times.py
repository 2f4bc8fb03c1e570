"""Times an organization has of its own, for operations, events and statements: what takes longer is stopped and undone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from websockets.asyncio.client import ClientConnection

from api.limits import Limits
from api.streams import TOO_LATE
from db.actor import EVERYWHERE
from db.outage import unavailable
from db.session import CONTEXT, Database, TookTooLong
from schema.feed import Cursor
from schema.ids import encode
from tests.api.conftest import Live, serving
from tests.api.floor import Floor
from tests.api.grouping import PROJECTS, members
from tests.api.test_own_limits import GRAPHQL, put, refusal
from tests.api.test_sockets import initialised, receive, subscribe
from tests.conftest import Urls
from tests.modules.production.shop import Shop
from tests.support import House, Tenant


async def test_an_operation_ends_at_its_organizations_time(
    urls: Urls, database: Database, house: House, tenant: Tenant, stranger: Tenant
) -> None:
    assert await put(house, tenant, operation_seconds=1) == []
    async with serving(urls, database, operation_timeout_seconds=3) as live:
        mine, theirs = await live.token(tenant), await live.token(stranger)
        began = time.monotonic()

        async def asked(token: str) -> tuple[dict[str, Any] | None, float]:
            answer = await live.post("{ slow }", token=token, headers=GRAPHQL)
            assert answer.status_code == 504
            return refusal(answer), time.monotonic() - began

        (short, soon), (long, late) = await asyncio.gather(asked(mine), asked(theirs))
    assert short is not None
    assert (short["code"], short["limit"], short["retryable"]) == ("OPERATION_TIMEOUT", 1, True)
    assert long is not None
    assert (long["code"], long["limit"]) == ("OPERATION_TIMEOUT", 3)
    assert soon < 2.9 < late


NAMES = "subscription { projectEvents { object { name } } }"


async def object_of(socket: ClientConnection) -> Any:
    """Of the project the next event is about."""
    message = await receive(socket)
    assert message["type"] == "next", message
    return message["payload"]["data"]["projectEvents"]["object"]


def too_late(message: dict[str, Any]) -> tuple[float, bool]:
    """The limit an event's end names, and whether to subscribe again."""
    assert message["type"] == "error", message
    (error,) = message["payload"]
    told = error["extensions"]
    assert (error["message"], told["code"]) == (TOO_LATE, "OPERATION_TIMEOUT")
    return told["limit"], told["retryable"]


@pytest.mark.usefixtures("relay")
@pytest.mark.parametrize("grouped", [False, True], ids=["alone", "in a group"])
async def test_an_event_ends_at_its_organizations_time(
    urls: Urls, database: Database, house: House, tenant: Tenant, stranger: Tenant, admin: asyncpg.Connection,
    grouped: bool,
) -> None:  # fmt: skip
    """As at the server's, which the other organization has: its object's plant cannot be read. What does not ask for plants
    goes on, and who subscribes again has missed nothing."""
    floor, abroad = Floor(admin, tenant), Floor(admin, stranger)
    project, theirs = await floor.project(0), await abroad.project(0)
    begin = {"after": str(Cursor(await floor.settled()))}
    assert await put(house, tenant, operation_seconds=1) == []
    async with (
        serving(urls, database, operation_timeout_seconds=3) as live,
        initialised(live, await live.token(tenant)) as short,
        initialised(live, await live.token(tenant)) as beside,
        initialised(live, await live.token(stranger)) as long,
    ):
        await subscribe(beside, NAMES)
        await members(live, tenant, [1])  # what its organization has set is known from here on
        if grouped:
            for socket in (short, long):
                await subscribe(socket, PROJECTS)
            await members(live, tenant, [1, 1])
            await members(live, stranger, [1])
        async with locked(urls.admin):
            await abroad.change("projects", theirs, name="1")
            await floor.change("projects", project, name="1")
            assert await object_of(beside) == {"name": "1"}
            if not grouped:
                for socket in (short, long):
                    await subscribe(socket, PROJECTS, variables=begin)
            await floor.change("projects", project, name="2")
            assert await object_of(beside) == {"name": "2"}
            late = asyncio.create_task(receive(long))
            assert too_late(await receive(short)) == (1, True)
            assert not late.done()
            assert too_late(await late) == (3, True)
        await subscribe(short, PROJECTS, variables=begin)
        for _ in range(2):
            assert (await object_of(short))["primaryPlant"] == {"code": "P1"}


@asynccontextmanager
async def locked(admin_url: str, what: str = "app.plants in access exclusive mode") -> AsyncIterator[None]:
    """Nobody can read plants meanwhile, or do what else the lock is against."""
    connection = await asyncpg.connect(admin_url)
    try:
        async with connection.transaction():
            await connection.execute(f"lock table {what}")
            yield
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "document",
    [
        "{ plants(first: 1) { nodes { id } } }",
        "{ echo plants(first: 1) { nodes { id } } }",
    ],
    ids=["a lone statement", "in the operation's transaction"],
)
async def test_a_statement_ends_at_its_organizations_time(
    live: Live, urls: Urls, house: House, tenant: Tenant, stranger: Tenant, document: str
) -> None:
    assert await put(house, tenant, statement_milliseconds=200) == []
    mine, theirs = await live.token(tenant), await live.token(stranger)
    for token in (mine, theirs):  # who they are, and what their organizations have set, is known from here on
        assert (await live.post("{ whoami }", token=token)).status_code == 200
    async with locked(urls.admin):
        waiting = asyncio.create_task(live.post(document, token=theirs))
        stopped = await live.post(document, token=mine)
        assert not waiting.done()
    told = refusal(stopped)
    assert told is not None
    assert (told["code"], told["limit"], told["retryable"]) == ("OPERATION_TIMEOUT", 0.2, True)
    assert stopped.json()["data"]["plants"] is None
    for answer in (await waiting, await live.post(document, token=mine)):
        assert len(answer.json()["data"]["plants"]["nodes"]) == 1
    assert live.app.state.database.connections.taken == 0


REPORT = """mutation ($input: ProductionLogRecordInput!) { productionLogRecord(input: $input) {
  operation { quantityGood { value } } errors { code } } }"""
WRITTEN = (
    "tsdata.production_logs", "app.work_orders", "app.work_order_operations", "app.audit_logs", "app.idempotency_receipts",
)  # fmt: skip
EVENTS = """select count(*) from (select organization_id from ev.inbox union all select organization_id from ev.log) events
  where organization_id = $1"""


async def kept(admin: asyncpg.Connection, tenant: Tenant) -> list[Any]:
    """All that a report writes into, as it stands."""
    rows = "select t::text from {table} t where organization_id = $1 order by 1"
    return [
        await admin.fetchval(EVENTS, tenant.organization_id),
        *[await admin.fetch(rows.format(table=table), tenant.organization_id) for table in WRITTEN],
    ]


@pytest.mark.parametrize("shut", ["ev.inbox", "app.idempotency_receipts"])
async def test_a_mutation_ends_at_its_organizations_statement_time_and_nothing_of_it_stays(
    live: Live, urls: Urls, database: Database, tenant: Tenant, stranger: Tenant, house: House,
    admin: asyncpg.Connection, shut: str,
) -> None:  # fmt: skip
    """Of what it writes one table is shut: that of its events, or that of its receipt when all else is written. Sent again, it
    is the first of its key."""
    assert await put(house, tenant, statement_milliseconds=200) == []
    asked = []
    for whose in (tenant, stranger):
        shop = Shop(database, whose)
        (step,) = await shop.operations(await shop.order())
        given = {
            "kind": "REPORT",
            "operationId": encode("WorkOrderOperation", step.id),
            "good": "5",
            "idempotencyKey": "k",
        }
        asked.append({"token": await live.token(whose), "variables": {"input": given}})
        assert (await live.post("{ whoami }", token=asked[-1]["token"])).status_code == 200
    mine, theirs = asked
    before = await kept(admin, tenant)
    async with locked(urls.admin, f"{shut} in share mode"):
        waiting = asyncio.create_task(live.post(REPORT, **theirs))
        stopped = await live.post(REPORT, **mine)
        assert not waiting.done()
        assert await kept(admin, tenant) == before
    told = refusal(stopped)
    assert told is not None
    assert (told["code"], told["limit"], told["retryable"]) == ("OPERATION_TIMEOUT", 0.2, True)
    assert stopped.json()["data"] == {"productionLogRecord": None}
    for answer in (await waiting, await live.post(REPORT, **mine)):
        assert "idempotency" not in answer.json()["extensions"]
        made = answer.json()["data"]["productionLogRecord"]
        assert (made["operation"], made["errors"]) == ({"quantityGood": {"value": "5"}}, [])
    posted = "select count(*) from tsdata.production_logs where organization_id = $1"
    assert await admin.fetchval(posted, tenant.organization_id) == 1
    assert live.app.state.database.connections.taken == 0


async def test_a_statement_that_is_stopped_leaves_its_connection_clean(
    urls: Urls, tenant: Tenant, stranger: Tenant, admin: asyncpg.Connection
) -> None:
    own = {tenant.organization_id: Limits(statement_milliseconds=100)}
    database = Database.connect(urls.app, pool_size=1, own=own)
    lone, running = (
        f"{CONTEXT} select pg_sleep(8.5) from context",
        "select count(*) from pg_stat_activity where state = 'active' and query like '%pg_sleep(8.5)%' and pid <> pg_backend_pid()",
    )
    for _ in range(3):
        with pytest.raises(TookTooLong) as stopped:
            await database.fetchrow(tenant.actor(), EVERYWHERE, lone, [])
        assert stopped.value.seconds == 0.1
        assert unavailable(stopped.value), "the same may be sent again"
        assert await admin.fetchval(running) == 0
        assert database.connections.idle == 1
        short = f"{CONTEXT} select pg_sleep(0.3), org from context"
        assert (await database.fetchrow(stranger.actor(), EVERYWHERE, short, []))["org"] == stranger.organization_id
    await database.close()

"""graphql-transport-ws by a real client: the protocol's refusals, expiry, limits, and answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from db.session import Database
from tests.api.conftest import Live, serving
from tests.conftest import Urls
from tests.support import Tenant

PROTOCOL = Subprotocol("graphql-transport-ws")


@asynccontextmanager
async def opened(live: Live, **kwargs: Any) -> AsyncIterator[ClientConnection]:
    """The client keeps whatever comes: one whose queue is full reads no more, not even the answer to its own close."""
    async with connect(live.socket_url, subprotocols=[PROTOCOL], max_queue=None, **kwargs) as socket:
        yield socket


@asynccontextmanager
async def initialised(live: Live, token: str | None) -> AsyncIterator[ClientConnection]:
    async with opened(live) as socket:
        await send(socket, type="connection_init", payload={"authorization": f"Bearer {token}"} if token else None)
        assert await receive(socket) == {"type": "connection_ack"}
        yield socket


async def send(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


async def subscribe(socket: ClientConnection, query: str, id: str = "1", **payload: Any) -> None:
    await send(socket, id=id, type="subscribe", payload={"query": query, **payload})


async def receive(socket: ClientConnection) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), 5))
    return answer


async def closed(socket: ClientConnection, within: float = 8) -> tuple[int, str]:
    """The code and reason the server closes with."""
    async with asyncio.timeout(within):
        with suppress(ConnectionClosed):
            async for _message in socket:
                pass
    return socket.close_code or 0, socket.close_reason or ""


INIT = {"type": "connection_init"}
BAD_MESSAGES: list[tuple[str, list[str | bytes], int]] = [
    ("not JSON", ["{"], 4400),
    ("an array", ["[]"], 4400),
    ("null", ["null"], 4400),
    ("a number", ["1"], 4400),
    ("no type", ["{}"], 4400),
    ("an unknown type", ['{"type": "start"}'], 4400),
    ("a type that is an object", ['{"type": {}}'], 4400),
    ("binary", [b"{}"], 4400),
    ("init with a list", ['{"type": "connection_init", "payload": []}'], 4400),
    ("init with a number for a token", ['{"type": "connection_init", "payload": {"authorization": 1}}'], 4400),
    ("init with a bad token", ['{"type": "connection_init", "payload": {"authorization": "Bearer x"}}'], 4403),
    ("init without a scheme", ['{"type": "connection_init", "payload": {"Authorization": "x"}}'], 4403),
    ("init twice", [json.dumps(INIT), json.dumps(INIT)], 4429),
    ("subscribe before init", ['{"type": "subscribe", "id": "1", "payload": {"query": "{ echo }"}}'], 4401),
    ("subscribe without an id", [json.dumps(INIT), '{"type": "subscribe", "payload": {"query": "{ echo }"}}'], 4400),
    ("subscribe without a payload", [json.dumps(INIT), '{"type": "subscribe", "id": "1"}'], 4400),
    ("subscribe with a null query", [json.dumps(INIT), '{"type": "subscribe", "id": "1", "payload": {"query": null}}'], 4400),
    ("subscribe with a list of variables",
     [json.dumps(INIT), '{"type": "subscribe", "id": "1", "payload": {"query": "{ echo }", "variables": []}}'], 4400),
    ("complete without an id", [json.dumps(INIT), '{"type": "complete"}'], 4400),
    ("the same id twice", [json.dumps(INIT), *['{"type": "subscribe", "id": "1", "payload": {"query": "{ slow }"}}'] * 2], 4409),
    ("deep ping", [json.dumps(INIT), '{"type": "ping", "payload": ' + '{"a":' * 400 + "1" + "}" * 401], 4400),
    ("too large", [json.dumps(INIT), '{"type": "ping", "payload": "' + "x" * 1_100_000 + '"}'], 1009),
]  # fmt: skip


@pytest.mark.parametrize(
    ("messages", "code"), [case[1:] for case in BAD_MESSAGES], ids=[case[0] for case in BAD_MESSAGES]
)
async def test_closes(live: Live, messages: list[str | bytes], code: int) -> None:
    async with opened(live) as socket:
        for message in messages:
            await socket.send(message)
        assert (await closed(socket))[0] == code


async def test_another_subprotocol_is_not_accepted(live: Live) -> None:
    async with connect(live.socket_url, subprotocols=[Subprotocol("graphql-ws")]) as socket:
        assert (await closed(socket))[0] == 4406


async def test_a_silent_client_is_closed(live: Live) -> None:
    async with opened(live) as socket:
        assert await closed(socket) == (4408, "Connection initialisation timeout")


async def test_queries_mutations_and_subscriptions_are_answered(live: Live, tenant: Tenant) -> None:
    async with initialised(live, await live.token(tenant)) as socket:
        await subscribe(socket, "query A($v: String!) { echo(value: $v) whoami }", id="q", variables={"v": "x"})
        first = await receive(socket)
        assert first["payload"]["data"]["echo"] == "x"
        assert await receive(socket) == {"id": "q", "type": "complete"}
        await subscribe(socket, "mutation { quiet }", id="m")
        assert (await receive(socket))["payload"]["data"] == {"quiet": 1}
        assert (await receive(socket))["type"] == "complete"
        await subscribe(socket, "subscription { ticks }", id="s")
        assert [(await receive(socket))["payload"]["data"]["ticks"] for _ in range(3)] == [1, 2, 3]
        await send(socket, id="s", type="complete")
        await subscribe(socket, "{ echo }", id="s2")
        seen = [await receive(socket) for _ in range(2)]
        while seen[-1]["id"] == "s":
            seen.append(await receive(socket))
        assert seen[-1]["id"] == "s2"


async def test_ping_is_answered_with_its_payload(live: Live) -> None:
    async with opened(live) as socket:
        await send(socket, type="ping", payload={"at": 1})
        assert await receive(socket) == {"type": "pong", "payload": {"at": 1}}
        await send(socket, type="pong")
        await send(socket, type="ping")
        assert await receive(socket) == {"type": "pong"}


async def test_the_token_may_come_with_the_handshake(live: Live, tenant: Tenant) -> None:
    headers = {"authorization": f"Bearer {await live.token(tenant)}"}
    async with opened(live, additional_headers=headers) as socket:
        await send(socket, **INIT)
        assert await receive(socket) == {"type": "connection_ack"}
        await subscribe(socket, "{ whoami }")
        assert (await receive(socket))["payload"]["data"]["whoami"].startswith(f"{tenant.organization_id}:user:")


REFUSED_OPERATIONS = [
    ("{", "GRAPHQL_PARSE_FAILED"),
    ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
    ("query A { echo } query B { echo }", "OPERATION_RESOLUTION_FAILURE"),
    ("{ secret }", "FORBIDDEN"),
    ("subscription { things }", "FORBIDDEN"),
    ("query A($v: String!) { echo(value: $v) }", "BAD_USER_INPUT"),
    ("{ " + "echo " * 1_001 + "}", "OPERATION_TOO_COMPLEX"),
]


@pytest.mark.parametrize(("query", "code"), REFUSED_OPERATIONS)
async def test_an_operation_is_refused_and_the_socket_lives(live: Live, tenant: Tenant, query: str, code: str) -> None:
    async with initialised(live, await live.token(tenant, "viewer")) as socket:
        await subscribe(socket, query)
        refusal = await receive(socket)
        assert (refusal["type"], refusal["payload"][0]["extensions"]["code"]) == ("error", code)
        await subscribe(socket, "{ echo }")
        assert (await receive(socket))["type"] == "next"


async def test_nobody_may_only_ask_what_is_public(live: Live) -> None:
    async with initialised(live, None) as socket:
        await subscribe(socket, "{ whoami }")
        assert (await receive(socket))["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        await subscribe(socket, "{ echo }")
        assert (await receive(socket))["type"] == "next"


async def test_an_unforeseen_failure_is_masked(live: Live, tenant: Tenant) -> None:
    async with initialised(live, await live.token(tenant)) as socket:
        await subscribe(socket, "subscription { fails }")
        assert (await receive(socket))["payload"]["data"] == {"fails": 1}
        failure = await receive(socket)
        assert failure["payload"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
        assert "secret-detail" not in json.dumps(failure)


async def test_the_socket_closes_when_the_token_expires(live: Live, tenant: Tenant) -> None:
    token = await live.token(tenant, lifetime=timedelta(seconds=2))
    async with initialised(live, token) as socket:
        await subscribe(socket, "subscription { ticks }")
        assert await closed(socket, within=6) == (4403, "The token has expired")


async def test_the_socket_closes_when_the_session_is_revoked(live: Live, tenant: Tenant, admin: Any) -> None:
    token = await live.token(tenant, "planner")
    async with initialised(live, token) as socket:
        await admin.execute(
            "update auth.sessions set revoked_at = now() where organization_id = $1 and user_id = $2",
            tenant.organization_id,
            tenant.users["planner"],
        )
        assert (await closed(socket, within=9))[0] == 4403


async def test_sockets_and_subscriptions_per_principal_are_limited(
    urls: Urls, database: Database, tenant: Tenant
) -> None:
    async with serving(urls, database, max_sockets_per_principal=2, max_subscriptions_per_principal=2) as live:
        token = await live.token(tenant)
        async with initialised(live, token) as first, initialised(live, token):
            async with opened(live) as third:
                await send(third, type="connection_init", payload={"authorization": f"Bearer {token}"})
                assert (await closed(third))[0] == 4429
            for id in ("1", "2", "3"):
                await subscribe(first, "subscription { ticks }", id=id)
            while (message := await receive(first))["id"] != "3":
                pass
            assert message["type"] == "error"
            assert message["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
            async with initialised(live, await live.token(tenant, "viewer")):
                pass
        async with initialised(live, token):
            pass


async def test_stopping_sends_sockets_away(urls: Urls, database: Database, tenant: Tenant) -> None:
    async with serving(urls, database) as live, initialised(live, await live.token(tenant)) as socket:
        drain = live.app.state.drain
        assert not await drain.finished(0.05), "an open socket is waited for"
        drain.begin()
        assert (await closed(socket))[0] == 1001
        assert await drain.finished(2)

"""Server-Sent Events: the frames on the wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from db.session import Database
from tests.api.conftest import Live, serving
from tests.conftest import Urls
from tests.support import Tenant

EVENTS = {"accept": "text/event-stream"}


async def frames(response: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    """Event name and decoded data of each frame; comments are skipped."""
    event = ""
    async for line in response.aiter_lines():
        if line.startswith("event: "):
            event = line.removeprefix("event: ")
        elif line.startswith("data:") and event:
            data = line.removeprefix("data:").strip()
            yield event, json.loads(data) if data else None


async def all_of(live: Live, query: str, token: str | None = None, **body: Any) -> list[tuple[str, Any]]:
    headers = EVENTS | ({"authorization": f"Bearer {token}"} if token else {})
    async with live.client.stream("POST", "/graphql", json={"query": query, **body}, headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        return [frame async for frame in frames(response)]


async def test_a_query_is_one_event_and_an_end(live: Live) -> None:
    (event, answer), end = await all_of(live, '{ echo(value: "ä\\n") }')
    assert (event, answer["data"], end) == ("next", {"echo": "ä\n"}, ("complete", None))


async def test_a_mutation_is_sent_by_post_only(live: Live, tenant: Tenant) -> None:
    token = await live.token(tenant)
    assert (await all_of(live, "mutation { quiet }", token))[0][1]["data"] == {"quiet": 1}
    headers = EVENTS | {"authorization": f"Bearer {token}"}
    async with live.client.stream(
        "GET", "/graphql", params={"query": "mutation { quiet }"}, headers=headers
    ) as response:
        (event, answer), end = [frame async for frame in frames(response)]
        assert (event, answer["errors"][0]["extensions"]["code"], end[0]) == ("next", "BAD_REQUEST", "complete")


async def test_a_subscription_goes_on_until_the_client_leaves(live: Live, tenant: Tenant) -> None:
    headers = EVENTS | {"authorization": f"Bearer {await live.token(tenant)}"}
    for method, given in (
        ("GET", {"params": {"query": "subscription { ticks }"}}),
        ("POST", {"json": {"query": "subscription { ticks }"}}),
    ):
        async with live.client.stream(method, "/graphql", headers=headers, **given) as response:  # type: ignore[arg-type]
            seen = []
            async for _event, answer in frames(response):
                seen.append(answer["data"]["ticks"])
                if len(seen) == 3:
                    break
            assert seen == [1, 2, 3]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ whoami }", "UNAUTHENTICATED"),
        ("subscription { ticks }", "UNAUTHENTICATED"),
    ],
)
async def test_a_refused_document_is_told_inside_the_stream(live: Live, query: str, code: str) -> None:
    (event, answer), end = await all_of(live, query)
    assert (event, answer["errors"][0]["extensions"]["code"], end[0]) == ("next", code, "complete")


async def test_a_bad_token_or_body_is_refused_before_the_stream(live: Live) -> None:
    bad = await live.client.post(
        "/graphql", json={"query": "{ echo }"}, headers=EVENTS | {"authorization": "Bearer no"}
    )
    assert bad.status_code == 401
    assert (await live.client.post("/graphql", json=[], headers=EVENTS)).status_code == 400


async def test_a_failure_ends_the_stream_masked(live: Live, tenant: Tenant) -> None:
    first, failure, end = await all_of(live, "subscription { fails }", await live.token(tenant))
    assert first[1] == {"data": {"fails": 1}}
    assert failure[1]["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert end[0] == "complete"


async def test_the_stream_ends_when_the_token_expires(live: Live, tenant: Tenant) -> None:
    token = await live.token(tenant, lifetime=timedelta(seconds=2))
    async with asyncio.timeout(8):
        seen = await all_of(live, "subscription { ticks }", token)
    assert seen[0][0] == "next"
    assert seen[-1][0] == "next", "an end without `complete` makes a client connect again, and then be refused"


async def test_stopping_ends_streams(urls: Urls, database: Database, tenant: Tenant) -> None:
    async with serving(urls, database) as live:
        token = await live.token(tenant)
        reading = asyncio.create_task(all_of(live, "subscription { ticks }", token))
        await asyncio.sleep(0.5)
        live.app.state.drain.begin()
        async with asyncio.timeout(3):
            assert len(await reading) > 1

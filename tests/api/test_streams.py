"""Server-Sent Events: the frames on the wire."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from prometheus_client import REGISTRY

from api import streams as streaming
from db.session import Database
from schema.context import Context
from schema.feed import Cursor
from tests.api.conftest import Live, serving
from tests.api.floor import Floor
from tests.api.test_sockets import initialised, receive, subscribe
from tests.conftest import Urls
from tests.support import House, NoTokens, Tenant

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


@pytest.mark.parametrize("where", ["socket", "event stream"])
async def test_a_subscription_that_ended_leaves_nothing(
    live: Live, tenant: Tenant, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """What refers to itself in a circle stays until all of the memory is searched for circles, which is hardly ever."""
    left: list[weakref.ref[Any]] = []

    def remembered(make: Any) -> Any:
        def made(*args: Any, **kwargs: Any) -> Any:
            one = make(*args, **kwargs)
            left.append(weakref.ref(one))
            return one

        return made

    graphql = live.app.state.streams.graphql
    token, shown = await live.token(tenant), "subscription { projectEvents(snapshot: true) { type object { id } } }"
    await live.post(
        f'mutation {{ projectCreate(input: {{number: "{where}", name: "x"}}) {{ errors {{ code }} }} }}', token=token
    )
    monkeypatch.setattr(graphql, "context", remembered(graphql.context))
    monkeypatch.setattr(streaming, "Seat", remembered(streaming.Seat))
    gc.disable()
    try:
        if where == "socket":
            async with initialised(live, token) as socket:
                await subscribe(socket, shown)
                assert (await receive(socket))["type"] == "next"
                await joined(live, tenant)
        else:
            headers = EVENTS | {"authorization": f"Bearer {token}"}
            async with live.client.stream("POST", "/graphql", json={"query": shown}, headers=headers) as response:
                async for event, _ in frames(response):
                    assert event == "next"
                    await joined(live, tenant)
                    break
        async with asyncio.timeout(10):
            while any(one() is not None for one in left):
                await asyncio.sleep(0.01)
    finally:
        gc.enable()
    assert len(left) == 3, "a context and a seat of its own, and the context of its group"


async def joined(live: Live, tenant: Tenant) -> None:
    async with asyncio.timeout(10):
        while not live.app.state.streams.groups.sizes(tenant.organization_id):
            await asyncio.sleep(0.01)


async def test_who_catches_up_pays_for_each_object_with_nothing_held(
    live: Live, house: House, tenant: Tenant, admin: asyncpg.Connection, relay: None
) -> None:
    """For every object of a snapshot, and for every event that was missed: those that are looked at, and those shown."""
    floor, paid = Floor(admin, tenant), Counter[str]()
    begin = str(Cursor(await floor.settled()))
    projects = [await floor.project() for _ in range(3)]
    for project in projects:
        await floor.change("projects", project, name="1" if project == projects[0] else "2")
    await floor.settled()
    turns = asyncio.Semaphore(1)

    async def told(arguments: str, count: int) -> None:
        paid.clear()
        context = Context(tenant.actor(), house.database, live.app.state.hub, NoTokens(), turns=turns)

        async def pay(**units: int) -> None:
            assert not turns.locked(), "no turn and no transaction while it waits"
            paid.update(units)

        document = f"subscription {{ projectEvents({arguments}) {{ object {{ id }} }} }}"
        stream: Any = await house.schema.subscribe(document, context_value=context, root_value=pay)
        async with aclosing(stream), asyncio.timeout(10):
            for _ in range(count):
                assert (await anext(stream)).errors is None
        await context.close()

    await told("snapshot: true", 3)
    assert paid == {"shown": 3}
    await told(f'after: "{begin}"', 6)
    assert paid == {"looked": 6, "shown": 6}
    await told(f'after: "{begin}", where: {{name: {{eq: "1"}}}}', 2)
    assert paid == {"looked": 6, "shown": 2}


async def test_a_snapshot_is_paid_from_the_bucket_and_waits_for_it(
    urls: Urls, database: Database, tenant: Tenant
) -> None:
    """Twelve objects at a hundred units each, where the bucket holds a thousand: the last ones come when it has filled."""
    limits = {"cost_limit": 1_000, "cost_bucket": 1_000, "cost_restore_per_second": 400}
    async with serving(urls, database, **limits) as poor:
        token = await poor.token(tenant)
        headers = EVENTS | {"authorization": f"Bearer {token}"}
        create = "mutation ($n: String!) { projectCreate(input: {number: $n, name: $n}) { errors { code } } }"
        for n in range(12):
            await poor.post(create, token=token, variables={"n": f"N{n}"})
        spent = REGISTRY.get_sample_value("unison_operation_cost_total") or 0
        document = (
            "subscription { projectEvents(snapshot: true) { object { id workOrders(first: 96) { nodes { id } } } } }"
        )
        async with poor.client.stream("POST", "/graphql", json={"query": document}, headers=headers) as response:
            seen = []
            async for event, answer in frames(response):
                assert (event, "errors" in answer) == ("next", False), answer
                seen.append(answer)
                if len(seen) == 12:
                    break
        assert (REGISTRY.get_sample_value("unison_operation_cost_total") or 0) - spent >= 13 * 100

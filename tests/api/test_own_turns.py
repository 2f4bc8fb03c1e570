"""Turns and subscriptions an organization lets itself have at once: fewer than the server would, and nobody else has fewer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from api.admission import Shed, Turns
from api.limits import Limits
from db.session import Database
from tests.api.conftest import Live, serving
from tests.api.test_own_limits import put, refusal
from tests.api.test_sockets import initialised, receive, subscribe
from tests.conftest import Urls
from tests.support import House, Tenant


async def stand(turns: Turns, tenant: int, number: int) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(turns.begin(tenant)) for _ in range(number)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks


async def test_who_has_all_it_lets_itself_have_is_passed_over() -> None:
    turns = Turns(4, waiting=100, seconds=30, own={1: Limits(operations_at_once=1)})
    await turns.begin(1)
    held = await stand(turns, 1, 2)
    assert (turns.running, turns.waiting) == (1, 2)
    for _ in range(2):
        await turns.begin(2)  # there is room, whoever waits for what it does not let itself have
    (other,) = await stand(turns, 3, 1)
    assert other.done()
    turns.end(3)
    (waits,) = await stand(turns, 2, 1)
    turns.end(2)
    await waits
    assert not any(task.done() for task in held)
    for task in held:
        turns.end(1)
        await task
    turns.end(1)
    assert (turns.running, turns.waiting) == (2, 0)


async def test_a_line_is_as_long_as_its_organization_lets_it_be() -> None:
    turns = Turns(1, waiting=100, seconds=30, own={1: Limits(operations_at_once=1, operations_waiting=2)})
    await turns.begin(2)
    tasks = await stand(turns, 1, 4)
    assert [type(task.exception()) for task in tasks if task.done()] == [Shed] * 2
    assert turns.refuses(1) == "own"
    assert turns.limited(1, "own") == Limits(operations_at_once=1, operations_waiting=2)
    assert turns.refuses(3) is None
    turns.end(2)
    await tasks[0]
    turns.end(1)
    await tasks[1]
    turns.end(1)
    assert (turns.running, turns.waiting) == (0, 0)


async def test_settings_may_change_while_somebody_waits() -> None:
    own = {1: Limits(operations_at_once=1)}
    turns = Turns(8, waiting=100, seconds=30, own=own)
    await turns.begin(1)
    tasks = await stand(turns, 1, 3)
    own.clear()
    turns.end(1)
    await asyncio.gather(*tasks)
    own[1] = Limits(operations_at_once=2)
    (late,) = await stand(turns, 1, 1)
    turns.end(1)
    await turns.begin(2)
    assert not late.done(), "it still has as many as it may"
    turns.end(1)
    await late
    assert (turns.running, turns.waiting) == (3, 0)


async def test_its_slow_turns_do_not_make_the_line_of_others_shorter() -> None:
    now = 0.0
    turns = Turns(4, waiting=1_000, seconds=2, own={1: Limits(operations_at_once=1)}, clock=lambda: now)
    await turns.begin(1)
    for _ in range(200):  # its operations take their time
        (task,) = await stand(turns, 1, 1)
        now += 1.5
        turns.end(1)
        await task
    first, second = await stand(turns, 1, 2)
    assert not first.done()
    assert isinstance(second.exception(), Shed), "it would wait in vain"
    assert turns.refuses(1) == "own"
    for _ in range(2):
        await turns.begin(2)
    assert len([task for task in await stand(turns, 2, 30) if not task.done()]) == 30
    assert turns.refuses(2) is None


# --- turns and subscriptions ----------------------------------------------------------------------------------------------


@pytest.fixture
def running() -> Iterator[set[asyncio.Task[Any]]]:
    """Requests nobody waits for any more."""
    tasks: set[asyncio.Task[Any]] = set()
    yield tasks
    for task in tasks:
        task.cancel()


async def test_an_organization_runs_as_many_at_once_as_it_lets_itself(
    urls: Urls, database: Database, house: House, tenant: Tenant, stranger: Tenant, running: set[asyncio.Task[Any]]
) -> None:
    assert await put(house, tenant, operations_at_once=2, operations_waiting=1) == []
    async with serving(urls, database, max_operations_at_once=8, max_wait_seconds=1.0) as live:
        mine, theirs = await live.token(tenant), await live.token(stranger)
        assert (await live.post("{ echo }", token=mine)).status_code == 200

        async def until(figure: str) -> None:
            async with asyncio.timeout(5):
                while figure not in (await live.client.get("/metrics")).text:
                    await asyncio.sleep(0.01)

        for _ in range(2):
            running.add(asyncio.create_task(live.post("{ slow }", token=mine)))
        await until("unison_operations_in_flight 2.0")
        late = asyncio.create_task(live.post("{ echo }", token=mine))
        await until("unison_operations_waiting 1.0")
        refused = [await live.post("{ echo }", token=mine), await live.post("{ echo }", token=mine)]
        for answer in (*refused, await late):
            told = refusal(answer)
            assert told is not None
            assert (answer.status_code, told["code"], told["limit"], told["waiting"], told["retryable"]) == (
                503, "SERVICE_UNAVAILABLE", 2, 1, True,
            )  # fmt: skip
            assert answer.headers["retry-after"] == "1"
        for _ in range(4):
            running.add(asyncio.create_task(live.post("{ slow }", token=theirs)))
        await until("unison_operations_in_flight 6.0")
        assert (await live.post("{ echo }", token=theirs)).status_code == 503, "the others' turns are all taken"
        assert (await live.post("{ echo }")).status_code == 200
        figures = (await live.client.get("/metrics")).text
        assert 'unison_operations_shed_total{reason="own"}' in figures
        for task in running:
            task.cancel()


async def test_an_organization_holds_as_many_subscriptions_as_it_lets_itself(
    live: Live, house: House, tenant: Tenant, stranger: Tenant
) -> None:
    assert await put(house, tenant, subscriptions=1) == []
    async with initialised(live, await live.token(tenant)) as mine:
        await subscribe(mine, "subscription { ticks }", id="1")
        assert (await receive(mine))["type"] == "next"
        await subscribe(mine, "subscription { ticks }", id="2")
        while (message := await receive(mine))["id"] != "2":
            pass
        told = message["payload"][0]["extensions"]
        assert (message["type"], told["code"], told["limit"]) == ("error", "RATE_LIMITED", 1)
    async with initialised(live, await live.token(stranger)) as theirs:
        for id in ("1", "2"):
            await subscribe(theirs, "subscription { ticks }", id=id)
        seen = [await receive(theirs) for _ in range(6)]
        assert {(message["id"], message["type"]) for message in seen} == {("1", "next"), ("2", "next")}


async def test_an_organization_holds_as_many_sockets_as_it_lets_itself(
    live: Live, house: House, tenant: Tenant, stranger: Tenant
) -> None:
    assert await put(house, tenant, sockets=1) == []
    token = await live.token(tenant)
    async with initialised(live, token) as mine:
        await subscribe(mine, "subscription { ticks }", id="1")  # with what an operation costs come the limits
        assert (await receive(mine))["type"] == "next"
        with pytest.raises(ConnectionClosed) as refused:
            async with initialised(live, token):
                pass
        assert refused.value.rcvd is not None
        assert (refused.value.rcvd.code, refused.value.rcvd.reason) == (4429, "At most 1 connections at once")
        async with (
            initialised(live, await live.token(stranger)) as theirs,
            initialised(live, await live.token(stranger)),
        ):
            await subscribe(theirs, "subscription { ticks }", id="1")
            assert (await receive(theirs))["type"] == "next"


async def test_a_limit_that_is_lifted_frees_the_line() -> None:
    own = {1: Limits(operations_at_once=1)}
    turns = Turns(8, waiting=100, seconds=5, own=own)
    await turns.begin(1)
    waiting = [asyncio.create_task(turns.begin(1)) for _ in range(3)]
    await asyncio.sleep(0)
    assert turns.waiting == 3
    own.clear()
    async with asyncio.timeout(1):
        await turns.begin(1)
        await asyncio.gather(*waiting)
    assert (turns.running, turns.waiting) == (5, 0)

"""The door: what counts is the time that is spent for an organization, and who was just sent away gets no further."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from api import shares
from api.admission import Shed, Turns
from api.door import LONG, SECONDS, Door
from api.negotiation import EVENTS, GRAPHQL, JSON
from api.shares import IN_A_ROW, UNKNOWN, Shares
from db.session import Database
from tests.api.conftest import Live, serving
from tests.api.test_sockets import initialised, receive, subscribe
from tests.conftest import Urls
from tests.support import Tenant


def scope(token: str | None = "t", *, path: str = "/graphql", **more: str) -> dict[str, Any]:
    headers = ({"authorization": f"Bearer {token}"} if token else {}) | more
    return {"path": path, "headers": [(name.encode(), value.encode()) for name, value in headers.items()]}


async def full() -> Turns:
    turns = Turns(1, waiting=0, seconds=30)
    await turns.begin(0)
    return turns


async def test_the_door_is_shut_to_callers_it_knows_and_while_there_is_no_use() -> None:
    now = 0.0
    turns = Turns(1, waiting=0, seconds=30)
    door = Door(turns, Shares(), clock=lambda: now)
    assert door.away(scope(), 1, JSON, "id") is None
    assert door.refusal(scope(), "id") is None
    await turns.begin(0)
    assert door.refusal(scope(), "id") is None, "nobody has proven to be of a flooding organization"
    assert door.away(scope(), 1, JSON, "id") is not None
    answer = door.refusal(scope(origin="https://front.example", accept="image/png, */*"), "its-id")
    assert answer is not None
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.headers["content-length"] == str(len(answer.body))
    (error,) = json.loads(bytes(answer.body))["errors"]
    assert error["extensions"] == {
        "code": "SERVICE_UNAVAILABLE",
        "retryAfter": 1,
        "retryable": True,
        "requestId": "its-id",
    }
    others = [scope("another"), scope(path="/else"), scope(accept=EVENTS), scope(accept=GRAPHQL), scope(None)]
    assert [door.refusal(other, "id") for other in others] == [None] * len(others)
    turns.end(0)
    assert door.refusal(scope(), "id") is None, "there is room again"
    await turns.begin(0)
    assert door.refusal(scope(), "id") is not None
    now += SECONDS * 2
    assert door.refusal(scope(), "id") is None, "who it was is forgotten"


async def test_what_the_door_remembers_is_small_and_goes_by_itself() -> None:
    now = 0.0
    door = Door(await full(), Shares(), size=50, clock=lambda: now)
    for n in range(100):
        long = scope(f"{n}" + "x" * 100_000, accept=f"application/json;x={n}" + "y" * 100_000)
        assert door.away(long, 1, JSON, "id") is not None
        assert door.refusal(long, "id") is not None
    for n in range(100):
        assert door.away(scope(accept=f"application/json;x={n}"), 1, JSON, "id") is not None
    assert len(door._known) == 50, "whatever a caller accepts, it is one"
    assert all(len(credentials) <= LONG and len(media or "") < 50 for _, credentials, media in door._known)
    now += SECONDS * 2
    assert door.refusal(scope("another"), "id") is None
    assert not door._known


def too_much(known: Shares, tenant: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process was behind because of it, and time stands still."""
    monkeypatch.setattr(known, "_clock", lambda began=known._began: began)
    for _ in range(IN_A_ROW + 1):
        known.spend(tenant, 0.35)
        known.tick(0.3, 0.4)
    monkeypatch.setattr(known, "tick", lambda *_: None)
    known.spend(tenant, 1.0)
    assert known.refuses(tenant)


async def test_only_operations_and_streams_of_who_is_held_are_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    for tenant in (1, None):
        door = Door(Turns(10, waiting=10, seconds=30), Shares())
        with monkeypatch.context() as patched:
            too_much(door.shares, tenant, patched)
            with pytest.raises(Shed):
                door.check(tenant)
            door.check(2)
            for media, status in ((JSON, 503), (GRAPHQL, 503), (EVENTS, 200)):
                sent = scope("t" if tenant else None, accept=media)
                away = door.away(sent, tenant, media, "its-id")
                again = door.refusal(sent, "its-id")
                assert away is not None
                assert again is not None
                assert (away.status_code, again.status_code) == (status, status)
                assert b"SERVICE_UNAVAILABLE" in bytes(again.body)
                assert b"its-id" in bytes(again.body)
                assert door.refusal(scope("another", accept=media), "id") is None


async def test_nobody_is_sent_away_from_a_line_it_does_not_stand_in() -> None:
    door = Door(await full(), Shares())
    assert door.away(scope(accept=EVENTS), 1, EVENTS, "id") is None, "a subscription waits for no turn"
    assert door.away(scope(None), None, JSON, "id") is None, "nor does a sign-in"


# --- through every transport -------------------------------------------------------------------------------------------

WHOAMI = "{ whoami }"


async def streamed(live: Live, token: str | None, query: str = WHOAMI) -> str:
    """The answers of a stream, up to its end or its third."""
    headers = {"accept": EVENTS} | ({"authorization": f"Bearer {token}"} if token else {})
    seen = ""
    async with live.client.stream("POST", "/graphql", json={"query": query}, headers=headers) as answer:
        async for line in answer.aiter_lines():
            seen += line + "\n"
            if seen.count("event: next") == 3:
                break
    return seen


async def test_work_counts_for_its_organization_whatever_brought_it(
    live: Live, tenant: Tenant, stranger: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    door: Door = live.app.state.door
    monkeypatch.setattr(door.shares, "tick", lambda *_: None)
    monkeypatch.setattr(shares, "_timing", {door.shares})
    spent, own = door.shares._spent, tenant.organization_id
    token = await live.token(tenant)

    async def for_whom() -> set[int | None]:
        await asyncio.sleep(0.05)  # the last stretches of what was answered
        found = set(spent)
        spent.clear()
        return found - {UNKNOWN}

    await for_whom()
    assert (await live.post(WHOAMI, token=token)).status_code == 200
    assert await for_whom() == {own}
    assert (await live.post("{ echo }")).status_code == 200
    assert await for_whom() == {None}
    spent.clear()
    assert (await live.post("{ echo }", token="false")).status_code == 401
    await asyncio.sleep(0.05)
    assert set(spent) == {UNKNOWN}, "nobody's"
    await for_whom()
    assert "whoami" in await streamed(live, token)
    assert await for_whom() == {own}
    await streamed(live, token, "subscription { ticks }")
    assert await for_whom() == {own}
    async with initialised(live, await live.token(stranger)) as socket:
        await for_whom()
        await subscribe(socket, WHOAMI)
        assert (await receive(socket))["type"] == "next"
        assert (await receive(socket))["type"] == "complete"
        assert await for_whom() == {stranger.organization_id}


async def test_a_held_organization_is_refused_by_every_transport_and_no_other(
    live: Live, tenant: Tenant, stranger: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, other = await live.token(tenant), await live.token(stranger)
    async with initialised(live, token) as socket, initialised(live, other) as quiet:
        with monkeypatch.context() as patched:
            too_much(live.app.state.door.shares, tenant.organization_id, patched)
            await subscribe(socket, WHOAMI)
            refused = await receive(socket)
            assert (refused["type"], refused["id"]) == ("error", "1")
            told = refused["payload"][0]["extensions"]
            assert (told["code"], told["retryable"]) == ("SERVICE_UNAVAILABLE", True)
            await subscribe(quiet, WHOAMI)
            assert (await receive(quiet))["type"] == "next"
            for query in (WHOAMI, "subscription { ticks }"):
                for _ in range(2):  # the second is refused at the door
                    assert "SERVICE_UNAVAILABLE" in await streamed(live, token, query)
            assert "whoami" in await streamed(live, other)
            assert (await live.post(WHOAMI, token=token)).status_code == 503
            assert (await live.post(WHOAMI, token=other)).status_code == 200
            assert (await live.post("{ echo }")).status_code == 200
        live.app.state.door.shares._rest()
        live.app.state.door.shares._level = None
        await subscribe(socket, WHOAMI)
        assert (await receive(socket))["type"] == "next", "the socket has stayed open"


async def test_a_browser_reads_that_it_was_refused_at_the_door(urls: Urls, database: Database, tenant: Tenant) -> None:
    front = "https://front.example"
    small = {"max_operations_at_once": 1, "max_operations_waiting": 0, "backend_cors_origins": [front]}
    async with serving(urls, database, **small) as live:
        token = await live.token(tenant)
        busy = asyncio.create_task(live.post("{ slow }", token=token))
        while "unison_operations_in_flight 0.0" in (await live.client.get("/metrics")).text:
            await asyncio.sleep(0.01)
        headers = {"authorization": f"Bearer {token}", "origin": front, "x-request-id": "mine"}

        async def asked(method: str) -> httpx.Response:
            return await live.client.request(method, "/graphql", json={"query": WHOAMI}, headers=headers)

        first, again, put = [await asked(method) for method in ("POST", "POST", "PUT")]
        assert put.status_code == 503, "not even the method was looked at"
        assert first.status_code == again.status_code == 503
        assert dict(again.headers) | {"date": ""} == dict(first.headers) | {"date": ""}
        assert again.headers["access-control-allow-origin"] == front
        assert "Retry-After" in again.headers["access-control-expose-headers"]
        preflight = headers | {"access-control-request-method": "POST"}
        assert (await live.client.options("/graphql", headers=preflight)).status_code == 200
        busy.cancel()


async def test_over_a_socket_the_cost_stands_in_every_error(urls: Urls, database: Database, tenant: Tenant) -> None:
    async def cost(live: Live, query: str, token: str | None, code: str) -> dict[str, Any]:
        async with initialised(live, token) as socket:
            await subscribe(socket, query)
            answer = await receive(socket)
            assert answer["type"] == "error"
            extensions = answer["payload"][0]["extensions"]
            assert extensions["code"] == code
            found: dict[str, Any] = extensions["cost"]
            return found

    small = {"max_operations_at_once": 1, "max_operations_waiting": 0, "operation_timeout_seconds": 1}
    small |= {"cost_bucket": 1_000, "cost_limit": 1_000, "cost_restore_per_second": 10}
    async with serving(urls, database, **small) as live:
        token = await live.token(tenant)
        assert (await cost(live, "{ slow }", token, "OPERATION_TIMEOUT"))["requested"] == 1
        busy = asyncio.create_task(live.post("{ slow }", token=token))
        while "unison_operations_in_flight 0.0" in (await live.client.get("/metrics")).text:
            await asyncio.sleep(0.01)
        many = "{ workOrders(first: 200) { nodes { id } } }"
        found = [await cost(live, many, token, "SERVICE_UNAVAILABLE") for _ in range(2)]
        assert [one["requested"] for one in found] == [202, 202]
        left = [one["bucket"]["available"] for one in found]
        assert left[1] > left[0] - 202, "what was sent away before it ran is not paid for"
        busy.cancel()


async def test_a_sign_in_stands_alone(live: Live, tenant: Tenant) -> None:
    """Its line is another: what came along with it would wait in neither."""
    token = await live.token(tenant)
    for alone in ("mutation { touch a: touch __typename }", "mutation { quiet }"):
        assert "errors" not in (await live.post(alone, token=token)).json()
    spread = "mutation { touch ...F } fragment F on Mutation { b: quiet }"
    for mixed in ("mutation { touch quiet }", "mutation { quiet touch }", spread):
        answer = await live.post(mixed, token=token)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"

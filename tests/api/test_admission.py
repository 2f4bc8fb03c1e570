"""Turns: fair between organizations, bounded in number and time, and nobody is left without an answer."""

from __future__ import annotations

import asyncio
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.admission import Shed, Turns, _settle
from api.limits import Limits
from db.session import Database
from tests.api.conftest import serving
from tests.conftest import Urls
from tests.support import Tenant


async def test_turns_go_round_the_organizations() -> None:
    turns = Turns(1, waiting=100, seconds=30)
    served: list[int] = []

    async def work(tenant: int) -> None:
        await turns.begin(tenant)
        served.append(tenant)
        await asyncio.sleep(0)
        turns.end(tenant)

    await turns.begin(0)
    tasks = [asyncio.create_task(work(tenant)) for tenant in [1] * 8 + [2] * 3 + [3]]
    await asyncio.sleep(0)
    assert turns.waiting == 12
    turns.end(0)
    await asyncio.gather(*tasks)
    assert served[:7] == [1, 2, 3, 1, 2, 1, 2]
    assert (turns.running, turns.waiting) == (0, 0)


async def test_a_full_line_sends_the_longest_one_away() -> None:
    turns = Turns(1, waiting=4, seconds=30)
    await turns.begin(0)
    flood = [asyncio.create_task(turns.begin(1)) for _ in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(Shed):
        await turns.begin(1)
    quiet = asyncio.create_task(turns.begin(2))
    done, _ = await asyncio.wait(flood, return_when=asyncio.FIRST_COMPLETED)
    assert [type(task.exception()) for task in done] == [Shed]
    assert flood[-1] in done
    turns.end(0)
    await flood[0]
    turns.end(1)
    await quiet
    turns.end(2)
    for task in flood[1:3]:
        await task
        turns.end(1)
    assert (turns.running, turns.waiting) == (0, 0)


async def test_who_waits_too_long_is_sent_away_and_who_leaves_gives_the_turn_on() -> None:
    turns = Turns(1, waiting=4, seconds=0.01)
    await turns.begin(0)
    with pytest.raises(Shed):
        await turns.begin(1)
    patient = Turns(1, waiting=4, seconds=30)
    await patient.begin(0)
    leaving, staying = asyncio.create_task(patient.begin(1)), asyncio.create_task(patient.begin(2))
    await asyncio.sleep(0)
    patient.end(0)  # the turn is given, but not taken yet
    leaving.cancel()
    await staying
    patient.end(2)
    assert (patient.running, patient.waiting) == (0, 0)


async def test_a_turn_is_kept_for_who_has_none() -> None:
    turns = Turns(8, waiting=100, seconds=30)
    for _ in range(6):
        await turns.begin(1)
    waiting = [asyncio.create_task(turns.begin(1)) for _ in range(3)]
    await asyncio.sleep(0)
    assert (turns.running, turns.waiting) == (6, 3)
    await turns.begin(2)
    await turns.begin(3)
    assert (turns.running, turns.waiting) == (8, 3)
    turns.end(2)  # the flooding one has its six: nobody gets this
    turns.end(3)
    await asyncio.sleep(0)
    assert (turns.running, turns.waiting) == (6, 3)
    for task in waiting:
        turns.end(1)
        await task
    assert (turns.running, turns.waiting) == (6, 0)


async def test_who_gives_back_the_last_turn_may_have_one_that_is_kept() -> None:
    turns = Turns(8, waiting=100, seconds=30)
    for tenant in (1, 2, 2, 2, 2, 2):
        await turns.begin(tenant)
    other, own = (asyncio.create_task(turns.begin(tenant)) for tenant in (2, 1))
    await asyncio.sleep(0)
    assert (turns.running, turns.waiting) == (6, 2)
    turns.end(1)  # the other line is first and takes it: now the one whose it was has none
    assert (turns.running, turns.waiting) == (7, 0)
    await asyncio.gather(other, own)


def in_vain(turns: Turns) -> list[int | None]:
    """Whose requests wait though they may have a turn."""
    waits = [tenant for tenant, line in turns._lines.items() if not all(turn.done() for turn in line)]
    return [tenant for tenant in waits if turns._free(tenant)]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["begin", "begin", "begin", "end", "leave", "late"]), st.integers(0, 50), st.integers(0, 3)
    ),
    min_size=10,
    max_size=60,
)


@settings(deadline=None)
@given(st.integers(1, 8), st.integers(1, 8), STEPS)
def test_nobody_waits_who_may_have_a_turn(at_once: int, own: int, steps: list[tuple[str, int, int]]) -> None:
    async def played() -> None:
        turns = Turns(at_once, waiting=100, seconds=30, own={1: Limits(operations_at_once=own)})
        asked: list[tuple[int, asyncio.Task[None]]] = []
        for step, number, rest in steps:
            has = [one for one in asked if one[1].done() and not one[1].cancelled() and one[1].exception() is None]
            waits = [task for _, task in asked if not task.done()]
            lines = list(turns._lines.values())
            if step == "begin":
                asked.append((number % 2, asyncio.create_task(turns.begin(number % 2))))
            elif step == "end" and has:
                asked.remove(has[number % len(has)])
                turns.end(has[number % len(has)][0])
            elif step == "leave" and waits:
                waits[number % len(waits)].cancel()
            elif step == "late" and lines:
                line = lines[number % len(lines)]
                _settle(line[number % len(line)], "late")
            assert not in_vain(turns)
            assert turns._running[1] <= own
            for _ in range(rest):  # who has left may not know it yet
                await asyncio.sleep(0)
        while asked:
            await asyncio.sleep(0)
            assert not in_vain(turns)
            for tenant, task in asked:
                if task.done() and not task.cancelled() and task.exception() is None:
                    turns.end(tenant)
            asked = [one for one in asked if not one[1].done()]
        assert (turns.running, turns.waiting) == (0, 0)

    asyncio.run(played())


async def test_a_line_is_no_longer_than_can_be_served_in_time() -> None:
    now = 0.0
    turns = Turns(1, waiting=1_000, seconds=2, clock=lambda: now)
    await turns.begin(1)

    async def stand(tenant: int, number: int) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(turns.begin(tenant)) for _ in range(number)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return tasks

    async def serve(tasks: list[asyncio.Task[None]], each: float) -> None:
        nonlocal now
        for task in tasks:
            now += each
            turns.end(1)
            await task

    for each, room in ((0.25, 4), (0.01, 100), (0.5, 2)):
        for _ in range(400):  # until the pace is known
            await serve(await stand(1, 2), each)
        tasks = await stand(1, room + 5)
        refused = [task for task in tasks if task.done()]
        assert len(refused) in (4, 5, 6), each
        assert all(isinstance(task.exception(), Shed) for task in refused)
        assert turns.refuses(1) == "long"
        assert turns.refuses(2) is None  # another organization has a line of its own
        await serve([task for task in tasks if not task.done()], each)
        assert turns.refuses(1) is None
    others = [task for tenant in range(2, 9) for task in await stand(tenant, 1)]
    assert not any(task.done() for task in others), "the first of each organization may wait"
    now += 1
    turns.end(1)
    for tenant, task in enumerate(others, 2):
        await task
        turns.end(tenant)
    await turns.begin(1)
    for _ in range(100):  # operations hang
        await serve(await stand(1, 1), 3_600)
    for _ in range(400):  # who comes first may wait all the same, and is served at the new pace
        (one,) = await stand(1, 1)
        assert not one.done()
        await serve([one], 0.01)
    assert len([task for task in await stand(1, 50) if not task.done()]) == 50


async def test_a_flood_is_refused_before_it_is_read(urls: Urls, database: Database, tenant: Tenant) -> None:
    async with serving(urls, database, max_operations_at_once=1, max_operations_waiting=0) as live:
        token = await live.token(tenant)
        busy = asyncio.create_task(live.post("{ slow }", token=token))
        while "unison_operations_in_flight 0.0" in (await live.client.get("/metrics")).text:
            await asyncio.sleep(0.01)
        headers = {"authorization": f"Bearer {token}", "content-type": "text/plain", "x-request-id": "mine"}
        answers = [await live.client.post("/graphql", content="not JSON", headers=headers) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [503] * 3
        assert answers[1].json() == answers[0].json()
        assert dict(answers[1].headers) | {"date": ""} == dict(answers[0].headers) | {"date": ""}
        put = await live.client.put("/graphql", headers=headers)
        assert put.status_code == 503, "not even the method was looked at"
        subscribed = headers | {"accept": "text/event-stream", "content-type": "application/json"}
        stream = await live.client.post("/graphql", json={"query": "{ echo }"}, headers=subscribed)
        assert stream.status_code == 200, "a subscription needs no turn, so a stream is read first"
        assert "SERVICE_UNAVAILABLE" in stream.text
        busy.cancel()


async def test_no_request_is_lost_when_there_is_too_much(
    urls: Urls, database: Database, tenant: Tenant, stranger: Tenant
) -> None:
    """A flood of one organization: each request is answered, and the other organization is served as always."""
    document = "{ workOrders(first: 5) { nodes { id } } }"
    small = {"max_operations_at_once": 1, "max_operations_waiting": 2, "max_wait_seconds": 5.0}
    async with serving(urls, database, **small) as live:
        flooding, quiet = await live.token(tenant), await live.token(stranger)

        async def asked(token: str) -> tuple[int, str | None]:
            answer = await live.post(document, token=token)
            body = answer.json()
            if answer.status_code == 503:
                assert body["errors"][0]["extensions"]["code"] == "SERVICE_UNAVAILABLE"
                assert body["errors"][0]["extensions"]["retryable"] is True
                assert answer.headers["retry-after"]
                cost = body.get("extensions", {}).get("cost", {"requested": 7})  # for those who got as far
                assert cost["requested"] == 7
            return answer.status_code, (body.get("data") or {}).get("workOrders") and "data"

        async def flood() -> list[tuple[int, str | None]]:
            return [await asked(flooding) for _ in range(15)]

        tasks = [asyncio.create_task(flood()) for _ in range(24)]
        theirs = [await asked(quiet) for _ in range(15)]
        answers = [answer for task in tasks for answer in await task]
        figures = (await live.client.get("/metrics")).text
    assert theirs == [(200, "data")] * 15
    counted = Counter(answers)
    assert set(counted) == {(200, "data"), (503, None)}
    assert sum(counted.values()) == 24 * 15
    shed = re.findall(r'unison_operations_shed_total\{reason="\w+"\} (\d+)', figures)
    assert sum(map(int, shed)) >= counted[503, None]


async def test_health_is_answered_when_operations_are_not(urls: Urls, database: Database) -> None:
    async with serving(urls, database, max_operations_at_once=1, max_operations_waiting=0) as live:
        busy = asyncio.create_task(live.post("{ slow }"))
        while "unison_operations_in_flight 0.0" in (await live.client.get("/metrics")).text:
            await asyncio.sleep(0.01)
        assert (await live.post("{ echo }")).status_code == 503
        assert (await live.client.get("/healthz")).status_code == 200
        assert (await live.client.get("/readyz")).status_code == 200
        busy.cancel()


async def test_who_leaves_or_is_late_stands_in_no_line_any_more() -> None:
    turns = Turns(1, waiting=10, seconds=0.05)
    await turns.begin(1)
    leaving, late = asyncio.create_task(turns.begin(2)), asyncio.create_task(turns.begin(3))
    await asyncio.sleep(0)
    assert turns.waiting == 2
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert turns.waiting == 1
    with pytest.raises(Shed):
        await late
    assert (turns.waiting, turns.running, len(turns._lines)) == (0, 1, 0)
